use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::NotFinite;

/// Mean of ImageNet's red, green and blue, for colours in 0..=1.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's red, green and blue, for colours in 0..=1.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// A batch of clips on the device, without gradient tracking: frames, times and optional data.
#[derive(Clone, Debug)]
pub struct Clips {
    /// Normalised frames, `[n, t, 3, height, width]`.
    frames: Tensor<5>,
    /// Seconds since the first frame of the clip, `[n, t]`.
    times: Tensor<2>,
    /// Camera motion from each frame to the next, `[n, t − 1, 5]`.
    motion: Option<Tensor<3>>,
    /// Telemetry of each frame, `[n, t, columns + 1]`; the last column is 1 where it is known.
    telemetry: Option<Tensor<3>>,
    /// Number of the video that each clip comes from, `[n]`.
    videos: Vec<usize>,
}

impl Clips {
    /// Uploads RGB bytes `[n, t, height, width, 3]` and normalises them on the device: bytes are a
    /// quarter of the size of floats.
    pub fn upload(pixels: Vec<u8>, shape: [usize; 5], device: &Device) -> Self {
        let bytes = TensorData::new::<u8, _>(pixels, shape);
        let frames = Tensor::<5, Int>::from_data(bytes, (device, DType::U8));
        let frames = frames.float().permute([0, 1, 4, 2, 3]) / 255.0;
        Self::normalised(normalise(frames))
    }

    /// Clips from frames `[n, t, 3, height, width]` that are already normalised. Frames are one
    /// second apart, and each clip comes from a different video.
    pub fn normalised(frames: Tensor<5>) -> Self {
        let [n, t, ..] = frames.dims();
        let times = Tensor::<1, Int>::arange(0..t as i64, &frames.device()).float();
        let times = times.reshape([1, t]).repeat_dim(0, n);
        Self { frames, times, motion: None, telemetry: None, videos: (0..n).collect() }
    }

    /// Sets the stream time of each frame in seconds, `[n, t]`.
    pub fn with_times(mut self, times: &[f64]) -> Self {
        let frames = self.frames_per_clip();
        let since =
            times.chunks(frames).flat_map(|clip| clip.iter().map(|it| (it - clip[0]) as f32));
        self.times = self.floats(since.collect(), [self.len(), frames]);
        self
    }

    /// Sets the camera motion from each frame to the next, `[n, t − 1, 5]`: shift to the right in
    /// frame widths, shift down in frame heights, rotation in radians, logarithm of the scale, and
    /// 1 where the motion is known, else 0.
    pub fn with_motion(mut self, motion: Vec<f32>) -> Self {
        self.motion = Some(self.floats(motion, [self.len(), self.frames_per_clip() - 1, 5]));
        self
    }

    /// Sets the telemetry of each frame, `[n, t, columns]`; the last column is 1 where telemetry is
    /// known, else 0.
    pub fn with_telemetry(mut self, telemetry: Vec<f32>) -> Self {
        let (n, frames) = (self.len(), self.frames_per_clip());
        let columns = telemetry.len() / (n * frames);
        self.telemetry = Some(self.floats(telemetry, [n, frames, columns]));
        self
    }

    /// Sets the number of the video that each clip comes from, `[n]`.
    pub fn with_videos(mut self, videos: Vec<usize>) -> Self {
        assert_eq!(videos.len(), self.len(), "a video for every clip");
        self.videos = videos;
        self
    }

    fn floats<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new::<f32, _>(values, shape), &self.frames.device())
    }

    /// Number of clips in the batch.
    pub fn len(&self) -> usize {
        self.frames.dims()[0]
    }

    /// Whether the batch has no clips.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frames `from..from + len` of every clip as separate images, `[n · len, 3, h, w]`.
    pub fn frames(&self, from: usize, len: usize) -> Tensor<4> {
        self.frames.clone().narrow(1, from, len).flatten(0, 1)
    }

    /// Frames `from..from + len` of every clip, stacked in the channels, `[n, len · 3, h, w]`.
    pub(crate) fn window(&self, from: usize, len: usize) -> Tensor<4> {
        self.frames.clone().narrow(1, from, len).flatten(1, 2)
    }

    /// All frames, `[n, t, 3, h, w]`.
    pub(crate) fn all(&self) -> Tensor<5> {
        self.frames.clone()
    }

    /// Number of frames in a clip.
    pub fn frames_per_clip(&self) -> usize {
        self.frames.dims()[1]
    }

    /// Seconds since the first frame of the clip, `[n, t]`.
    pub(crate) fn times(&self) -> Tensor<2> {
        self.times.clone()
    }

    /// Camera motion, if the batch has it, `[n, t − 1, 5]`.
    pub(crate) fn motion(&self) -> Option<Tensor<3>> {
        self.motion.clone()
    }

    /// Telemetry, if the batch has it, `[n, t, columns + 1]`.
    pub(crate) fn telemetry(&self) -> Option<Tensor<3>> {
        self.telemetry.clone()
    }

    /// Number of the video that each clip comes from, `[n]`.
    pub(crate) fn videos(&self) -> &[usize] {
        &self.videos
    }

    /// The times, camera motion and telemetry that are not finite. Pixels are bytes and always
    /// finite.
    pub(crate) fn not_finite(&self) -> Vec<NotFinite> {
        let times = NotFinite::of("the times of the clips".into(), self.times.clone());
        let motion = self.motion.clone();
        let motion = motion.and_then(|it| NotFinite::of("the camera motion".into(), it));
        let telemetry = self.telemetry.clone();
        let telemetry = telemetry.and_then(|it| NotFinite::of("the telemetry".into(), it));
        times.into_iter().chain(motion).chain(telemetry).collect()
    }

    /// The device of the frames.
    pub(crate) fn device(&self) -> Device {
        self.frames.device()
    }

    /// Splits the batch into `parts` of equal size; the last ones are smaller if the size is uneven.
    pub(crate) fn chunks(&self, parts: usize) -> Vec<Self> {
        let mut from = 0;
        let frames = self.frames.clone().chunk(parts, 0).into_iter();
        let runs = frames.map(|frames| {
            let len = frames.dims()[0];
            let run = Self {
                frames,
                times: self.times.clone().narrow(0, from, len),
                motion: self.motion.clone().map(|it| it.narrow(0, from, len)),
                telemetry: self.telemetry.clone().map(|it| it.narrow(0, from, len)),
                videos: self.videos[from..from + len].to_vec(),
            };
            from += len;
            run
        });
        runs.collect()
    }
}

/// Colours in 0..=1, `[.., 3, h, w]`, to the normalised frames that encoders take.
pub(crate) fn normalise<const D: usize>(colours: Tensor<D>) -> Tensor<D> {
    let (mean, std) = (channels(IMAGENET_MEAN, &colours), channels(IMAGENET_STD, &colours));
    (colours - mean) / std
}

/// Normalised frames, `[.., 3, h, w]`, back to colours in 0..=1.
pub(crate) fn denormalise<const D: usize>(frames: Tensor<D>) -> Tensor<D> {
    let (mean, std) = (channels(IMAGENET_MEAN, &frames), channels(IMAGENET_STD, &frames));
    frames * std + mean
}

/// One value per channel, in a shape that broadcasts over `frames` `[.., 3, h, w]`.
fn channels<const D: usize>(values: [f32; 3], frames: &Tensor<D>) -> Tensor<D> {
    let mut shape = [1; D];
    shape[D - 3] = 3;
    Tensor::<1>::from_floats(values, &frames.device()).reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_normalised_channels() {
        let device = Device::flex();
        let clips = Clips::upload(vec![0, 128, 255, 255, 128, 0], [1, 2, 1, 1, 3], &device);
        let values = clips.frames(0, 2).into_data().try_to_vec::<f32>().unwrap();
        let want = |byte: f32, c: usize| (byte / 255.0 - IMAGENET_MEAN[c]) / IMAGENET_STD[c];
        let wanted = [
            [want(0.0, 0), want(128.0, 1), want(255.0, 2)],
            [want(255.0, 0), want(128.0, 1), want(0.0, 2)],
        ];
        for (got, wanted) in values.iter().zip(wanted.as_flattened()) {
            assert!((got - wanted).abs() < 1e-6, "{got} is not {wanted}");
        }
        let colours = denormalise(clips.frames(0, 2)).into_data().try_to_vec::<f32>().unwrap();
        for (got, byte) in colours.iter().zip([0.0, 128.0, 255.0, 255.0, 128.0, 0.0]) {
            assert!((got * 255.0 - byte).abs() < 1e-4, "{got} is not {byte} of 255");
        }
    }

    #[test]
    fn chunks_split_frames_times_and_data_alike() {
        let device = Device::flex();
        let clips = Clips::normalised(Tensor::zeros([3, 2, 3, 4, 4], &device))
            .with_times(&[5.0, 5.5, 7.0, 7.25, 9.0, 10.0])
            .with_motion((0..15).map(|it| it as f32).collect())
            .with_telemetry((0..12).map(|it| it as f32).collect())
            .with_videos(vec![4, 2, 7]);
        let [two, one] = clips.chunks(2).try_into().unwrap();
        assert_eq!((two.videos(), one.videos()), (&[4, 2][..], &[7][..]));
        let floats = |it: Tensor<1>| it.into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(floats(two.times().flatten(0, 1)), [0.0, 0.5, 0.0, 0.25]);
        assert_eq!(floats(one.motion().unwrap().flatten(0, 2)), [10.0, 11.0, 12.0, 13.0, 14.0]);
        assert_eq!(floats(one.telemetry().unwrap().flatten(0, 2)), [8.0, 9.0, 10.0, 11.0]);
    }
}
