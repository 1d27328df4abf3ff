//! The parent's side of a stream that a process decodes.

use std::{
    cell::RefCell, io, iter, mem, os::unix::net::UnixStream, rc::Rc, sync::Arc, time::Duration,
};

use super::{
    pool::Door,
    protocol::{Answer, Beside, Place, Request, Shown, Wire},
};
use crate::{
    Problem,
    source::{Image, Item, Opening, Picture, Pictures, Tally, add_some},
    stop::Stop,
};

/// How long a wait lasts before the stop signal is looked at.
const SLICE: Duration = Duration::from_millis(50);

/// A picture that a process holds.
#[derive(Debug)]
pub(crate) struct Remote {
    link: Rc<RefCell<Link>>,
    number: u64,
}

/// The connection to the thread that decodes.
#[derive(Debug)]
struct Link {
    wire: Wire,
    door: Arc<Door>,
    /// Which of the group's processes it is.
    process: u64,
    /// Pictures that are still wanted, perhaps.
    held: Vec<u64>,
    tally: Arc<Tally>,
    /// What of the tally came from here.
    beside: Beside,
    /// Why the process died.
    death: Option<String>,
}

/// Asks for pictures, one at a time.
struct RemotePictures {
    link: Rc<RefCell<Link>>,
    stop: Stop,
    ended: bool,
}

/// Has a process open a file or URI.
pub(crate) fn open(item: &Item, opening: &Opening, door: &Arc<Door>) -> Result<Pictures, Problem> {
    let place = Place::of(item)?;
    let Some((socket, process)) = door.open(place, opening)? else {
        return Ok(Box::new(iter::empty()));
    };
    let mut link = Link::new(socket, process, opening, door).map_err(Problem::Unreadable)?;
    match link.answer(&|| !opening.stop.is_set())? {
        None => Ok(Box::new(iter::empty())),
        Some(Answer::End(Some(problem), _)) => Err(problem),
        Some(Answer::Opened) => Ok(Box::new(RemotePictures {
            link: Rc::new(RefCell::new(link)),
            stop: opening.stop.clone(),
            ended: false,
        })),
        Some(other) => Err(absurd(&other)),
    }
}

impl Link {
    fn new(
        socket: UnixStream,
        process: u64,
        opening: &Opening,
        door: &Arc<Door>,
    ) -> io::Result<Self> {
        socket.set_read_timeout(Some(SLICE))?;
        Ok(Self {
            wire: Wire::new(socket),
            door: door.clone(),
            process,
            held: Vec::new(),
            tally: opening.tally.clone(),
            beside: Beside::default(),
            death: None,
        })
    }

    /// The next message, or none when patience ended.
    fn answer(&mut self, patient: &dyn Fn() -> bool) -> Result<Option<Answer>, Problem> {
        let answer = self.wire.receive(patient);
        answer.map_err(|it| self.crashed(&it))
    }

    fn next(&mut self, stop: &Stop) -> Result<Option<Shown>, Problem> {
        let request = Request::Next { held: self.held.clone() };
        self.wire.send(&request, &[]).map_err(|it| self.crashed(&it))?;
        match self.answer(&|| !stop.is_set())? {
            None => Ok(None),
            Some(Answer::Picture(shown, beside)) => {
                self.count(beside);
                self.held.push(shown.number);
                Ok(Some(shown))
            }
            Some(Answer::End(problem, beside)) => {
                self.count(beside);
                problem.map_or(Ok(None), Err)
            }
            Some(other) => Err(absurd(&other)),
        }
    }

    fn pixels(&mut self, number: u64, [height, width]: [usize; 2]) -> Result<Arc<[u8]>, Problem> {
        let sent = self.wire.send(&Request::Pixels(number), &[]);
        sent.map_err(|it| self.crashed(&it))?;
        // It is answered at once, or the keeper ends the process.
        match self.answer(&|| true)? {
            Some(Answer::Pixels) => {}
            Some(Answer::Unusable(problem)) => return Err(problem),
            other => return Err(absurd(&other)),
        }
        let mut pixels: Arc<[u8]> = iter::repeat_n(0, height * width * 3).collect();
        let bytes = Arc::get_mut(&mut pixels).unwrap_or_default();
        self.wire.fill(bytes, &|| true).map_err(|it| self.crashed(&it))?;
        Ok(pixels)
    }

    /// Adds what happened since the last message.
    fn count(&mut self, now: Beside) {
        let before = mem::replace(&mut self.beside, now);
        add_some(&self.tally.late, now.late.saturating_sub(before.late));
        add_some(&self.tally.unneeded, now.unneeded.saturating_sub(before.unneeded));
        add_some(&self.tally.abandoned, now.abandoned.saturating_sub(before.abandoned));
    }

    /// The connection broke: says what became of the process.
    fn crashed(&mut self, error: &io::Error) -> Problem {
        tracing::debug!("the connection to a decoder process broke: {error}");
        let death = self.death.get_or_insert_with(|| self.door.why(self.process));
        Problem::Crashed(death.clone())
    }
}

impl Iterator for RemotePictures {
    type Item = Result<Picture, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.link.borrow_mut().next(&self.stop).transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next.map(|it| it.map(|it| self.picture(it)))
    }
}

impl RemotePictures {
    fn picture(&self, shown: Shown) -> Picture {
        let Shown { number, time, discontinuity, captured, begins } = shown;
        let image = Image::Remote(Remote { link: self.link.clone(), number });
        Picture { time, discontinuity, captured, begins, image }
    }
}

impl Remote {
    /// RGB of the training size, `[height, width, 3]`, which the process knows.
    pub(crate) fn pixels(&self, size: [usize; 2]) -> Result<Arc<[u8]>, Problem> {
        self.link.borrow_mut().pixels(self.number, size)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.link.borrow_mut().held.retain(|it| *it != self.number);
    }
}

fn absurd(answer: &dyn std::fmt::Debug) -> Problem {
    Problem::Crashed(format!("it answered {answer:?}"))
}
