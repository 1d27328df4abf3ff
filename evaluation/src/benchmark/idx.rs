//! Reads labelled grey images: the IDX files of MNIST and Fashion-MNIST, and the digits that come
//! with scikit-learn. All of them may be compressed with gzip.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// Grey images of one size, and the label of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledImages {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// One byte a pixel, image by image and row by row.
    pub grey: Vec<u8>,
    /// One label an image.
    pub labels: Vec<u8>,
}

/// Why labelled images could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened, read or decompressed.
    #[error("cannot read {}: check that the file exists and was downloaded completely", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not what it is taken for.
    #[error("{} is {found}, not {expected}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What was asked for, and where it usually is.
        expected: &'static str,
        /// What the file seems to be.
        found: String,
    },
    /// The file is longer or shorter than its first bytes say.
    #[error(
        "{} should have {expected} bytes when it is decompressed, and has {found}: download it again",
        path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// A line of a table of digits is wrong.
    #[error("line {line} of {}: expected 64 numbers from 0 to 16 and a label from 0 to 9", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// Two files do not belong together.
    #[error(
        "{} has {images} images, and {} has {labels} labels: take both from the same part, train or t10k",
        image_path.display(), label_path.display()
    )]
    Pair {
        /// The file of images.
        image_path: PathBuf,
        /// The file of labels.
        label_path: PathBuf,
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
}

impl LabelledImages {
    /// Reads a file of images such as `train-images-idx3-ubyte.gz`, and that of their labels, such
    /// as `train-labels-idx1-ubyte.gz`.
    ///
    /// # Errors
    /// If one of them cannot be read or is no such file, or their numbers differ.
    pub fn read_idx(image_path: &Path, label_path: &Path) -> Result<Self, ReadError> {
        let expected = "images in the IDX format (such as train-images-idx3-ubyte)";
        let ([count, height, width], grey) = read_dimensions(image_path, 3, expected)?;
        let expected = "labels in the IDX format (such as train-labels-idx1-ubyte)";
        let ([label_count], labels) = read_dimensions(label_path, 1, expected)?;
        if count != label_count {
            let (image_path, label_path) = (image_path.into(), label_path.into());
            return Err(ReadError::Pair {
                image_path,
                label_path,
                images: count,
                labels: label_count,
            });
        }
        Ok(Self { width, height, grey, labels })
    }

    /// Reads the 8 x 8 digits of scikit-learn, `sklearn/datasets/data/digits.csv.gz`: in each line
    /// 64 numbers from 0 to 16, which become 0 to 255, and the label.
    ///
    /// # Errors
    /// If the file cannot be read or a line is different.
    pub fn read_digits(path: &Path) -> Result<Self, ReadError> {
        let text = String::from_utf8(read_bytes(path)?).map_err(|_| ReadError::Kind {
            path: path.into(),
            expected: "a table of digits (digits.csv.gz of scikit-learn)",
            found: "no text".into(),
        })?;
        let mut images = Self { width: 8, height: 8, grey: Vec::new(), labels: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            let numbers = parse_digit(line)
                .ok_or_else(|| ReadError::Line { path: path.into(), line: index + 1 })?;
            images.grey.extend(numbers[..64].iter().map(|it| (it * 255.0 / 16.0).round() as u8));
            images.labels.push(numbers[64] as u8);
        }
        Ok(images)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of one image.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.width * self.height;
        &self.grey[index * size..][..size]
    }
}

/// The sizes of an IDX file of bytes in `N` dimensions, and its bytes.
fn read_dimensions<const N: usize>(
    path: &Path,
    code: u8,
    expected: &'static str,
) -> Result<([usize; N], Vec<u8>), ReadError> {
    let mut bytes = read_bytes(path)?;
    let start = 4 + 4 * N;
    if bytes.get(..4) != Some(&[0, 0, 8, code]) {
        let found = match bytes.get(..4) {
            Some([0, 0, 8, 1]) => "a file of labels".into(),
            Some([0, 0, 8, 3]) => "a file of images".into(),
            Some(other) => format!("a file that begins with the bytes {other:?}"),
            None => format!("a file of {} bytes", bytes.len()),
        };
        return Err(ReadError::Kind { path: path.into(), expected, found });
    }
    let found = bytes.len() as u64;
    let wrong = |expected: u64| ReadError::Length { path: path.into(), expected, found };
    let header = bytes.get(4..start).ok_or_else(|| wrong(start as u64))?;
    let words: Vec<_> =
        header.as_chunks::<4>().0.iter().map(|it| u32::from_be_bytes(*it)).collect();
    let size = words.iter().fold(1_u64, |size, it| size.saturating_mul((*it).into()));
    let length = size.saturating_add(start as u64);
    if length != found {
        return Err(wrong(length));
    }
    bytes.drain(..start);
    Ok((std::array::from_fn(|it| words[it] as usize), bytes))
}

/// The bytes of a file, decompressed if they begin as gzip does.
fn read_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let failed = |source| ReadError::File { path: path.into(), source };
    let bytes = std::fs::read(path).map_err(failed)?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).map_err(failed)?;
    Ok(plain)
}

fn parse_digit(line: &str) -> Option<Vec<f64>> {
    let numbers: Vec<f64> =
        line.split(',').map(|it| it.trim().parse().ok()).collect::<Option<_>>()?;
    let (label, pixels) = numbers.split_last()?;
    let valid = pixels.len() == 64
        && pixels.iter().all(|it| (0.0..=16.0).contains(it))
        && (0..10).any(|it| f64::from(it) == *label);
    valid.then_some(numbers)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const IMAGES: [u8; 28] =
        [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16];
    const LABELS: [u8; 10] = [0, 0, 8, 1, 0, 0, 0, 2, 7, 9];

    fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// What is said of images or labels that are wrong.
    fn complaint(images: &[u8], labels: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let (images, labels) = (file(&folder, "images", images), file(&folder, "labels", labels));
        LabelledImages::read_idx(&images, &labels).unwrap_err().to_string()
    }

    #[test]
    fn idx_files_are_read_plain_and_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let plain = (file(&folder, "i", &IMAGES), file(&folder, "l", &LABELS));
        let gzip = (
            file(&folder, "i.gz", &compressed(&IMAGES)),
            file(&folder, "l.gz", &compressed(&LABELS)),
        );
        for (images, labels) in [plain, gzip] {
            let read = LabelledImages::read_idx(&images, &labels).unwrap();
            assert_eq!((read.width, read.height, read.len()), (3, 2, 2));
            assert_eq!(read.image(1), [11, 12, 13, 14, 15, 16]);
            assert_eq!(read.labels, [7, 9]);
        }
    }

    #[test]
    fn errors_name_the_file_and_what_is_wrong() {
        let short = complaint(&IMAGES[..25], &LABELS);
        assert!(short.contains("images should have 28 bytes"), "{short}");
        assert!(short.contains("has 25: download it again"), "{short}");
        let header = complaint(&IMAGES[..9], &LABELS);
        assert!(header.contains("images should have 16 bytes"), "{header}");
        let swapped = complaint(&LABELS, &IMAGES);
        assert!(swapped.contains("images is a file of labels, not images"), "{swapped}");
        let page = complaint(b"<html>", &LABELS);
        assert!(page.contains("begins with the bytes [60, 104, 116, 109]"), "{page}");
        let pair = complaint(&IMAGES, &[0, 0, 8, 1, 0, 0, 0, 1, 7]);
        assert!(pair.contains("has 2 images") && pair.contains("labels has 1 labels"), "{pair}");
        let cut = complaint(&compressed(&IMAGES)[..20], &LABELS);
        assert!(cut.contains("images") && cut.contains("downloaded completely"), "{cut}");
        let huge = [[0, 0, 8, 3].as_slice(), &[255; 12]].concat();
        assert!(complaint(&huge, &LABELS).contains("download it again"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let path = Path::new("no/such/file");
        let error = LabelledImages::read_digits(path).unwrap_err();
        assert!(error.to_string().starts_with("cannot read no/such/file"), "{error}");
    }

    #[test]
    fn digits_are_read_and_wrong_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let line = |label: &str| format!("{}16.0,{label}\n", "8.000e+00,".repeat(63));
        let good = file(&folder, "d.csv.gz", &compressed((line("3") + &line("0")).as_bytes()));
        let digits = LabelledImages::read_digits(&good).unwrap();
        assert_eq!((digits.len(), digits.width, digits.height), (2, 8, 8));
        assert_eq!((digits.image(1)[0], digits.image(1)[63]), (128, 255));
        assert_eq!(digits.labels, [3, 0]);
        for wrong in [line("10"), line("3,4"), line("x"), line("3").replace("16.0", "17.0")] {
            let path = file(&folder, "w.csv", (line("3") + &wrong).as_bytes());
            let error = LabelledImages::read_digits(&path).unwrap_err().to_string();
            assert!(error.starts_with("line 2 of") && error.contains("w.csv"), "{error}");
        }
    }
}
