//! Views as joint-embedding methods take them of images (Grill et al., 2020, appendix B), in
//! torchvision's terms: crop, flip, jitter of colours, grey, blur, solarise.
//!
//! Two deviations: colours are changed in one order, brightness, contrast, saturation, hue, where
//! torchvision draws the order; and crops are resized linearly, where BYOL's are bicubic.

use burn::tensor::Tensor;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::view::{View, apply};
use crate::train::random::{Draws, flag, uniform};
use crate::validate::is_positive;
use crate::{Error, Result};

/// The `[model.method.augment]` table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Least and largest area of a crop, as a part of the frame.
    pub crop_scale: [f64; 2],
    /// Least and largest width of a crop over its height.
    pub crop_ratio: [f64; 2],
    /// Probability of exchanging left and right.
    pub flip: f64,
    /// Probability that brightness, contrast, saturation and hue change.
    pub jitter: f64,
    /// Largest change of brightness, as a part of it.
    pub brightness: f64,
    /// Largest change of contrast, as a part of it.
    pub contrast: f64,
    /// Largest change of saturation, as a part of it.
    pub saturation: f64,
    /// Largest turn of the hue, in turns of the circle; at most 0.5.
    pub hue: f64,
    /// Probability of a view in grey.
    pub grey: f64,
    /// Probability of a Gaussian blur.
    pub blur: f64,
    /// Least and largest standard deviation of the blur, in pixels.
    pub blur_sigma: [f64; 2],
    /// Probability of inverting what is brighter than one half.
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
            return wrong(key, "a probability lies in 0..=1");
        }
        let changes = [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
        ];
        if let Some((key, _)) = changes.iter().find(|(_, it)| !(0.0..f64::INFINITY).contains(it)) {
            return wrong(key, "must be at least 0");
        }
        let rising = |[low, high]: [f64; 2]| is_positive(low) && is_positive(high) && low <= high;
        match self {
            it if !rising(it.crop_scale) || it.crop_scale[1] > 1.0 => {
                wrong("crop_scale", "two areas above 0 and up to 1, the smaller one first")
            }
            it if !rising(it.crop_ratio) => {
                wrong("crop_ratio", "two ratios above 0, the smaller one first")
            }
            it if !rising(it.blur_sigma) => {
                wrong("blur_sigma", "two deviations above 0, the smaller one first")
            }
            it if !(0.0..=0.5).contains(&it.hue) => wrong("hue", "must lie in 0..=0.5"),
            _ => Ok(()),
        }
    }

    /// Views of normalised frames `[n, t, 3, h, w]`, as large as the frames and normalised.
    ///
    /// `together` does the same to all frames of a clip, otherwise each goes its own way.
    pub(crate) fn augment(
        &self,
        frames: Tensor<5>,
        draws: &mut Draws,
        together: bool,
    ) -> Tensor<5> {
        let views = self.draw(frames.dims(), draws, together);
        apply(frames, &views)
    }

    /// What to do to each frame of `[n, t, 3, h, w]`, frame after frame of clip after clip.
    pub(crate) fn draw(
        &self,
        [n, t, _, h, w]: [usize; 5],
        draws: &mut Draws,
        together: bool,
    ) -> Vec<View> {
        let one = |rng: &mut ChaCha8Rng| self.draw_one([h, w], rng);
        if together {
            let views = draws.each([n, 1], one);
            return views.into_iter().flat_map(|it| vec![it; t]).collect();
        }
        draws.each([n, t], one)
    }

    /// Draws everything, whether it is used or not, so that one probability moves no other draw.
    fn draw_one(&self, size: [usize; 2], rng: &mut ChaCha8Rng) -> View {
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

    /// `RandomResizedCrop.get_params`: ten tries, then as much of the centre as the ratio allows.
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
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::clips::{denormalise, normalise};
    use crate::train::random::Stage;

    const NOTHING: AugmentConfig = AugmentConfig {
        crop_scale: [1.0, 1.0],
        crop_ratio: [1.0, 1.0],
        flip: 0.0,
        jitter: 0.0,
        brightness: 0.4,
        contrast: 0.4,
        saturation: 0.2,
        hue: 0.1,
        grey: 0.0,
        blur: 0.0,
        blur_sigma: [0.1, 2.0],
        solarise: 0.0,
    };

    fn draws(seed: u64) -> Draws {
        Draws::at(seed, 3, Stage::Augment, &Device::flex())
    }

    /// Colours `[n, t, 3, side, side]`, normalised; every frame is the same one.
    fn frames([n, t, side]: [usize; 3]) -> Tensor<5> {
        let values = (0..3 * side * side).map(|it| ((it * 37 + it * it * 11) % 256) as f32 / 255.0);
        let frame = TensorData::new(values.collect::<Vec<_>>(), [1, 1, 3, side, side]);
        normalise(Tensor::<5>::from_data(frame, &Device::flex()).repeat(&[n, t, 1, 1, 1]))
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    fn distance(a: Tensor<5>, b: Tensor<5>) -> f32 {
        (a - b).abs().max().into_scalar()
    }

    #[test]
    fn nothing_chosen_gives_the_frames_back() {
        let frames = frames([2, 3, 16]);
        let views = NOTHING.augment(frames.clone(), &mut draws(1), false);
        assert!(distance(views, frames) < 1e-5);
    }

    #[test]
    fn the_seed_decides_the_views() {
        let augment =
            |seed| AugmentConfig::default().augment(frames([2, 2, 16]), &mut draws(seed), false);
        assert_eq!(augment(1).into_data(), augment(1).into_data());
        assert!(distance(augment(1), augment(2)) > 0.1);
    }

    #[test]
    fn together_does_the_same_to_all_frames_of_a_clip_and_to_no_other() {
        let config = AugmentConfig::default();
        let spread = |together| {
            let views = config.augment(frames([3, 4, 16]), &mut draws(4), together);
            let first = views.clone().narrow(1, 0, 1);
            let [a, b] = [0, 1].map(|it| first.clone().narrow(0, it, 1));
            let others = views.narrow(1, 1, 3);
            let nearest = (others - first).abs().max_dims(&[2, 3, 4]).min().into_scalar::<f32>();
            (nearest, distance(a, b))
        };
        let (within, between) = spread(true);
        assert!(within == 0.0 && between > 0.1, "{within} {between}");
        let (within, between) = spread(false);
        assert!(within > 0.1 && between > 0.1, "{within} {between}");
    }

    #[test]
    fn views_stay_finite_and_in_range_even_of_single_colours() {
        let all = AugmentConfig { jitter: 1.0, blur: 1.0, solarise: 0.5, ..Default::default() };
        let device = Device::flex();
        let plain = [[0.0; 3], [1.0; 3], [0.5; 3], [0.0, 0.0, 1.0], [0.9, 0.9, 0.0]];
        let plain = Tensor::<2>::from_floats(plain, &device).reshape([5, 1, 3, 1, 1]);
        let plain = normalise(plain.repeat(&[1, 8, 1, 16, 16]));
        let batch = Tensor::cat(vec![plain, frames([20, 8, 16])], 0);
        let views = denormalise(all.augment(batch, &mut draws(6), false));
        let views = values(views);
        assert!(views.iter().all(|it| (-1e-5..=1.0 + 1e-5).contains(it)), "NaN or out of range");
    }

    #[test]
    fn crops_keep_to_the_limits_and_to_the_frame() {
        let config = AugmentConfig { crop_scale: [0.2, 0.6], ..NOTHING };
        let config = AugmentConfig { crop_ratio: [0.75, 4.0 / 3.0], ..config };
        let mut sides = Vec::new();
        for view in config.draw([500, 1, 3, 100, 150], &mut draws(8), true) {
            let [top, left, height, width] = view.crop;
            assert!(top + height <= 100 && left + width <= 150, "{view:?}");
            let (area, ratio) = (height * width, width as f64 / height as f64);
            assert!((2900..=9100).contains(&area) && (0.73..=1.36).contains(&ratio), "{view:?}");
            sides.push((top, left, height, width));
        }
        sides.sort();
        sides.dedup();
        assert!(sides.len() > 450, "crops differ");
    }

    #[test]
    fn where_no_crop_fits_the_centre_is_taken() {
        let wide = AugmentConfig { crop_ratio: [0.75, 4.0 / 3.0], ..NOTHING };
        let view = &wide.draw([1, 1, 3, 30, 100], &mut draws(1), true)[0];
        assert_eq!(view.crop, [0, 30, 30, 40]);
        let view = &wide.draw([1, 1, 3, 100, 30], &mut draws(1), true)[0];
        assert_eq!(view.crop, [30, 0, 40, 30]);
    }

    #[test]
    fn a_wrong_value_is_named() {
        let d = AugmentConfig::default;
        let wrong = [
            ("crop_scale", AugmentConfig { crop_scale: [0.5, 1.1], ..d() }),
            ("crop_scale", AugmentConfig { crop_scale: [0.0, 1.0], ..d() }),
            ("crop_ratio", AugmentConfig { crop_ratio: [2.0, 1.0], ..d() }),
            ("flip", AugmentConfig { flip: 1.5, ..d() }),
            ("jitter", AugmentConfig { jitter: -0.1, ..d() }),
            ("brightness", AugmentConfig { brightness: -1.0, ..d() }),
            ("contrast", AugmentConfig { contrast: f64::NAN, ..d() }),
            ("saturation", AugmentConfig { saturation: f64::INFINITY, ..d() }),
            ("hue", AugmentConfig { hue: 0.6, ..d() }),
            ("grey", AugmentConfig { grey: f64::NAN, ..d() }),
            ("blur", AugmentConfig { blur: 2.0, ..d() }),
            ("blur_sigma", AugmentConfig { blur_sigma: [0.0, 1.0], ..d() }),
            ("solarise", AugmentConfig { solarise: 2.0, ..d() }),
        ];
        for (name, config) in wrong {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(&format!("model.method.augment.{name}: ")), "{error}");
        }
        d().validate().unwrap();
        NOTHING.validate().unwrap();
    }
}
