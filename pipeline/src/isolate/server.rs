//! The worker's side of a stream: one thread that decodes on request.

use std::{io, net::Shutdown, os::unix::net::UnixStream, sync::Arc};

use super::protocol::{FrameHeader, FrameRequest, MessageSocket, OpenRequest, Response};
use crate::{
    Problem,
    picture::{PictureConfig, Scaler},
    source::{self, Image, SideCounters, SourceContext, SourceFrame, SourceFrames},
    stop::Stop,
};

/// Opens a source and answers requests until the other side hangs up.
pub(super) fn serve(open: OpenRequest, socket: UnixStream, stop: Stop) {
    let OpenRequest { location, stream, clip, size, fit } = open;
    let Ok(closing) = socket.try_clone().map(Closing) else { return };
    let side_counters = Arc::<SideCounters>::default();
    let scaler = Scaler::new(size, PictureConfig::new(fit, &stream));
    let context =
        SourceContext { stream: stream.into(), clip, stop, side_counters: side_counters.clone() };
    let frames = source::open(&location.item(), &context);
    let mut server = StreamServer {
        messages: MessageSocket::new(socket),
        side_counters,
        scaler,
        frames: None,
        held: Vec::new(),
    };
    // If sending or receiving fails, the other side is gone.
    let _ = server.run(frames);
    drop(closing);
}

/// Shuts the socket down even when the thread panics, because the process holds another handle of
/// it.
struct Closing(UnixStream);

struct StreamServer {
    messages: MessageSocket,
    side_counters: Arc<SideCounters>,
    scaler: Scaler,
    /// None after the end.
    frames: Option<SourceFrames>,
    /// Images that may still be requested, by number.
    held: Vec<(u64, Box<dyn Image>)>,
}

impl StreamServer {
    fn run(&mut self, frames: Result<SourceFrames, Problem>) -> io::Result<()> {
        match frames {
            Ok(frames) => self.frames = Some(frames),
            Err(problem) => return self.end(Some(problem)),
        }
        self.messages.send(&Response::Opened, &[])?;
        let mut number = 0;
        while let Some(request) = self.messages.receive(&|| true)? {
            match request {
                FrameRequest::Pixels(number) => self.pixels(number)?,
                FrameRequest::Next { held } => {
                    self.held.retain(|it| held.contains(&it.0));
                    number += 1;
                    self.next(number)?;
                }
            }
        }
        Ok(())
    }

    fn next(&mut self, number: u64) -> io::Result<()> {
        match self.frames.as_mut().and_then(Iterator::next) {
            Some(Ok(SourceFrame { time, discontinuity, captured, run_start, image })) => {
                self.held.push((number, image));
                let header = FrameHeader { number, time, discontinuity, captured, run_start };
                self.messages.send(&Response::Frame(header, self.side_counters.totals()), &[])
            }
            Some(Err(problem)) => self.end(Some(problem)),
            None => self.end(None),
        }
    }

    /// Ends the frames. Images that are held can still be requested.
    fn end(&mut self, problem: Option<Problem>) -> io::Result<()> {
        // Close the source first, so that its problems are counted and a camera is free again.
        self.frames = None;
        self.messages.send(&Response::End(problem, self.side_counters.totals()), &[])
    }

    fn pixels(&mut self, number: u64) -> io::Result<()> {
        let image = self.held.iter().find(|it| it.0 == number);
        match image.map(|it| it.1.pixels(&mut self.scaler)) {
            Some(Ok(pixels)) => self.messages.send(&Response::Pixels, &pixels),
            Some(Err(problem)) => self.messages.send(&Response::Unusable(problem), &[]),
            None => Err(io::Error::other("a frame that was released is requested")),
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        // The other side may have been first.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
