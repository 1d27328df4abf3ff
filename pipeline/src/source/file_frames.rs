//! The frames of one file by themselves, as an evaluation needs them: scaled, and not in clips.

use std::{path::Path, sync::Arc};

use super::{Item, SourceContext, init, open};
use crate::{
    ClipConfig, Fit, Problem, Result, SourceConfig, StreamConfig,
    picture::{PictureConfig, Scaler},
    stop::stop,
};

/// Which frames of a file are read, and how they are scaled.
#[derive(Clone, Copy, Debug)]
pub struct FileFrames {
    /// Height and width of a frame in pixels.
    pub size: [usize; 2],
    /// How a frame of another aspect is fitted.
    pub fit: Fit,
    /// Seconds from one frame to the next: of a video, the first frame at or after 0, `every`,
    /// twice `every` and so on is read. 0 reads all.
    pub every: f64,
    /// The most frames that are read.
    pub limit: usize,
}

/// A scaled frame of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileFrame {
    /// Stream time in seconds.
    pub time: f64,
    /// RGB, 8 bits per channel, `[height, width, 3]`.
    pub pixels: Arc<[u8]>,
}

impl FileFrames {
    /// Reads the frames of an image or a video.
    ///
    /// # Errors
    /// The file cannot be opened or has no frame, or a frame cannot be decoded.
    pub fn read(&self, path: &Path) -> Result<Vec<FileFrame>> {
        let label = path.display().to_string();
        self.frames(path, &label).map_err(|problem| problem.of_file(&label))
    }

    fn frames(&self, path: &Path, label: &str) -> Result<Vec<FileFrame>, Problem> {
        init()?;
        let stream = StreamConfig::new("evaluation", SourceConfig::Files(label.into()));
        let mut scaler = Scaler::new(self.size, PictureConfig::new(self.fit, &stream));
        let (_stopper, stop) = stop();
        let context = SourceContext {
            stream: Arc::new(stream),
            clip: ClipConfig::new(2, self.every.max(1e-3)),
            stop,
            side_counters: Arc::default(),
        };
        let mut frames = Vec::new();
        let mut next = f64::NEG_INFINITY;
        for frame in open(&Item::File(path.into()), &context)? {
            let frame = frame?;
            if frame.time < next {
                continue;
            }
            let pixels = frame.image.pixels(&mut scaler)?;
            let first = frames.first().map_or(frame.time, |it: &FileFrame| it.time);
            frames.push(FileFrame { time: frame.time, pixels });
            // A microsecond less, because containers round times.
            next = first + frames.len() as f64 * self.every - 1e-6;
            if frames.len() >= self.limit {
                break;
            }
        }
        if frames.is_empty() { Err(Problem::NoFrames) } else { Ok(frames) }
    }
}
