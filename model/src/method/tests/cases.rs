//! The configurations, as a user would write them but for their size, and clips for each.

use burn::tensor::Device;
use serde_json::{Value, json};

use crate::train::random::{Draws, Stage, flag, uniform};
use crate::{Clips, Config, Input, Trainer, trainer};

/// One configuration.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// The `[model.encoder]` table, in JSON.
    pub(super) encoder: &'static str,
    /// The `[model.method]` table, in JSON.
    pub(super) method: &'static str,
    /// Frames in a clip.
    pub(super) frames: usize,
}

const VIT: &str = r#"{"patch": 8, "dim": 16, "depth": 1, "heads": 2}"#;
const RESNET: &str = r#"{"arch": "resnet18"}"#;
const CONV3D: &str = r#"{"arch": "conv3d", "channels": [4, 4, 4, 4, 6], "frames": 2}"#;

const fn vit(name: &'static str, method: &'static str) -> Case {
    Case { name, encoder: VIT, method, frames: 3 }
}

const fn with(encoder: &'static str, frames: usize, case: Case) -> Case {
    Case { encoder, frames, ..case }
}

/// Every method, and the values of its keys.
#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    vit("simclr", r#"{"name": "simclr", "projector": "16-8"}"#),
    vit("simclr, augmented", r#"{"name": "simclr", "projector": "16-8", "views": "augmented"}"#),
    vit("simclr, both", r#"{"name": "simclr", "projector": "16-8", "views": "both"}"#),
    vit("simclr, other videos", r#"{"name": "simclr", "projector": "16-8", "other_videos": true}"#),
    vit("dcl, other videos", r#"{"name": "dcl", "projector": "16-8", "other_videos": true}"#),
    vit("spectral, other videos", r#"{"name": "spectral", "projector": "16-8", "other_videos": true}"#),
    vit("simclr-sq", r#"{"name": "simclr-sq", "projector": "16-8"}"#),
    vit("simclr-sq, transformed", r#"{"name": "simclr-sq", "projector": "16-8", "loss": {"positives": "transformed"}}"#),
    vit("simclr-abs", r#"{"name": "simclr-abs", "projector": "16-8"}"#),
    vit("dcl", r#"{"name": "dcl", "projector": "16-8"}"#),
    vit("dclw", r#"{"name": "dclw", "projector": "16-8"}"#),
    vit("spectral", r#"{"name": "spectral", "projector": "16-8"}"#),
    vit("vicreg", r#"{"name": "vicreg", "projector": "16-8"}"#),
    vit("vicreg-exp", r#"{"name": "vicreg-exp", "projector": "16-8"}"#),
    vit("vicreg-ctr", r#"{"name": "vicreg-ctr", "projector": "16-8"}"#),
    vit("vicreg-ctr, literal", r#"{"name": "vicreg-ctr", "projector": "16-8", "loss": {"reading": "literal"}}"#),
    vit("barlow-twins", r#"{"name": "barlow-twins", "projector": "16-8"}"#),
    vit("lejepa", r#"{"name": "lejepa", "projector": "16-8", "loss": {"directions": 16}}"#),
    with(RESNET, 2, vit("vicreg, resnet18", r#"{"name": "vicreg", "projector": "16-8"}"#)),
    with(CONV3D, 4, vit("simclr, conv3d", r#"{"name": "simclr", "projector": "16-8"}"#)),

    vit("tico", r#"{"name": "tico", "projector": "16-8", "momentum": 0.9}"#),
    vit("tico, both", r#"{"name": "tico", "projector": "16-8", "momentum": 0.9, "views": "both", "loss": {"through_covariance": true}}"#),
    vit("byol", r#"{"name": "byol", "projector": "16-8", "predictor": "16-8", "momentum": 0.9}"#),
    vit("byol, augmented", r#"{"name": "byol", "projector": "16-8", "predictor": "16-8", "momentum": 0.9, "views": "augmented"}"#),
    with(CONV3D, 4, vit("byol, conv3d", r#"{"name": "byol", "projector": "16-8", "predictor": "16-8", "momentum": 0.9}"#)),
    vit("simsiam", r#"{"name": "simsiam", "projector": "16-8", "predictor": "4-8"}"#),
    vit("simsiam, both", r#"{"name": "simsiam", "projector": "16-8", "predictor": "4-8", "views": "both"}"#),

    vit("tdv", r#"{"name": "tdv", "momentum": 0.9, "head": {"hidden": 16, "bottleneck": 8, "prototypes": 12}}"#),
    vit("tdv, motion = frame", r#"{"name": "tdv", "momentum": 0.9, "motion": "frame", "head": {"hidden": 16, "bottleneck": 8, "prototypes": 12}}"#),
    vit("tdv, motion = none", r#"{"name": "tdv", "momentum": 0.9, "motion": "none", "head": {"hidden": 16, "bottleneck": 8, "prototypes": 12}}"#),
    vit("tdv-sigreg", r#"{"name": "tdv-sigreg", "projector": "16-8", "directions": 16}"#),
    vit("tdv-adassl", r#"{"name": "tdv-adassl", "dim": 4, "tdv": {"momentum": 0.9, "head": {"hidden": 16, "bottleneck": 8, "prototypes": 12}}}"#),

    vit("adassl, gaussian", r#"{"name": "adassl", "dim": 4, "hidden": 16, "projector": "16-8", "editor": "16-8", "momentum": 0.9}"#),
    vit("adassl, sparse", r#"{"name": "adassl", "latent": "sparse", "dim": 4, "hidden": 16, "projector": "16-8", "predictor": "16-8", "momentum": 0.9, "beta": 0.1}"#),
    vit("adassl, none", r#"{"name": "adassl", "latent": "none", "projector": "16-8", "editor": "16-8", "momentum": 0.9}"#),
    vit("adassl, gaussian, contrastive", r#"{"name": "adassl", "objective": "contrastive", "dim": 4, "hidden": 16, "projector": "16-8", "editor": "16-8", "other_videos": true}"#),
    vit("adassl, sparse, contrastive", r#"{"name": "adassl", "latent": "sparse", "objective": "contrastive", "dim": 4, "hidden": 16, "projector": "16-8", "beta": 0.1}"#),
    vit("adassl, none, contrastive", r#"{"name": "adassl", "latent": "none", "objective": "contrastive", "projector": "16-8", "editor": "16-8", "learn_scale": true}"#),
    vit("adassl, additive", r#"{"name": "adassl", "dim": 8, "hidden": 16, "projector": "16-8", "editor": "additive", "predictor": "16-8", "momentum": 0.9, "momentum_rises": false}"#),
    vit("adassl, additive, contrastive", r#"{"name": "adassl", "objective": "contrastive", "dim": 8, "hidden": 16, "projector": "16-8", "editor": "additive"}"#),
    vit("adassl, dense", r#"{"name": "adassl", "dim": 4, "hidden": 16, "projector": "16-8", "editor": "16-8", "momentum": 0.9, "dense": {"depth": 1}}"#),
    vit("adassl, sparse, dense, contrastive", r#"{"name": "adassl", "latent": "sparse", "objective": "contrastive", "dim": 4, "hidden": 16, "projector": "16-8", "dense": {"depth": 1}}"#),
    vit("adassl, none, dense", r#"{"name": "adassl", "latent": "none", "projector": "16-8", "editor": "16-8", "momentum": 0.9, "dense": {"depth": 1}}"#),
    vit("adassl, third view = none", r#"{"name": "adassl", "third_view": "none", "dim": 4, "hidden": 16, "projector": "16-8", "projector_norm": true, "editor": "16-8", "momentum": 0.9}"#),
    vit("adassl, third view = augmented", r#"{"name": "adassl", "third_view": "augmented", "augment": {}, "dim": 4, "hidden": 16, "projector": "16-8", "editor": "16-8", "momentum": 0.9}"#),
    vit("adassl, both directions", r#"{"name": "adassl", "third_view": "none", "directions": "both", "dim": 4, "hidden": 16, "projector": "16-8", "editor": "16-8", "momentum": 0.9}"#),
    vit("adassl, both directions, augmented", r#"{"name": "adassl", "third_view": "augmented", "augment": {}, "directions": "both", "dim": 4, "hidden": 16, "projector": "16-8", "editor": "16-8", "momentum": 0.9}"#),
    vit("adassl, both directions, contrastive", r#"{"name": "adassl", "objective": "contrastive", "third_view": "augmented", "augment": {}, "directions": "both", "dim": 4, "hidden": 16, "projector": "16-8", "editor": "16-8", "learn_scale": true, "other_videos": true}"#),
    with(CONV3D, 6, vit("adassl, conv3d", r#"{"name": "adassl", "dim": 4, "hidden": 16, "projector": "16-8", "editor": "16-8", "momentum": 0.9}"#)),

    with(VIT, 5, vit("seq-jepa, fixation", r#"{"name": "seq-jepa", "action_dim": 8, "depth": 1, "heads": 2, "predictor": 16, "momentum": 0.9}"#)),
    with(VIT, 2, vit("seq-jepa, few frames, a smaller view", r#"{"name": "seq-jepa", "view": [8, 8], "action_dim": 8, "depth": 1, "heads": 2, "predictor": 16, "dropout": 0.0, "momentum": 0.9}"#)),
    with(VIT, 5, vit("seq-jepa, camera", r#"{"name": "seq-jepa", "actions": "camera", "action_dim": 8, "depth": 1, "heads": 2, "predictor": 16, "momentum": 0.9}"#)),
    with(VIT, 5, vit("seq-jepa, telemetry", r#"{"name": "seq-jepa", "actions": "telemetry", "observed": 2, "action_dim": 8, "depth": 2, "heads": 2, "predictor": 16, "momentum": 0.9}"#)),
    with(VIT, 4, vit("seq-jepa, unconditioned", r#"{"name": "seq-jepa", "conditioned": false, "depth": 1, "heads": 2, "predictor": 16, "momentum": 0.9}"#)),
    with(VIT, 3, vit("seq-jepa, one view", r#"{"name": "seq-jepa", "observed": 1, "action_dim": 8, "depth": 1, "heads": 2, "predictor": 16, "momentum": 0.9}"#)),
    with(VIT, 2, vit("seq-jepa, augment", r#"{"name": "seq-jepa", "actions": "augment", "action_dim": 8, "depth": 1, "heads": 2, "predictor": 16, "momentum": 0.9}"#)),
    with(RESNET, 4, vit("seq-jepa, resnet18", r#"{"name": "seq-jepa", "observed": 2, "action_dim": 8, "depth": 1, "heads": 2, "predictor": 16, "momentum": 0.9}"#)),
];

/// Columns of telemetry.
const TELEMETRY: usize = 2;
/// Height and width of a frame.
const SIDE: usize = 16;

/// Steps of a run: few, so that schedules have moved after the first.
pub(super) const STEPS: u64 = 10;

/// A case by its name.
pub(super) fn case(name: &str) -> Case {
    *CASES.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("no case {name}"))
}

impl Case {
    /// The `[model]` table, with some keys of the method's replaced.
    pub(super) fn table(&self, method: &Value) -> Value {
        let parse = |it| serde_json::from_str::<Value>(it).unwrap();
        let mut table = parse(self.method);
        for (key, value) in method.as_object().unwrap() {
            table[key] = value.clone();
        }
        let train = json!({"steps": STEPS, "learning_rate": 1e-2, "warmup": 0});
        json!({"encoder": parse(self.encoder), "method": table, "train": train})
    }

    pub(super) fn config(&self) -> Config {
        self.config_with(&json!({}))
    }

    /// The configuration with some keys of its method replaced.
    pub(super) fn config_with(&self, method: &Value) -> Config {
        let table = self.table(method);
        serde_json::from_value(table).unwrap_or_else(|err| panic!("{}: {err}", self.name))
    }

    /// Clips with camera motion and telemetry.
    pub(super) fn input(&self) -> Input {
        let image = [SIDE, SIDE];
        Input { image, frames: self.frames, clips: 4, motion: true, telemetry: TELEMETRY }
    }

    pub(super) fn trainer(&self, seed: u64) -> Box<dyn Trainer> {
        self.trainer_of(&self.config(), seed)
    }

    pub(super) fn trainer_of(&self, config: &Config, seed: u64) -> Box<dyn Trainer> {
        let made = trainer(config, self.input(), seed, &Device::flex());
        made.unwrap_or_else(|err| panic!("{}: {err}", self.name))
    }

    /// `n` clips of noise, two of each video; every second camera is static.
    pub(super) fn clips(&self, n: usize, seed: u64) -> Clips {
        let mut draws = Draws::at(seed, 0, Stage::Augment, &Device::flex());
        let shape = [n, self.frames, SIDE, SIDE, 3];
        let bytes = draws.each([n, shape[1..].iter().product()], |rng| {
            uniform(rng, [0.0, 256.0]).min(255.0) as u8
        });
        self.with_metadata(Clips::upload(bytes, shape, &Device::flex()), &mut draws)
    }

    /// `clips` with times, motion, telemetry and videos.
    pub(super) fn with_metadata(&self, clips: Clips, draws: &mut Draws) -> Clips {
        let (n, t) = (clips.len(), self.frames);
        let steps = t.saturating_sub(1);
        let mut motion = draws.each([n, steps * 5], |rng| uniform(rng, [-0.2, 0.2]));
        for (idx, pair) in motion.chunks_mut(5).enumerate() {
            let moves = idx / steps % 2;
            pair[..4].iter_mut().for_each(|it| *it *= moves as f32);
            pair[4] = 1.0;
        }
        let mut measured = draws.each([n, t * (TELEMETRY + 1)], |rng| uniform(rng, [-1.0, 1.0]));
        let known = draws.each([n, t], |rng| f32::from(flag(rng, 0.9)));
        measured
            .iter_mut()
            .skip(TELEMETRY)
            .step_by(TELEMETRY + 1)
            .zip(known)
            .for_each(|(flag, known)| *flag = known);
        clips
            .with_motion(motion)
            .with_telemetry(measured)
            .with_videos((0..n).map(|it| it / 2).collect())
    }
}
