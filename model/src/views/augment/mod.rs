//! Augmentations of joint-embedding methods (Grill et al., 2020, appendix B), with torchvision's
//! names: crop, flip, colour jitter, grey, blur, solarise.
//!
//! Two things differ. Colours always change in the order brightness, contrast, saturation, hue;
//! torchvision draws the order. Crops are resized bilinearly; BYOL resizes them bicubically.

use burn::tensor::Tensor;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::{View, apply};
use crate::train::random::{Draws, flag, uniform};
use crate::validate::is_positive;
use crate::{Error, Result};

/// The `[model.method.augment]` table.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Smallest and largest area of a crop, as a fraction of the frame. Default: 0.2 to 1.
    pub crop_scale: [f64; 2],
    /// Smallest and largest aspect ratio (width / height) of a crop. Default: 3/4 to 4/3.
    pub crop_ratio: [f64; 2],
    /// Probability of a horizontal flip. Default: 0.5.
    pub flip: f64,
    /// Probability of colour jitter: of brightness, contrast, saturation and hue. Default: 0.8.
    pub jitter: f64,
    /// Largest relative change of brightness: its factor is drawn from 1 ± this. Default: 0.4.
    pub brightness: f64,
    /// Largest relative change of contrast. Default: 0.4.
    pub contrast: f64,
    /// Largest relative change of saturation. Default: 0.2.
    pub saturation: f64,
    /// Largest shift of the hue, as a fraction of the colour circle; at most 0.5. Default: 0.1.
    pub hue: f64,
    /// Probability that a view is grey. Default: 0.2.
    pub grey: f64,
    /// Probability of a Gaussian blur. Default: 0.5.
    pub blur: f64,
    /// Smallest and largest standard deviation of the blur in pixels. Default: 0.1 to 2.
    pub blur_sigma: [f64; 2],
    /// Probability of solarising: values of at least one half are inverted. Default: 0.1.
    pub solarise: f64,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            crop_scale: [0.2, 1.0],
            crop_ratio: [3.0 / 4.0, 4.0 / 3.0],
            flip: 0.5,
            jitter: 0.8,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.2,
            hue: 0.1,
            grey: 0.2,
            blur: 0.5,
            blur_sigma: [0.1, 2.0],
            solarise: 0.1,
        }
    }
}

impl AugmentConfig {
    /// Checks the table.
    ///
    /// # Errors
    /// A value that cannot be used, with its key.
    pub(crate) fn validate(&self) -> Result<()> {
        let wrong = |key: &str, message: &str| {
            Err(Error::Config {
                key: format!("model.method.augment.{key}"),
                message: message.into(),
            })
        };
        let chances = [
            ("flip", self.flip),
            ("jitter", self.jitter),
            ("grey", self.grey),
            ("blur", self.blur),
            ("solarise", self.solarise),
        ];
        if let Some((key, _)) = chances.iter().find(|(_, it)| !(0.0..=1.0).contains(it)) {
            return wrong(key, "must be a probability from 0 to 1");
        }
        let changes = [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
        ];
        if let Some((key, _)) = changes.iter().find(|(_, it)| !(0.0..f64::INFINITY).contains(it)) {
            return wrong(key, "must be a finite number of at least 0");
        }
        let rising = |[low, high]: [f64; 2]| is_positive(low) && is_positive(high) && low <= high;
        match self {
            it if !rising(it.crop_scale) || it.crop_scale[1] > 1.0 => {
                wrong("crop_scale", "must be two numbers above 0 and at most 1, the smaller first")
            }
            it if !rising(it.crop_ratio) => {
                wrong("crop_ratio", "must be two numbers above 0, the smaller first")
            }
            it if !rising(it.blur_sigma) => {
                wrong("blur_sigma", "must be two numbers above 0, the smaller first")
            }
            it if !(0.0..=0.5).contains(&it.hue) => wrong("hue", "must be from 0 to 0.5"),
            _ => Ok(()),
        }
    }

    /// Augments normalised frames `[n, t, 3, h, w]`; the views have the same shape.
    ///
    /// With `per_clip` all frames of a clip are augmented alike, else each frame independently.
    pub(crate) fn augment(
        &self,
        frames: Tensor<5>,
        draws: &mut Draws,
        per_clip: bool,
    ) -> Tensor<5> {
        let views = self.draw(frames.dims(), draws, per_clip);
        apply(frames, &views)
    }

    /// Draws the augmentation of each frame of `[n, t, 3, h, w]`, in the order of clips and frames.
    pub(crate) fn draw(
        &self,
        [n, t, _, h, w]: [usize; 5],
        draws: &mut Draws,
        per_clip: bool,
    ) -> Vec<View> {
        let one = |rng: &mut ChaCha8Rng| self.draw_view([h, w], rng);
        if per_clip {
            let views = draws.each([n, 1], one);
            return views.into_iter().flat_map(|it| vec![it; t]).collect();
        }
        draws.each([n, t], one)
    }

    /// Draws every parameter, used or not, so that changing one probability changes no other draw.
    fn draw_view(&self, size: [usize; 2], rng: &mut ChaCha8Rng) -> View {
        let around = |rng: &mut ChaCha8Rng, change: f64| {
            uniform(rng, [(1.0 - change).max(0.0) as f32, (1.0 + change) as f32])
        };
        let flip = flag(rng, self.flip);
        let jitter = flag(rng, self.jitter);
        let factors = [self.brightness, self.contrast, self.saturation];
        let [brightness, contrast, saturation] = factors.map(|it| around(rng, it));
        let hue = uniform(rng, [-self.hue as f32, self.hue as f32]);
        let grey = flag(rng, self.grey);
        let blur = flag(rng, self.blur);
        let sigma = uniform(rng, self.blur_sigma.map(|it| it as f32));
        View {
            flip,
            jitter: jitter.then_some([brightness, contrast, saturation, hue]),
            grey,
            blur: if blur { sigma } else { 0.0 },
            solarise: flag(rng, self.solarise),
            crop: self.draw_crop(size, rng),
        }
    }

    /// As `RandomResizedCrop.get_params`: ten attempts, then the largest central crop within the
    /// aspect ratios.
    fn draw_crop(&self, [h, w]: [usize; 2], rng: &mut ChaCha8Rng) -> [usize; 4] {
        let range = |limits: [f64; 2]| limits.map(|it| it as f32);
        let round = |side: f64| side.round_ties_even() as usize;
        for _ in 0..10 {
            let area = (h * w) as f64 * f64::from(uniform(rng, range(self.crop_scale)));
            let ratio = f64::from(uniform(rng, range(self.crop_ratio.map(f64::ln)))).exp();
            let (height, width) = (round((area / ratio).sqrt()), round((area * ratio).sqrt()));
            if (1..=h).contains(&height) && (1..=w).contains(&width) {
                let top = rng.random_range(0..=h - height);
                return [top, rng.random_range(0..=w - width), height, width];
            }
        }
        let [least, largest] = self.crop_ratio;
        let height = round(w as f64 / least).clamp(1, h);
        let width = round(h as f64 * largest).clamp(1, w);
        [(h - height) / 2, (w - width) / 2, height, width]
    }
}

#[cfg(test)]
mod tests;
