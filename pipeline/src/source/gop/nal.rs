//! What kind of keyframe a coded frame is, read from its bytes.

use gstreamer as gst;

/// How a stream is coded, as far as it tells which keyframes are IDRs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coding {
    H264(Framing),
    H265(Framing),
    /// VP8, VP9 and AV1, whose keyframes replace every reference. Containers do not mark weaker
    /// frames (intra-only ones, AV1's delayed access points) as keyframes.
    Replacing,
    /// Anything else. MPEG-1, -2 and -4 Part 2 may refer across a keyframe without saying so, and
    /// in MJPEG and its like every frame is a keyframe.
    Other,
}

/// How NAL units are separated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// By the start code 0, 0, 1 before each.
    StartCodes,
    /// By the length before each, in this many bytes.
    Lengths(usize),
}

/// The kinds of keyframes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Keyframe {
    /// No frame after it refers to a frame before it: an IDR, or a keyframe like it.
    Idr,
    /// Decoding can start at it, but frames after it may refer to frames before it.
    Open,
    /// The codec does not tell.
    Unknown,
}

impl Coding {
    /// The coding that the caps of a decoder's sink pad state.
    pub(super) fn of(caps: &gst::CapsRef) -> Self {
        let Some(stated) = caps.structure(0) else { return Self::Other };
        let framing = || framing(stated);
        match stated.name().as_str() {
            "video/x-h264" => framing().map_or(Self::Other, Self::H264),
            "video/x-h265" => framing().map_or(Self::Other, Self::H265),
            "video/x-vp8" | "video/x-vp9" | "video/x-av1" => Self::Replacing,
            _ => Self::Other,
        }
    }

    /// The kind of a keyframe, given the bytes of the whole coded frame.
    pub(super) fn keyframe(self, bytes: &[u8]) -> Keyframe {
        let is_idr = match self {
            // NAL types 1 to 5 are slices. An IDR consists of slices of type 5 alone.
            Self::H264(framing) => {
                let kind = |it: &[u8]| Some(it.first()? & 31).filter(|it| (1..=5).contains(it));
                nal_units(bytes, framing).find_map(kind) == Some(5)
            }
            // IDR_W_RADL and IDR_N_LP. CRA is 21; BLA, 16 to 18, has leading frames to leave out.
            Self::H265(framing) => {
                let kind = |it: &[u8]| Some(it.first()? >> 1 & 63).filter(|&it| it < 32);
                matches!(nal_units(bytes, framing).find_map(kind), Some(19 | 20))
            }
            Self::Replacing => true,
            Self::Other => return Keyframe::Unknown,
        };
        if is_idr { Keyframe::Idr } else { Keyframe::Open }
    }
}

/// None when a buffer is not a whole frame, or the caps do not state the format.
fn framing(stated: &gst::StructureRef) -> Option<Framing> {
    if stated.get::<&str>("alignment").is_ok_and(|it| it != "au") {
        return None;
    }
    if stated.get::<&str>("stream-format").ok()? == "byte-stream" {
        return Some(Framing::StartCodes);
    }
    let record = stated.get::<gst::Buffer>("codec_data").ok()?;
    let record = record.map_readable().ok()?;
    // lengthSizeMinusOne: the last two bits of this byte of avcC and hvcC.
    let at = if stated.name() == "video/x-h264" { 4 } else { 21 };
    Some(Framing::Lengths(usize::from(record.get(at)? & 3) + 1))
}

/// The NAL units of a coded frame, without start codes and lengths.
fn nal_units(bytes: &[u8], framing: Framing) -> impl Iterator<Item = &[u8]> {
    let mut rest = match framing {
        Framing::StartCodes => after_code(bytes),
        Framing::Lengths(_) => Some(bytes),
    };
    std::iter::from_fn(move || {
        let bytes = rest?;
        match framing {
            // Its end is not searched: only the head is read.
            Framing::StartCodes => {
                rest = after_code(bytes);
                Some(bytes)
            }
            Framing::Lengths(size) => {
                let length = bytes.get(..size)?.iter();
                let length = length.fold(0, |sum, &it| sum << 8 | usize::from(it));
                let end = size.checked_add(length)?;
                rest = bytes.get(end..);
                bytes.get(size..end)
            }
        }
    })
}

/// The bytes after the first start code.
fn after_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.windows(3).position(|it| it == [0, 0, 1])?;
    Some(&bytes[at + 3..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: Framing = Framing::StartCodes;

    #[test]
    fn the_first_slice_tells_the_kind_of_keyframe() {
        // Delimiter, SPS, PPS, SEI, and then the slice.
        let picture = |slice| {
            [&[0, 0, 0, 1, 9, 16][..], &[0, 0, 1, 0x67, 5], &[0, 0, 1, 0x68], &[0, 0, 1, 6, 5]]
                .concat()
                .into_iter()
                .chain([0, 0, 1, slice, 0x88])
                .collect::<Vec<u8>>()
        };
        assert_eq!(Coding::H264(CODES).keyframe(&picture(0x65)), Keyframe::Idr);
        assert_eq!(Coding::H264(CODES).keyframe(&picture(0x41)), Keyframe::Open);
        for (kind, key) in
            [(19, Keyframe::Idr), (20, Keyframe::Idr), (21, Keyframe::Open), (16, Keyframe::Open)]
        {
            // Parameter sets are 32 and above, and come first.
            let bytes = [0, 0, 0, 1, 33 << 1, 1, 0, 0, 1, kind << 1, 1, 7];
            assert_eq!(Coding::H265(CODES).keyframe(&bytes), key, "{kind}");
        }
        assert_eq!(Coding::Replacing.keyframe(&[]), Keyframe::Idr);
        assert_eq!(Coding::Other.keyframe(&[]), Keyframe::Unknown);
    }

    #[test]
    fn lengths_of_any_size_are_skipped() {
        for size in 1..=4 {
            let unit = |bytes: &[u8]| {
                let length = (bytes.len() as u32).to_be_bytes();
                [&length[4 - size..], bytes].concat()
            };
            // The first unit holds a start code, which means nothing here.
            let picture = |slice| [unit(&[6, 0, 0, 1, 0x65]), unit(&[slice, 1])].concat();
            let coding = Coding::H264(Framing::Lengths(size));
            assert_eq!(coding.keyframe(&picture(0x65)), Keyframe::Idr, "{size}");
            assert_eq!(coding.keyframe(&picture(0x61)), Keyframe::Open, "{size}");
        }
    }

    #[test]
    fn damaged_keyframes_count_as_open() {
        for bytes in [&[][..], &[255, 255, 255, 255, 0x65], &[0, 0], &[0, 0, 1], &[0, 0, 0, 0]] {
            for framing in [CODES, Framing::Lengths(4), Framing::Lengths(1)] {
                assert_eq!(
                    Coding::H264(framing).keyframe(bytes),
                    Keyframe::Open,
                    "{bytes:?} {framing:?}"
                );
                assert_eq!(
                    Coding::H265(framing).keyframe(bytes),
                    Keyframe::Open,
                    "{bytes:?} {framing:?}"
                );
            }
        }
    }

    #[test]
    fn caps_tell_how_nal_units_are_separated() {
        crate::source::init().unwrap();
        let of = |text: &str| Coding::of(&text.parse::<gst::Caps>().unwrap());
        let avc = "video/x-h264, stream-format=avc, alignment=au, codec_data=(buffer)01640014fd";
        assert_eq!(of(avc), Coding::H264(Framing::Lengths(2)));
        assert_eq!(of("video/x-h264, stream-format=avc, alignment=au"), Coding::Other);
        let bytes = "stream-format=byte-stream";
        assert_eq!(of(&format!("video/x-h265, {bytes}, alignment=au")), Coding::H265(CODES));
        assert_eq!(of(&format!("video/x-h264, {bytes}, alignment=nal")), Coding::Other);
        let hvc = format!("codec_data=(buffer){}03", "00".repeat(21));
        let hvc = format!("video/x-h265, stream-format=hvc1, alignment=au, {hvc}");
        assert_eq!(of(&hvc), Coding::H265(Framing::Lengths(4)));
        assert_eq!(of("video/x-vp9"), Coding::Replacing);
        assert_eq!(of("video/mpeg, mpegversion=4"), Coding::Other);
    }
}
