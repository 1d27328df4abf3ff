use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// Mean and standard deviation of ImageNet's channels, which the papers normalise by.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// A batch of clips on the device, untracked: normalised frames `[n, t, 3, height, width]`.
#[derive(Clone, Debug)]
pub struct Clips {
    frames: Tensor<5>,
}

impl Clips {
    /// Uploads RGB bytes `[n, t, height, width, 3]`, a quarter of the floats, and normalises
    /// them on the device.
    pub fn upload(pixels: Vec<u8>, shape: [usize; 5], device: &Device) -> Self {
        let bytes = TensorData::new::<u8, _>(pixels, shape);
        let frames = Tensor::<5, Int>::from_data(bytes, (device, DType::U8));
        Self { frames: normalise(frames.float().permute([0, 1, 4, 2, 3]) / 255.0) }
    }

    /// Frames `[n, t, 3, height, width]` that are normalised already.
    pub fn normalised(frames: Tensor<5>) -> Self {
        Self { frames }
    }

    /// Clips in the batch.
    pub fn len(&self) -> usize {
        self.frames.dims()[0]
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frames `from..from + len` of every clip, one after the other, `[n · len, 3, h, w]`.
    pub fn frames(&self, from: usize, len: usize) -> Tensor<4> {
        self.frames.clone().narrow(1, from, len).flatten(0, 1)
    }

    /// Frames in a clip.
    pub fn frames_per_clip(&self) -> usize {
        self.frames.dims()[1]
    }

    /// The batch in `parts` equal runs of clips; a remainder makes the last ones smaller.
    pub(crate) fn chunks(&self, parts: usize) -> Vec<Self> {
        self.frames.clone().chunk(parts, 0).into_iter().map(Self::normalised).collect()
    }
}

/// Colours in 0..=1, `[.., 3, h, w]`, to what the encoders see.
pub(crate) fn normalise<const D: usize>(colours: Tensor<D>) -> Tensor<D> {
    let (mean, std) = (channels(MEAN, &colours), channels(STD, &colours));
    (colours - mean) / std
}

/// Back to colours in 0..=1.
pub(crate) fn denormalise<const D: usize>(frames: Tensor<D>) -> Tensor<D> {
    let (mean, std) = (channels(MEAN, &frames), channels(STD, &frames));
    frames * std + mean
}

/// A value a channel, to go with `frames`, `[.., 3, h, w]`.
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
        let want = |byte: f32, c: usize| (byte / 255.0 - MEAN[c]) / STD[c];
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
}
