//! Batches of the pipeline as clips on the model's device.

use std::collections::HashMap;

use model::{Clips, Device, Input};
use pipeline::{Batch, ClipInfo};

use crate::run::telemetry::Telemetry;

/// The clips that a config gives, with `columns` columns of telemetry.
pub(crate) fn input(config: &pipeline::Config, columns: usize) -> Input {
    Input {
        image: config.size,
        frames: config.clip.frames,
        clips: config.batch.clips,
        motion: config.clip.camera_motion,
        telemetry: columns,
    }
}

/// Uploads a batch. Its pixels are moved out of it.
pub(crate) fn upload(batch: &mut Batch, telemetry: &Telemetry, device: &Device) -> Clips {
    let pixels = std::mem::take(&mut batch.pixels);
    let clips = Clips::upload(pixels, batch.shape, device)
        .with_times(&batch.times)
        .with_videos(videos(&batch.clips));
    let clips = match batch.motion.take() {
        Some(motion) => clips.with_motion(motion),
        None => clips,
    };
    match telemetry.of_batch(batch) {
        Some(telemetry) => clips.with_telemetry(telemetry),
        None => clips,
    }
}

/// The video of each clip, as the index of the first clip of the same video.
fn videos(clips: &[ClipInfo]) -> Vec<usize> {
    let mut first = HashMap::new();
    let videos = clips.iter().enumerate().map(|(idx, clip)| {
        let video = (clip.stream, clip.item.clone());
        *first.entry(video).or_insert(idx)
    });
    videos.collect()
}
