//! The TDV trainer on a small batch.

use burn::tensor::Device;

use crate::method::tdv;
use crate::{
    Clips, Config, DinoHeadConfig, EmbedConfig, EncoderConfig, Error, Input, MethodConfig,
    Precision, TrainConfig, trainer,
};

fn config(precision: Precision) -> Config {
    let encoder = EncoderConfig {
        patch: 4,
        dim: Some(16),
        depth: Some(1),
        heads: Some(2),
        ..Default::default()
    };
    let head = DinoHeadConfig { hidden: 16, bottleneck: 8, prototypes: 12, chunk: 100 };
    Config {
        encoder,
        method: MethodConfig::Tdv(tdv::Config { head, ..Default::default() }),
        train: TrainConfig { steps: 10, warmup: Some(0), ..Default::default() },
        embed: EmbedConfig::default(),
        precision,
    }
}

fn clips(n: usize, device: &Device) -> Clips {
    let shape = [n, 3, 8, 8, 3];
    let pixels = (0..shape.iter().product::<usize>()).map(|it| (it * it % 253) as u8);
    Clips::upload(pixels.collect(), shape, device)
}

fn losses(config: &Config, n: usize, steps: usize) -> Vec<f32> {
    let device = Device::flex();
    let mut trainer = trainer(config, Input::frames([8, 8], 3), 0, &device).unwrap();
    let clips = clips(n, &device);
    (0..steps).map(|_| trainer.step(&clips, true).unwrap().unwrap().values[0].1).collect()
}

#[test]
fn the_loss_falls_on_one_batch_and_repeats_bit_for_bit() {
    let mut config = config(Precision::Float32);
    config.train.learning_rate = 1e-2;
    let first = losses(&config, 4, 8);
    assert!(first[7] < first[0] - 0.1, "{first:?}");
    assert_eq!(first, losses(&config, 4, 8));
}

#[test]
fn bfloat16_trains_like_float32() {
    let pairs = [Precision::Float32, Precision::Bfloat16].map(|it| losses(&config(it), 4, 3));
    for (full, half) in pairs[0].iter().zip(&pairs[1]) {
        assert!((full - half).abs() / full < 0.02, "{full} and {half}");
    }
}

#[test]
fn a_report_has_a_number_per_clip_for_any_number_of_parts() {
    for (n, accumulate) in [(1, 1), (5, 1), (5, 2), (3, 8)] {
        let mut config = config(Precision::Float32);
        config.train.accumulate = accumulate;
        let device = Device::flex();
        let mut trainer = trainer(&config, Input::frames([8, 8], 3), 0, &device).unwrap();
        let clips = clips(n, &device);
        let report = trainer.step(&clips, true).unwrap().unwrap();
        let value = |name: &str| report.values.iter().find(|it| it.0 == name).unwrap().1;
        let (name, errors) = &report.per_clip[0];
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        assert_eq!((name.as_str(), errors.len()), ("mse", n));
        assert!((mean - value("mse")).abs() < 1e-5, "{mean} is not the mean {}", value("mse"));
        let ratio = value("mse") / value("copy_mse");
        assert!((value("copy_ratio") - ratio).abs() < 1e-6);
    }
}

#[test]
fn the_first_loss_that_is_not_finite_is_named() {
    let mut config = config(Precision::Float32);
    config.train.learning_rate = 1e38;
    config.train.grad_clip = 1e30;
    let device = Device::flex();
    let mut trainer = trainer(&config, Input::frames([8, 8], 3), 0, &device).unwrap();
    let clips = clips(2, &device);
    assert!(trainer.step(&clips, true).is_ok(), "the first weights are finite");
    let results: Vec<_> = (0..4).map(|idx| trainer.step(&clips, idx == 3)).collect();
    let Err(Error::Diverged { step, loss }) = &results[3] else { panic!("still finite") };
    assert!((2..=3).contains(step) && !loss.is_finite(), "step {step}: {loss}");
}
