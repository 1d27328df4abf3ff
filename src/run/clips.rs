//! What crosses from the pipeline to the model: batches as clips on the device, with what is
//! known beside their pixels.

use std::collections::HashMap;

use model::{Clips, Device, Input};
use pipeline::{Batch, ClipInfo};

use crate::run::telemetry::Telemetry;

/// What the clips of a run are like; `columns` are measured beside the streams.
pub(crate) fn input(config: &pipeline::Config, columns: usize) -> Input {
    Input {
        image: config.size,
        frames: config.clip.frames,
        clips: config.batch.clips,
        motion: config.clip.camera_motion,
        telemetry: columns,
    }
}

/// Uploads a batch; its pixels are taken out of it.
pub(crate) fn upload(batch: &mut Batch, telemetry: &Telemetry, device: &Device) -> Clips {
    let pixels = std::mem::take(&mut batch.pixels);
    let clips = Clips::upload(pixels, batch.shape, device)
        .with_times(&batch.times)
        .with_videos(videos(&batch.clips));
    let clips = match batch.motion.take() {
        Some(motion) => clips.with_motion(motion),
        None => clips,
    };
    match telemetry.look_up(batch) {
        Some(telemetry) => clips.with_telemetry(telemetry),
        None => clips,
    }
}

/// A number for the video of each clip: the index of the first clip that is of the same.
fn videos(clips: &[ClipInfo]) -> Vec<usize> {
    let video = |it: &ClipInfo| (it.stream, it.item.clone());
    let mut first = HashMap::new();
    clips.iter().enumerate().map(|(idx, it)| *first.entry(video(it)).or_insert(idx)).collect()
}
