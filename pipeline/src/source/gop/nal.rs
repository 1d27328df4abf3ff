//! What a coded picture says of itself: whether it can be decoded, and all that follow it, with
//! nothing before it.

use gstreamer as gst;

/// How the pictures that a decoder is fed are coded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coding {
    H264(Framing),
    H265(Framing),
    /// VP8, VP9 and AV1, whose key frames replace every reference. Pictures that do less
    /// (intra-only ones, AV1's delayed access points) are not marked as keys by containers.
    Replacing,
    /// Anything else. MPEG-1, -2 and -4 Part 2 may refer across a key without saying so, and
    /// pictures of MJPEG and alike are keys all of them.
    Other,
}

/// How the NAL units of a picture are told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// Each follows the bytes 0, 0, 1.
    StartCodes,
    /// Each follows its length in so many bytes.
    Lengths(usize),
}

/// What kind of key a unit is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    /// Nothing after it refers to anything before it.
    Closed,
    /// Decoding may begin at it, but pictures after it may refer to pictures before it.
    Open,
    /// The coding does not tell.
    Unknown,
}

impl Coding {
    /// As the caps of a decoder's sink pad have it.
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

    /// What kind of key these bytes of a whole picture are, which is marked as a key.
    pub(super) fn key(self, bytes: &[u8]) -> Key {
        let closed = match self {
            // The first slice: 1 to 5. An IDR picture consists of nothing but slices of type 5.
            Self::H264(framing) => {
                let kind = |it: &[u8]| Some(it.first()? & 31).filter(|it| (1..=5).contains(it));
                units(bytes, framing).find_map(kind) == Some(5)
            }
            // IDR_W_RADL and IDR_N_LP; CRA is 21, and BLA, 16 to 18, has pictures to be left out.
            Self::H265(framing) => {
                let kind = |it: &[u8]| Some(it.first()? >> 1 & 63).filter(|&it| it < 32);
                matches!(units(bytes, framing).find_map(kind), Some(19 | 20))
            }
            Self::Replacing => true,
            Self::Other => return Key::Unknown,
        };
        if closed { Key::Closed } else { Key::Open }
    }
}

/// None where a buffer is not a whole picture, or the format is not told.
fn framing(stated: &gst::StructureRef) -> Option<Framing> {
    if stated.get::<&str>("alignment").is_ok_and(|it| it != "au") {
        return None;
    }
    if stated.get::<&str>("stream-format").ok()? == "byte-stream" {
        return Some(Framing::StartCodes);
    }
    let record = stated.get::<gst::Buffer>("codec_data").ok()?;
    let record = record.map_readable().ok()?;
    // lengthSizeMinusOne, in the last two bits of that byte of avcC and hvcC.
    let at = if stated.name() == "video/x-h264" { 4 } else { 21 };
    Some(Framing::Lengths(usize::from(record.get(at)? & 3) + 1))
}

/// The NAL units of a picture, without what separates them.
fn units(bytes: &[u8], framing: Framing) -> impl Iterator<Item = &[u8]> {
    let mut rest = match framing {
        Framing::StartCodes => after_code(bytes),
        Framing::Lengths(_) => Some(bytes),
    };
    std::iter::from_fn(move || {
        let bytes = rest?;
        match framing {
            // Where it ends is for nobody to know: only its head is read.
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

/// What follows the first start code.
fn after_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.windows(3).position(|it| it == [0, 0, 1])?;
    Some(&bytes[at + 3..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: Framing = Framing::StartCodes;

    #[test]
    fn a_picture_is_known_by_its_first_slice() {
        // Delimiter, SPS, PPS, SEI, and then the slice.
        let picture = |slice| {
            [&[0, 0, 0, 1, 9, 16][..], &[0, 0, 1, 0x67, 5], &[0, 0, 1, 0x68], &[0, 0, 1, 6, 5]]
                .concat()
                .into_iter()
                .chain([0, 0, 1, slice, 0x88])
                .collect::<Vec<u8>>()
        };
        assert_eq!(Coding::H264(CODES).key(&picture(0x65)), Key::Closed);
        assert_eq!(Coding::H264(CODES).key(&picture(0x41)), Key::Open);
        for (kind, key) in [(19, Key::Closed), (20, Key::Closed), (21, Key::Open), (16, Key::Open)]
        {
            // Parameter sets are 32 and above, and come first.
            let bytes = [0, 0, 0, 1, 33 << 1, 1, 0, 0, 1, kind << 1, 1, 7];
            assert_eq!(Coding::H265(CODES).key(&bytes), key, "{kind}");
        }
        assert_eq!(Coding::Replacing.key(&[]), Key::Closed);
        assert_eq!(Coding::Other.key(&[]), Key::Unknown);
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
            assert_eq!(coding.key(&picture(0x65)), Key::Closed, "{size}");
            assert_eq!(coding.key(&picture(0x61)), Key::Open, "{size}");
        }
    }

    #[test]
    fn damage_makes_a_key_open_and_nothing_worse() {
        for bytes in [&[][..], &[255, 255, 255, 255, 0x65], &[0, 0], &[0, 0, 1], &[0, 0, 0, 0]] {
            for framing in [CODES, Framing::Lengths(4), Framing::Lengths(1)] {
                assert_eq!(Coding::H264(framing).key(bytes), Key::Open, "{bytes:?} {framing:?}");
                assert_eq!(Coding::H265(framing).key(bytes), Key::Open, "{bytes:?} {framing:?}");
            }
        }
    }

    #[test]
    fn caps_say_how_pictures_are_framed() {
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
