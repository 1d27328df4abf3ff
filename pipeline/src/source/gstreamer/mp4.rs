//! Checks that an mp4 file has its index.
//!
//! GStreamer 1.22 checks that too, but once in ten to a hundred times the demuxer's bin loses its
//! message, and the pipeline then waits for ever.

use std::io::{self, Read, Seek, SeekFrom};

/// Whether this is an mp4 without a `moov` box. False for other files.
pub(crate) fn lacks_index(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut start = 0;
    while let Some((kind, size)) = header(file, start, length)? {
        match (start, &kind) {
            (_, b"moov") => return Ok(false),
            (0, kind) if kind != b"ftyp" => return Ok(false),
            _ => start = start.saturating_add(size),
        }
    }
    Ok(start > 0)
}

/// Kind and size in bytes of the box at `start`; none at the end of the file.
fn header(
    file: &mut (impl Read + Seek),
    start: u64,
    length: u64,
) -> io::Result<Option<([u8; 4], u64)>> {
    if start.saturating_add(8) > length {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(start))?;
    let (mut short, mut kind, mut long) = ([0; 4], [0; 4], [0; 8]);
    file.read_exact(&mut short)?;
    file.read_exact(&mut kind)?;
    let size = match u32::from_be_bytes(short) {
        // The box extends to the end of the file.
        0 => length - start,
        1 if start.saturating_add(16) > length => return Ok(None),
        1 => {
            file.read_exact(&mut long)?;
            u64::from_be_bytes(long)
        }
        size => size.into(),
    };
    // A box is never smaller than its header. A wrong size must not cause an endless loop.
    Ok(Some((kind, size.max(8))))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn boxed(kind: &[u8; 4], size: u32, content: usize) -> Vec<u8> {
        [&size.to_be_bytes()[..], kind, &vec![7; content]].concat()
    }

    fn lacks(boxes: &[Vec<u8>]) -> bool {
        lacks_index(&mut Cursor::new(boxes.concat())).unwrap()
    }

    #[test]
    fn the_index_is_found_wherever_it_is() {
        let (ftyp, moov) = (|| boxed(b"ftyp", 16, 8), || boxed(b"moov", 12, 4));
        assert!(!lacks(&[ftyp(), moov(), boxed(b"mdat", 108, 100)]));
        assert!(!lacks(&[ftyp(), boxed(b"mdat", 108, 100), moov()]));
        let long = [&boxed(b"mdat", 1, 0)[..], &24_u64.to_be_bytes(), &[7; 8]].concat();
        assert!(!lacks(&[ftyp(), long.clone(), moov()]));
        assert!(lacks(&[ftyp(), long]));
        assert!(lacks(&[ftyp(), boxed(b"mdat", 108, 50)]), "cut off");
        assert!(lacks(&[ftyp(), boxed(b"mdat", 0, 50)]), "to the end");
        assert!(lacks(&[ftyp()]));
    }

    #[test]
    fn other_files_are_left_to_gstreamer() {
        assert!(!lacks(&[b"some words\n".repeat(10)]));
        assert!(!lacks(&[vec![0x1a, 0x45, 0xdf, 0xa3, 0, 0, 0, 0, 0]]));
        assert!(!lacks(&[b"tiny".to_vec()]));
        assert!(!lacks(&[Vec::new()]));
    }
}
