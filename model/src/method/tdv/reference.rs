//! TDV against numbers that the authors' program produced: every case of `tests/reference`, or
//! of the folder that `ONWARD_REFERENCE_DIR` names, on the device of `ONWARD_TEST_DEVICE`.

use std::collections::BTreeMap;

use burn::module::{Module as _, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use serde_json::Value;

use super::{Config, Motion, Student, Tdv, Teacher};
use crate::Clips;
use crate::DinoHeadConfig;
use crate::method::{InitContext, Initialised, Recipe as _};
use crate::reference_cases::{Case, cases, device};
use crate::train::MethodTrainer;
use crate::train::gradients;
use crate::{EncoderConfig, Input, MethodConfig, Precision, TrainConfig, Trainer as _};

/// Whether a case is of TDV.
fn is_tdv(json: &Value) -> bool {
    json.pointer("/config/motion_depth").is_some() && json.get("optimizer").is_some()
}

/// PyTorch counts GELUs as layers.
const NAMES: [(&str, &str); 3] =
    [(r"^init\.", ""), (r"head\.mlp\.2\.", "head.mlp.1."), (r"head\.mlp\.4\.", "head.mlp.2.")];

/// A case of TDV.
struct TdvCase<'a>(&'a Case);

impl TdvCase<'_> {
    fn size(&self, key: &str) -> usize {
        self.0.number(&format!("/config/{key}")) as usize
    }

    fn config(&self) -> crate::Config {
        let method = Config {
            motion: Motion::Difference,
            motion_depth: Some(self.size("motion_depth")),
            motion_learning_rate: self.0.number("/optimizer/motion_lr_multiplier"),
            head: DinoHeadConfig {
                hidden: self.size("head_hidden"),
                bottleneck: self.size("head_bottleneck"),
                prototypes: self.size("prototypes"),
                chunk: 7,
            },
            mse_coeff: self.0.number("/optimizer/loss_weights/mse"),
            cls_coeff: self.0.number("/optimizer/loss_weights/ce_cls"),
            patch_coeff: self.0.number("/optimizer/loss_weights/ce_patch"),
            student_temperature: self.0.number("/optimizer/temperatures/0"),
            teacher_temperature: self.0.number("/optimizer/temperatures/1"),
            momentum: self.0.number("/optimizer/ema_momentum"),
            centre_momentum: self.0.number("/optimizer/center_momentum"),
        };
        assert_eq!(self.0.number("/optimizer/eps"), 1e-8);
        let learning_rate = self.0.number("/optimizer/lr");
        let train = TrainConfig {
            steps: 3,
            learning_rate,
            betas: [self.0.number("/optimizer/betas/0"), self.0.number("/optimizer/betas/1")],
            warmup: Some(0),
            decay_steps: Some(u64::MAX),
            floor: learning_rate,
            weight_decay: self.0.number("/optimizer/weight_decay"),
            decay_vectors: true,
            grad_clip: self.0.number("/optimizer/grad_clip_norm"),
            accumulate: 1,
        };
        let encoder = EncoderConfig {
            size: None,
            patch: self.size("patch"),
            dim: Some(self.size("dim")),
            depth: Some(self.size("depth")),
            heads: Some(self.size("heads")),
            ..Default::default()
        };
        let (embed, precision) = (Default::default(), Precision::Float32);
        crate::Config { encoder, method: MethodConfig::Tdv(method), train, embed, precision }
    }

    /// The method with the case's weights.
    fn init(&self, device: &Device) -> Initialised<Tdv> {
        let config = self.config();
        let input = Input::frames([self.size("image"); 2], self.size("frames"));
        let shape = config.shape(input).unwrap();
        let MethodConfig::Tdv(method) = &config.method else { unreachable!("was made so") };
        let context = InitContext { shape, input, seed: 0, device: device.clone(), encoder: None };
        let Initialised { method, student, teacher } = method.init(&context);
        let student: Student = self.0.load(student, &NAMES);
        let teacher: Teacher = self.0.load(teacher, &NAMES);
        Initialised { method, student, teacher }
    }

    fn clips(&self, step: usize, device: &Device) -> Clips {
        Clips::normalised(self.0.input(&format!("clips.{step}"), device))
    }
}

#[test]
fn the_forward_pass_is_the_authors() {
    let device = device();
    for case in cases(is_tdv) {
        let tdvs = TdvCase(&case);
        let Initialised { method: tdv, student, teacher } = tdvs.init(&device);
        let clips = tdvs.clips(0, &device);
        let prediction = tdv.predict(&student, &clips);
        let [next, _] = teacher.forward(&clips);
        let predicted = prediction.next();
        let student_logits = student.head.forward(predicted.flatten(0, 1));
        let teacher_logits = teacher.teacher_head.forward(next.clone().flatten(0, 1));
        case.assert_close("z", prediction.frame.inner(), 1e-5);
        case.assert_close("dz", prediction.motion.unwrap().inner(), 1e-5);
        case.assert_close("z_next_teacher", next, 1e-5);
        case.assert_close("student_logits", student_logits.inner(), 1e-5);
        case.assert_close("teacher_logits", teacher_logits, 1e-5);
    }
}

/// Burn's path of a parameter as PyTorch's, which counts GELUs as layers.
fn torch_path(path: &str) -> String {
    (1..=2).rev().fold(path.to_owned(), |path, idx| {
        path.replace(&format!("head.mlp.{idx}."), &format!("head.mlp.{}.", 2 * idx))
    })
}

#[test]
fn the_losses_and_clipped_gradients_are_the_authors() {
    let device = device();
    for case in cases(is_tdv) {
        let tdvs = TdvCase(&case);
        let Initialised { method: mut tdv, student, teacher } = tdvs.init(&device);
        let clips = tdvs.clips(0, &device);
        let targets = tdv.targets(&teacher, std::slice::from_ref(&clips)).remove(0);
        let prediction = tdv.predict(&student, &clips);
        let losses = tdv.loss(&student, prediction, targets, clips.len());
        let mut grads = GradientsParams::from_grads(losses.total.backward(), &student);
        let max_norm = case.number("/optimizer/grad_clip_norm");
        let norm: f32 = gradients::clip(&student, &mut grads, max_norm, &device).into_scalar();
        case.assert_number("/steps/0/grad_norm_before_clip", norm.into(), 1e-4);
        let loss: f32 = losses.total.into_scalar();
        case.assert_number("/steps/0/loss", loss.into(), 1e-5);
        let monitors: BTreeMap<_, _> =
            losses.terms.into_iter().map(|(name, it)| (name, it.into_scalar::<f32>())).collect();
        for (key, monitor) in [
            ("mse", "mse"),
            ("ce_cls", "ce_cls"),
            ("ce_patch", "ce_patch"),
            ("copy_baseline_mse", "copy_mse"),
            ("teacher_entropy_cls", "teacher_entropy_cls"),
        ] {
            case.assert_number(&format!("/steps/0/{key}"), monitors[monitor].into(), 1e-5);
        }
        let compared = case.compare_gradients(&student, &grads, "grad_clipped.", torch_path);
        assert_eq!(
            compared.len(),
            case.expects("grad_clipped."),
            "{}: not every gradient was compared",
            case.name
        );
    }
}

#[test]
fn three_optimizer_steps_are_the_authors() {
    let device = device();
    for case in cases(is_tdv) {
        let tdvs = TdvCase(&case);
        let mut trainer = MethodTrainer::new(tdvs.init(&device), &tdvs.config(), &device);
        let steps = case.json["steps"].as_array().unwrap().len();
        for step in 0..steps {
            let report = trainer.step(&tdvs.clips(step, &device), true).unwrap().unwrap();
            let value =
                |name: &str| f64::from(report.values.iter().find(|it| it.0 == name).unwrap().1);
            for (key, name) in [
                ("loss", "loss"),
                ("mse", "mse"),
                ("ce_cls", "ce_cls"),
                ("ce_patch", "ce_patch"),
                ("copy_baseline_mse", "copy_mse"),
                ("grad_norm_before_clip", "grad_norm"),
                ("teacher_entropy_cls", "teacher_entropy_cls"),
            ] {
                case.assert_number(&format!("/steps/{step}/{key}"), value(name), 1e-4);
            }
        }
        let (tdv, student, teacher) = trainer.networks();
        case.assert_close("center_after_steps", tdv.centre.clone(), 1e-4);
        let mut last = Last { case: &case, path: vec![], compared: 0 };
        student.visit(&mut last);
        teacher.visit(&mut last);
        assert_eq!(
            last.compared,
            case.expects("final."),
            "{}: not every final weight was compared",
            case.name
        );
    }
}

/// Compares the weights that the case lists with `final.PATH`.
struct Last<'a> {
    case: &'a Case,
    path: Vec<String>,
    compared: usize,
}

impl ModuleVisitor for Last<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".").replace("gamma", "weight").replace("beta", "bias");
        let path = torch_path(&path);
        let key = format!("final.{path}");
        if !self.case.has(&key) {
            return;
        }
        let value = param.val();
        let value = if value.is_autodiff() { value.inner() } else { value };
        let transposed = D == 2 && path.ends_with(".weight");
        let value = if transposed { value.swap_dims(0, 1) } else { value };
        self.case.assert_close(&key, value, 1e-3);
        self.compared += 1;
    }
}
