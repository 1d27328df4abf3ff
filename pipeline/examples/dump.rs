//! temp
#![allow(clippy::all, clippy::unwrap_used, clippy::print_stderr)]
use gstreamer::{self as gst, prelude::*};
fn main() {
    gst::init().unwrap();
    let uri = std::env::args().nth(1).unwrap();
    let el = std::env::var("EL")
        .unwrap_or("uridecodebin caps=video/x-raw expose-all-streams=false name=d".into());
    let p =
        gst::parse::launch(&format!("{el} uri={uri} ! videoconvert ! appsink sync=false")).unwrap();
    let q = p.clone().downcast::<gst::Pipeline>().unwrap();
    q.connect_deep_element_added(|_, _, e| eprintln!("ADDED {}", e.name()));
    if let Some(d) = q.by_name("d") {
        d.connect("unknown-type", false, |v| {
            eprintln!("UNKNOWN {:?}", v[2].get::<gst::Caps>());
            None
        });
        d.connect("no-more-pads", false, |v| {
            eprintln!("NOMORE {:?}", v[0].get::<gst::Element>().unwrap().src_pads());
            None
        });
    }
    let r = p.set_state(gst::State::Playing);
    eprintln!("set_state {r:?}");
    let bus = p.bus().unwrap();
    let t = std::time::Instant::now();
    while t.elapsed().as_secs_f64() < 2.0 {
        if let Some(m) = bus.timed_pop(gst::ClockTime::from_mseconds(100)) {
            match m.view() {
                gst::MessageView::StateChanged(_) | gst::MessageView::StreamStatus(_) => {}
                gst::MessageView::Error(e) => eprintln!(
                    "{:.3} ERROR {:?} {:?} from {:?}",
                    t.elapsed().as_secs_f64(),
                    e.error(),
                    e.debug(),
                    m.src().map(|s| s.path_string())
                ),
                _ => eprintln!(
                    "{:.3} {:?} {:?}",
                    t.elapsed().as_secs_f64(),
                    m.type_(),
                    m.structure().map(|s| s.to_string().chars().take(200).collect::<String>())
                ),
            }
        }
    }
    p.set_state(gst::State::Null).unwrap();
}
