//! Both sides of a stream in one process, and what the reading side makes of a death.

use std::{
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::bounded;

use super::{
    Door,
    pool::Group,
    protocol::{Answer, Open, Wire},
    server,
    supervisor::Ask,
};
use crate::{
    ClipConfig, Fit, Problem, SourceConfig, StreamConfig,
    picture::{Scaler, View},
    source::{self, Image, Item, Opening, Picture, Pictures},
    stop::{Stopper, stop},
};

const SIZE: [usize; 2] = [24, 40];

fn street() -> Item {
    Item::File(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/media/street.mp4"))
}

fn opening(door: Option<Arc<Door>>) -> (Stopper, Opening) {
    let stream = StreamConfig::new("street", SourceConfig::Files("street.mp4".into())).into();
    let (stopper, stop) = stop();
    let clip = ClipConfig::new(2, 1.0);
    (stopper, Opening { stream, clip, stop, tally: Arc::default(), door })
}

/// A keeper whose process is `serve`, and which says that it died of boredom.
fn door(
    serve: impl Fn(Box<Open>, UnixStream) + Send + Clone + 'static,
) -> (Arc<Door>, JoinHandle<()>) {
    let (asks, asked) = bounded::<Ask>(1);
    let keep = move || {
        for ask in asked {
            match ask {
                Ask::Why { reply, .. } => reply.send("boredom".into()).unwrap(),
                Ask::Open { open, reply } => {
                    let (own, other) = UnixStream::pair().unwrap();
                    let serve = serve.clone();
                    let thread = Builder::new().name("served".into());
                    thread.spawn(move || serve(open, other)).unwrap();
                    reply.send(Ok((own, 1))).unwrap();
                }
            }
        }
    };
    let keeper = Builder::new().name("keeper".into()).spawn(keep).unwrap();
    (Arc::new(Door { group: Arc::new(Group(asks)), size: SIZE, fit: Fit::Crop }), keeper)
}

fn decodes(open: Box<Open>, socket: UnixStream) {
    let (_stopper, stop) = stop();
    server::serve(*open, socket, stop);
}

fn pixels(image: &Image) -> Result<Arc<[u8]>, Problem> {
    image.pixels(&mut Scaler::new(SIZE, View::default()))
}

/// Looks at a picture when the next one is there, as a sampler does, but holds every tenth for
/// three more.
fn look(pictures: Pictures) -> Vec<(f64, bool, Arc<[u8]>)> {
    let mut seen = Vec::new();
    let mut held: Vec<Picture> = Vec::new();
    for (number, picture) in pictures.map(Result::unwrap).enumerate() {
        if number % 10 > 2 {
            seen.extend(held.drain(..).map(|it| {
                let pixels = pixels(&it.image).unwrap();
                (it.time, it.discontinuity, pixels)
            }));
        }
        held.push(picture);
    }
    // The pictures have ended, and are still there.
    seen.extend(held.drain(..).map(|it| (it.time, it.discontinuity, pixels(&it.image).unwrap())));
    seen
}

#[test]
fn pictures_are_the_same_from_afar() {
    let (_stopper, here) = opening(None);
    let here = look(source::open(&street(), &here).unwrap());
    let (door, keeper) = door(decodes);
    let (_stopper, away) = opening(Some(door));
    let away_pictures = look(source::open(&street(), &away).unwrap());
    assert_eq!(here.len(), 600);
    assert!(here == away_pictures, "times, flags or pixels differ");
    drop(away);
    keeper.join().unwrap();
}

#[test]
fn what_is_wrong_with_a_file_is_said_as_it_is_here() {
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    for path in [text, "/nowhere/a.mp4".into()] {
        let said = |door| {
            let (_stopper, opening) = opening(door);
            let pictures = source::open(&Item::File(path.clone()), &opening);
            let problem = pictures.map(|mut it| it.next().unwrap().unwrap_err());
            problem.unwrap_or_else(|it| it).to_string()
        };
        assert_eq!(said(None), said(Some(door(decodes).0)));
    }
}

#[test]
fn a_death_ends_the_pictures_in_words_and_takes_the_held_one_along() {
    let (door, _keeper) = door(|open, socket| {
        let (other, socket_of_serve) = UnixStream::pair().unwrap();
        let thread = Builder::new().name("decoder".into());
        thread.spawn(move || decodes(open, socket_of_serve)).unwrap();
        let [mut outer, mut inner] = [socket, other].map(Wire::new);
        // The 21st answer never comes: the process is gone.
        for _ in 0..20 {
            let answer: Answer = inner.receive(&|| true).unwrap().unwrap();
            outer.send(&answer, &[]).unwrap();
            let Ok(Some(request)) = outer.receive::<super::protocol::Request>(&|| true) else {
                return;
            };
            inner.send(&request, &[]).unwrap();
        }
    });
    let (_stopper, opening) = opening(Some(door));
    let mut pictures = source::open(&street(), &opening).unwrap();
    let mut last = None;
    for _ in 0..19 {
        last = Some(pictures.next().unwrap().unwrap());
    }
    let death = "decoding crashed: the decoder process died (boredom)";
    assert_eq!(pictures.next().unwrap().unwrap_err().to_string(), death);
    assert!(pictures.next().is_none());
    assert_eq!(pixels(&last.unwrap().image).unwrap_err().to_string(), death);
}

#[test]
fn a_stop_ends_the_wait_for_a_process_that_says_nothing() {
    let (never, kept) = bounded::<UnixStream>(1);
    let (door, _keeper) = door(move |_, socket| never.send(socket).unwrap());
    let (stopper, opening) = opening(Some(door));
    let stopping = Builder::new().name("stopper".into());
    let stopping = stopping.spawn(move || {
        let socket = kept.recv().unwrap();
        drop(stopper);
        socket
    });
    let mut pictures = source::open(&street(), &opening).unwrap();
    assert!(pictures.next().is_none());
    drop(stopping.unwrap().join().unwrap());
}
