//! What crosses from the pipeline to the model: batches as clips on the device, with what is
//! known beside their pixels.

use model::{Clips, Device, Input};
use pipeline::Batch;

use crate::telemetry::Telemetry;

/// What the clips of a run are like; `columns` are measured beside the streams.
pub(crate) fn input(config: &pipeline::Config, columns: usize) -> Input {
    Input {
        image: config.size,
        frames: config.clip.frames,
        motion: config.clip.camera_motion,
        telemetry: columns,
    }
}

/// Uploads a batch; its pixels are taken out of it.
pub(crate) fn upload(batch: &mut Batch, telemetry: &Telemetry, device: &Device) -> Clips {
    let pixels = std::mem::take(&mut batch.pixels);
    let clips = Clips::upload(pixels, batch.shape, device)
        .with_times(&batch.times)
        .with_streams(batch.clips.iter().map(|it| it.stream).collect());
    let clips = match batch.motion.take() {
        Some(motion) => clips.with_motion(motion),
        None => clips,
    };
    match telemetry.look_up(batch) {
        Some(telemetry) => clips.with_telemetry(telemetry),
        None => clips,
    }
}
