//! The child's side of a stream: one thread that decodes what it is asked for.

use std::{
    io,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, atomic::Ordering},
};

use super::protocol::{Answer, Beside, Open, Request, Shown, Wire};
use crate::{
    Problem,
    picture::{Scaler, View},
    source::{self, Image, Opening, Picture, Pictures, Tally},
    stop::Stop,
};

/// Opens a source and answers for it until the other side hangs up.
pub(super) fn serve(open: Open, socket: UnixStream, stop: Stop) {
    let Open { place, stream, clip, size, fit } = open;
    let Ok(closing) = socket.try_clone().map(Closing) else { return };
    let tally = Arc::<Tally>::default();
    let scaler = Scaler::new(size, View::new(fit, &stream));
    let opening = Opening { stream: stream.into(), clip, stop, tally: tally.clone(), door: None };
    let pictures = source::open(&place.item(), &opening);
    let mut service =
        Service { wire: Wire::new(socket), tally, scaler, pictures: None, held: Vec::new() };
    // A failure to send or receive means that nobody is interested any more.
    let _ = service.run(pictures);
    drop(closing);
}

/// Tells the other side that nothing will come, also when the thread panics: the process holds
/// another handle of the socket.
struct Closing(UnixStream);

struct Service {
    wire: Wire,
    tally: Arc<Tally>,
    scaler: Scaler,
    /// None when they have ended.
    pictures: Option<Pictures>,
    /// Pictures that may be asked for, by number.
    held: Vec<(u64, Image)>,
}

impl Service {
    fn run(&mut self, pictures: Result<Pictures, Problem>) -> io::Result<()> {
        match pictures {
            Ok(pictures) => self.pictures = Some(pictures),
            Err(problem) => return self.end(Some(problem)),
        }
        self.wire.send(&Answer::Opened, &[])?;
        let mut number = 0;
        while let Some(request) = self.wire.receive(&|| true)? {
            match request {
                Request::Pixels(number) => self.pixels(number)?,
                Request::Next { held } => {
                    self.held.retain(|it| held.contains(&it.0));
                    number += 1;
                    self.next(number)?;
                }
            }
        }
        Ok(())
    }

    fn next(&mut self, number: u64) -> io::Result<()> {
        match self.pictures.as_mut().and_then(Iterator::next) {
            Some(Ok(Picture { time, discontinuity, captured, begins, image })) => {
                self.held.push((number, image));
                let shown = Shown { number, time, discontinuity, captured, begins };
                self.wire.send(&Answer::Picture(shown, beside(&self.tally)), &[])
            }
            Some(Err(problem)) => self.end(Some(problem)),
            None => self.end(None),
        }
    }

    /// Ends the pictures. Those that were shown can still be asked for.
    fn end(&mut self, problem: Option<Problem>) -> io::Result<()> {
        // First, so that what goes wrong here is counted, and a camera is free for the next one.
        self.pictures = None;
        self.wire.send(&Answer::End(problem, beside(&self.tally)), &[])
    }

    fn pixels(&mut self, number: u64) -> io::Result<()> {
        let image = self.held.iter().find(|it| it.0 == number);
        match image.map(|it| it.1.pixels(&mut self.scaler)) {
            Some(Ok(pixels)) => self.wire.send(&Answer::Pixels, &pixels),
            Some(Err(problem)) => self.wire.send(&Answer::Unusable(problem), &[]),
            None => Err(io::Error::other("a picture that was given up is wanted")),
        }
    }
}

fn beside(tally: &Tally) -> Beside {
    Beside {
        late: tally.late.load(Ordering::Relaxed),
        unneeded: tally.unneeded.load(Ordering::Relaxed),
        abandoned: tally.abandoned.load(Ordering::Relaxed),
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        // The other side may have been first.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
