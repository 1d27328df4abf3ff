use burn::tensor::{Device, TensorData};

use super::*;
use crate::clips::{denormalise, normalise};
use crate::train::random::Stage;

/// No augmentation.
const IDENTITY: AugmentConfig = AugmentConfig {
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

/// Normalised frames `[n, t, 3, side, side]`, all the same.
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
fn without_augmentations_views_equal_the_frames() {
    let frames = frames([2, 3, 16]);
    let views = IDENTITY.augment(frames.clone(), &mut draws(1), false);
    assert!(distance(views, frames) < 1e-5);
}

#[test]
fn views_depend_on_the_seed_alone() {
    let augment =
        |seed| AugmentConfig::default().augment(frames([2, 2, 16]), &mut draws(seed), false);
    assert_eq!(augment(1).into_data(), augment(1).into_data());
    assert!(distance(augment(1), augment(2)) > 0.1);
}

#[test]
fn per_clip_augments_all_frames_of_a_clip_alike_and_clips_differently() {
    let config = AugmentConfig::default();
    let differences = |per_clip| {
        let views = config.augment(frames([3, 4, 16]), &mut draws(4), per_clip);
        let first = views.clone().narrow(1, 0, 1);
        let [a, b] = [0, 1].map(|it| first.clone().narrow(0, it, 1));
        let others = views.narrow(1, 1, 3);
        let nearest = (others - first).abs().max_dims(&[2, 3, 4]).min().into_scalar::<f32>();
        (nearest, distance(a, b))
    };
    let (within, between) = differences(true);
    assert!(within == 0.0 && between > 0.1, "{within} {between}");
    let (within, between) = differences(false);
    assert!(within > 0.1 && between > 0.1, "{within} {between}");
}

#[test]
fn views_of_plain_colours_stay_finite_and_in_range() {
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
fn crops_are_within_the_limits_and_the_frame() {
    let config = AugmentConfig { crop_scale: [0.2, 0.6], ..IDENTITY };
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
fn if_no_crop_fits_it_is_central() {
    let wide = AugmentConfig { crop_ratio: [0.75, 4.0 / 3.0], ..IDENTITY };
    let view = &wide.draw([1, 1, 3, 30, 100], &mut draws(1), true)[0];
    assert_eq!(view.crop, [0, 30, 30, 40]);
    let view = &wide.draw([1, 1, 3, 100, 30], &mut draws(1), true)[0];
    assert_eq!(view.crop, [30, 0, 40, 30]);
}

#[test]
fn an_error_names_the_key_of_a_wrong_value() {
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
    IDENTITY.validate().unwrap();
}
