//! TDV against numbers that the authors' program produced: every case of `tests/reference`, or
//! of the folder that `ONWARD_REFERENCE_DIR` names, on the device of `ONWARD_TEST_DEVICE`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::store::SafetensorsStore;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use serde_json::Value;

use super::*;
use crate::trainer::MethodTrainer;
use crate::{
    DeviceChoice, EncoderConfig, Input, MethodConfig, Precision, TrainConfig, Trainer as _,
};
use crate::{gradients, weights};

/// One case: its JSON, and the two files beside it.
struct Case {
    name: String,
    json: Value,
    inputs: PathBuf,
    expected: BTreeMap<String, Vec<f32>>,
}

fn device() -> Device {
    let name = std::env::var("ONWARD_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    DeviceChoice::try_from(name).unwrap().open().unwrap()
}

fn tensors(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |bytes: &[u8]| {
        bytes.chunks_exact(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect()
    };
    file.tensors().iter().map(|(name, it)| (name.clone(), floats(it.data()))).collect()
}

/// Every TDV case of the folder; cases of other methods have another form.
fn cases() -> Vec<Case> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference");
    let folder = std::env::var_os("ONWARD_REFERENCE_DIR").map_or(default, PathBuf::from);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
    paths.retain(|it| it.extension().is_some_and(|it| it == "json"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if json.pointer("/config/motion_depth").is_none() || json.get("optimizer").is_none() {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let beside = |suffix: &str| path.with_file_name(format!("{name}_{suffix}.safetensors"));
        let (inputs, expected) = (beside("inputs"), tensors(&beside("expected")));
        cases.push(Case { name, json, inputs, expected });
    }
    assert!(!cases.is_empty(), "{folder:?} holds no TDV case");
    cases
}

impl Case {
    fn number(&self, pointer: &str) -> f64 {
        self.json.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}"))
    }

    fn size(&self, key: &str) -> usize {
        self.number(&format!("/config/{key}")) as usize
    }

    fn config(&self) -> crate::Config {
        let method = Config {
            motion: Motion::Difference,
            motion_depth: Some(self.size("motion_depth")),
            motion_learning_rate: self.number("/optimizer/motion_lr_multiplier"),
            head: HeadConfig {
                hidden: self.size("head_hidden"),
                bottleneck: self.size("head_bottleneck"),
                prototypes: self.size("prototypes"),
                chunk: 7,
            },
            mse_coeff: self.number("/optimizer/loss_weights/mse"),
            cls_coeff: self.number("/optimizer/loss_weights/ce_cls"),
            patch_coeff: self.number("/optimizer/loss_weights/ce_patch"),
            student_temperature: self.number("/optimizer/temperatures/0"),
            teacher_temperature: self.number("/optimizer/temperatures/1"),
            momentum: self.number("/optimizer/ema_momentum"),
            centre_momentum: self.number("/optimizer/center_momentum"),
        };
        assert_eq!(self.number("/optimizer/eps"), 1e-8);
        let rate = self.number("/optimizer/lr");
        let train = TrainConfig {
            steps: 3,
            learning_rate: rate,
            betas: [self.number("/optimizer/betas/0"), self.number("/optimizer/betas/1")],
            warmup: Some(0),
            decay_steps: u64::MAX,
            floor: rate,
            weight_decay: self.number("/optimizer/weight_decay"),
            grad_clip: self.number("/optimizer/grad_clip_norm"),
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

    /// The method and its student with the case's weights.
    fn init(&self, device: &Device) -> (Tdv, Student) {
        let config = self.config();
        let input = Input::frames([self.size("image"); 2], self.size("frames"));
        let shape = config.shape(input).unwrap();
        let MethodConfig::Tdv(method) = &config.method else { unreachable!("was made so") };
        let setting = Setting { shape, input, seed: 0, device: device.clone() };
        let (mut tdv, student) = method.init(&setting);
        let store = || {
            SafetensorsStore::from_file(&self.inputs)
                .with_key_remapping(r"^init\.", "")
                .map_indices_contiguous(true)
        };
        let student = weights::load_store(student, store()).unwrap();
        tdv.teacher = weights::load_store(tdv.teacher, store()).unwrap();
        (tdv, student)
    }

    fn clips(&self, step: usize, device: &Device) -> Clips {
        let values = tensors(&self.inputs).remove(&format!("clips.{step}")).unwrap();
        let side = self.size("image");
        let shape = [self.size("clips"), self.size("frames"), 3, side, side];
        Clips::normalised(Tensor::from_data(TensorData::new::<f32, _>(values, shape), device))
    }

    /// Largest |difference| over largest |expected| is at most `tolerance`.
    fn assert_close<const D: usize>(&self, key: &str, got: Tensor<D>, tolerance: f64) {
        let got: Vec<f32> = got.into_data().try_to_vec().unwrap();
        let wanted = self.expected.get(key).unwrap_or_else(|| panic!("no expected {key}"));
        assert_eq!(got.len(), wanted.len(), "{}: {key} has another size", self.name);
        let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, f32::max);
        let scale = largest(&mut wanted.iter().map(|it| it.abs())).max(1e-12);
        let off = largest(&mut got.iter().zip(wanted).map(|(a, b)| (a - b).abs())) / scale;
        let sound = got.iter().all(|it| it.is_finite());
        assert!(sound && f64::from(off) <= tolerance, "{}: {key} is off by {off:e}", self.name);
    }

    fn assert_number(&self, pointer: &str, got: f64, tolerance: f64) {
        let wanted = self.number(pointer);
        let off = (got - wanted).abs() / wanted.abs();
        assert!(off <= tolerance, "{}: {pointer} is {got}, not {wanted}: {off:e}", self.name);
    }
}

#[test]
fn the_forward_pass_is_the_authors() {
    let device = device();
    for case in cases() {
        let (tdv, student) = case.init(&device);
        let clips = case.clips(0, &device);
        let seen = tdv.see(&student, &clips);
        let [next, _] = tdv.look_ahead(&clips);
        let predicted = seen.predicted();
        let student_logits = student.head.forward(predicted.flatten(0, 1));
        let teacher_logits = tdv.teacher.teacher_head.forward(next.clone().flatten(0, 1));
        case.assert_close("z", seen.frame.inner(), 1e-5);
        case.assert_close("dz", seen.motion.unwrap().inner(), 1e-5);
        case.assert_close("z_next_teacher", next, 1e-5);
        case.assert_close("student_logits", student_logits.inner(), 1e-5);
        case.assert_close("teacher_logits", teacher_logits, 1e-5);
    }
}

/// Compares every gradient of a network with `grad_clipped.PATH`.
struct Compare<'a> {
    case: &'a Case,
    grads: &'a GradientsParams,
    path: Vec<String>,
    compared: usize,
}

impl ModuleVisitor for Compare<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let grad = self.grads.get::<D>(param.id).expect("every parameter has a gradient");
        let path = torch_path(&self.path.join("."));
        let transposed = D == 2 && path.ends_with(".weight");
        let grad = if transposed { grad.swap_dims(0, 1) } else { grad };
        self.case.assert_close(&format!("grad_clipped.{path}"), grad, 1e-4);
        self.compared += 1;
    }
}

/// Burn's path of a parameter as PyTorch writes it; GELUs have a number of their own there.
fn torch_path(path: &str) -> String {
    let path = path.replace("gamma", "weight").replace("beta", "bias");
    (1..=2).rev().fold(path, |path, idx| {
        path.replace(&format!("head.mlp.{idx}."), &format!("head.mlp.{}.", 2 * idx))
    })
}

#[test]
fn the_losses_and_clipped_gradients_are_the_authors() {
    let device = device();
    for case in cases() {
        let (mut tdv, student) = case.init(&device);
        let clips = case.clips(0, &device);
        let targets = tdv.targets(std::slice::from_ref(&clips)).remove(0);
        let losses = tdv.loss(&student, &clips, targets);
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
        let mut compare = Compare { case: &case, grads: &grads, path: vec![], compared: 0 };
        student.visit(&mut compare);
        let wanted = case.expected.keys().filter(|it| it.starts_with("grad_clipped.")).count();
        assert_eq!(compare.compared, wanted, "{}: not every gradient was compared", case.name);
    }
}

#[test]
fn three_optimizer_steps_are_the_authors() {
    let device = device();
    for case in cases() {
        let (tdv, student) = case.init(&device);
        let mut trainer = MethodTrainer::new(tdv, student, &case.config(), &device);
        let steps = case.json["steps"].as_array().unwrap().len();
        for step in 0..steps {
            let report = trainer.step(&case.clips(step, &device), true).unwrap().unwrap();
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
        let (tdv, student) = trainer.parts();
        case.assert_close("center_after_steps", tdv.centre.clone(), 1e-4);
        let mut last = Last { case: &case, path: vec![], compared: 0 };
        student.visit(&mut last);
        tdv.teacher.visit(&mut last);
        let wanted = case.expected.keys().filter(|it| it.starts_with("final.")).count();
        assert_eq!(last.compared, wanted, "{}: not every final weight was compared", case.name);
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
        let path = torch_path(&self.path.join("."));
        let key = format!("final.{path}");
        if !self.case.expected.contains_key(&key) {
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
