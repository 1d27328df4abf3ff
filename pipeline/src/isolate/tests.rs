//! Both sides of a stream in one process, and what the client makes of a death.

use std::{
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::bounded;

use super::{
    WorkerHandle, open,
    pool::WorkerGroup,
    protocol::{MessageSocket, OpenRequest, Response},
    server,
    supervisor::WorkerRequest,
};
use crate::{
    ClipConfig, Fit, Problem, SourceConfig, StreamConfig,
    picture::{PictureConfig, Scaler},
    source::{self, Image, Item, SourceContext, SourceFrame, SourceFrames},
    stop::{Stopper, stop},
};

const SIZE: [usize; 2] = [24, 40];

fn street() -> Item {
    Item::File(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/media/street.mp4"))
}

fn context() -> (Stopper, SourceContext) {
    let stream = StreamConfig::new("street", SourceConfig::Files("street.mp4".into())).into();
    let (stopper, stop) = stop();
    let clip = ClipConfig::new(2, 1.0);
    (stopper, SourceContext { stream, clip, stop, side_counters: Arc::default() })
}

/// A supervisor whose process is `serve`, and which reports "boredom" as the cause of its death.
fn worker(
    serve: impl Fn(Box<OpenRequest>, UnixStream) + Send + Clone + 'static,
) -> (Arc<WorkerHandle>, JoinHandle<()>) {
    let (requests, received) = bounded::<WorkerRequest>(1);
    let keep = move || {
        for request in received {
            match request {
                WorkerRequest::Why { reply, .. } => reply.send("boredom".into()).unwrap(),
                WorkerRequest::Open { open, reply } => {
                    let (own, other) = UnixStream::pair().unwrap();
                    let serve = serve.clone();
                    let thread = Builder::new().name("served".into());
                    thread.spawn(move || serve(open, other)).unwrap();
                    reply.send(Ok((own, 1))).unwrap();
                }
            }
        }
    };
    let supervisor = Builder::new().name("supervisor".into()).spawn(keep).unwrap();
    (
        Arc::new(WorkerHandle {
            group: Arc::new(WorkerGroup(requests)),
            size: SIZE,
            fit: Fit::Crop,
        }),
        supervisor,
    )
}

fn decodes(open: Box<OpenRequest>, socket: UnixStream) {
    let (_stopper, stop) = stop();
    server::serve(*open, socket, stop);
}

fn pixels(image: &dyn Image) -> Result<Arc<[u8]>, Problem> {
    image.pixels(&mut Scaler::new(SIZE, PictureConfig::default()))
}

/// Reads each frame's pixels when the next frame is there, as a sampler does, but holds every tenth
/// for three more.
fn read(frames: SourceFrames) -> Vec<(f64, bool, Arc<[u8]>)> {
    let mut seen = Vec::new();
    let mut held: Vec<SourceFrame> = Vec::new();
    for (number, frame) in frames.map(Result::unwrap).enumerate() {
        if number % 10 > 2 {
            seen.extend(held.drain(..).map(|it| {
                let pixels = pixels(&*it.image).unwrap();
                (it.time, it.discontinuity, pixels)
            }));
        }
        held.push(frame);
    }
    // The frames have ended, and are still held.
    seen.extend(held.drain(..).map(|it| (it.time, it.discontinuity, pixels(&*it.image).unwrap())));
    seen
}

#[test]
fn a_worker_gives_the_same_frames() {
    let (_stopper, context) = context();
    let here = read(source::open(&street(), &context).unwrap());
    let (worker, supervisor) = worker(decodes);
    let there = read(open(&street(), &context, &worker).unwrap());
    assert_eq!(here.len(), 600);
    assert!(here == there, "times, flags or pixels differ");
    drop(worker);
    supervisor.join().unwrap();
}

#[test]
fn a_worker_reports_the_same_problems() {
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    for path in [text, "/nowhere/a.mp4".into()] {
        let (_stopper, context) = context();
        let item = Item::File(path);
        let message = |frames: Result<SourceFrames, Problem>| {
            let problem = frames.map(|mut it| it.next().unwrap().unwrap_err());
            problem.unwrap_or_else(|it| it).to_string()
        };
        let here = message(source::open(&item, &context));
        assert_eq!(here, message(open(&item, &context, &worker(decodes).0)));
    }
}

#[test]
fn a_death_ends_the_frames_and_loses_the_held_image() {
    let (worker, _supervisor) = worker(|open, socket| {
        let (other, served) = UnixStream::pair().unwrap();
        let thread = Builder::new().name("decoder".into());
        thread.spawn(move || decodes(open, served)).unwrap();
        let [mut outer, mut inner] = [socket, other].map(MessageSocket::new);
        // The 21st answer never comes: the process is gone.
        for _ in 0..20 {
            let answer: Response = inner.receive(&|| true).unwrap().unwrap();
            outer.send(&answer, &[]).unwrap();
            let Ok(Some(request)) = outer.receive::<super::protocol::FrameRequest>(&|| true) else {
                return;
            };
            inner.send(&request, &[]).unwrap();
        }
    });
    let (_stopper, context) = context();
    let mut frames = open(&street(), &context, &worker).unwrap();
    let mut last = None;
    for _ in 0..19 {
        last = Some(frames.next().unwrap().unwrap());
    }
    let death = "decoding crashed: the decoder process died (boredom)";
    assert_eq!(frames.next().unwrap().unwrap_err().to_string(), death);
    assert!(frames.next().is_none());
    assert_eq!(pixels(&*last.unwrap().image).unwrap_err().to_string(), death);
}

#[test]
fn a_stop_ends_the_wait_for_a_silent_process() {
    let (silent, kept) = bounded::<UnixStream>(1);
    let (worker, _supervisor) = worker(move |_, socket| silent.send(socket).unwrap());
    let (stopper, context) = context();
    let stopping = Builder::new().name("stopper".into());
    let stopping = stopping.spawn(move || {
        let socket = kept.recv().unwrap();
        drop(stopper);
        socket
    });
    let mut frames = open(&street(), &context, &worker).unwrap();
    assert!(frames.next().is_none());
    drop(stopping.unwrap().join().unwrap());
}
