//! Orders decoders: hardware or software first, as the stream asks.

use gstreamer as gst;

use crate::Decoder;

/// An installed decoder.
#[derive(Clone, Debug)]
struct Candidate {
    factory: gst::ElementFactory,
    hardware: bool,
}

/// Decoders for `caps`, the one to try first in front. A hardware decoder is registered only where
/// its driver is, but may still fail, so software follows.
pub(super) fn decoders(caps: &gst::Caps, wanted: Decoder) -> Vec<gst::ElementFactory> {
    let kind = gst::ElementFactoryType::DECODER | gst::ElementFactoryType::MEDIA_VIDEO;
    let installed = gst::ElementFactory::factories_with_type(kind, gst::Rank::MARGINAL);
    // Highest rank first.
    let fitting = installed.iter().filter(|it| it.can_sink_any_caps(caps));
    let candidates: Vec<Candidate> =
        fitting.map(|it| Candidate { factory: it.clone(), hardware: is_hardware(it) }).collect();
    let any = candidates.iter().any(|it| it.hardware);
    if wanted == Decoder::Hardware && !any {
        warn_once(caps);
    }
    order(candidates, wanted, |it| it.hardware).into_iter().map(|it| it.factory).collect()
}

/// Whether a factory makes video decoders, in hardware or not.
pub(crate) fn is_decoder(factory: &gst::ElementFactory) -> bool {
    let class = factory.metadata("klass").unwrap_or_default();
    class.contains("Decoder") && class.contains("Video")
}

fn is_hardware(factory: &gst::ElementFactory) -> bool {
    factory.metadata("klass").is_some_and(|it| it.contains("Hardware"))
}

/// Whether decodebin must skip this decoder, given the kind that the stream asks for.
pub(super) fn is_unwanted(factory: &gst::ElementFactory, wanted: Decoder) -> bool {
    wanted == Decoder::Software && is_decoder(factory) && is_hardware(factory)
}

/// Candidates in the order to try; each kind keeps its own order.
fn order<T>(candidates: Vec<T>, wanted: Decoder, hardware: impl Fn(&T) -> bool) -> Vec<T> {
    let (mut first, second): (Vec<T>, Vec<T>) = candidates.into_iter().partition(hardware);
    match wanted {
        Decoder::Auto | Decoder::Hardware => {
            first.extend(second);
            first
        }
        Decoder::Software => second,
    }
}

fn warn_once(caps: &gst::Caps) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    let name = caps.structure(0).map(|it| it.name().to_string()).unwrap_or_default();
    ONCE.call_once(|| tracing::warn!("{}", no_hardware(&name)));
}

fn no_hardware(codec: &str) -> String {
    format!(
        "decoder = \"hardware\": this machine has no hardware decoder for {codec} that GStreamer \
         knows, so software decodes it; install the driver and gstreamer1.0-plugins-bad (NVIDIA, \
         VA-API), or choose decoder = \"auto\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(wanted: Decoder) -> Vec<&'static str> {
        // By rank: a hardware decoder may rank below software.
        let installed = vec!["avdec", "nv", "openh264", "va"];
        order(installed, wanted, |it| matches!(*it, "nv" | "va"))
    }

    #[test]
    fn hardware_goes_first_and_software_is_the_fallback() {
        assert_eq!(ordered(Decoder::Auto), ["nv", "va", "avdec", "openh264"]);
        assert_eq!(ordered(Decoder::Hardware), ["nv", "va", "avdec", "openh264"]);
        assert_eq!(ordered(Decoder::Software), ["avdec", "openh264"]);
    }

    #[test]
    fn without_hardware_software_decodes_and_the_message_says_what_to_do() {
        let only = vec!["avdec"];
        assert_eq!(order(only.clone(), Decoder::Hardware, |_| false), only);
        let message = no_hardware("video/x-h264");
        assert!(message.contains("video/x-h264"), "{message}");
        assert!(message.contains("install the driver"), "{message}");
    }

    #[test]
    fn software_that_is_installed_decodes_what_cameras_send() {
        crate::source::init().unwrap();
        for codec in ["video/x-h264", "video/x-h265", "image/jpeg"] {
            let caps = gst::Caps::builder(codec).build();
            let found = decoders(&caps, Decoder::Software);
            assert!(found.iter().all(|it| is_decoder(it) && !is_hardware(it)), "{found:?}");
            assert!(!found.is_empty(), "{codec}");
        }
    }
}
