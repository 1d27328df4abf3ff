//! Every loss against numbers computed from its equation in float64, and against inputs that
//! make careless code overflow: the cases of `tests/reference`, or of the folder that
//! `ONWARD_REFERENCE_DIR` names, on the device of `ONWARD_TEST_DEVICE`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;

use super::duality::{Duality, dimension_contrastive, sample_contrastive};
use super::pairs::unit_rows;
use crate::metrics::r2;
use crate::reference_cases::{device, json_files};

mod table;

use table::{Loss, loss, others};

fn matrix(rows: &Value, device: &Device) -> Tensor<2> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(rows.clone()).unwrap();
    let shape = [rows.len(), rows[0].len()];
    let values: Vec<f32> = rows.into_iter().flatten().map(|it| it as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Every file of losses; cases of methods have another form.
fn cases() -> Vec<Value> {
    let losses = |it: &Value| it["losses"].is_array() && it["inputs"].is_object();
    json_files(losses).into_iter().map(|it| it.1).collect()
}

/// Whether the cases are from another folder.
fn foreign() -> bool {
    std::env::var_os("ONWARD_REFERENCE_DIR").is_some()
}

fn entries<'a>(case: &'a Value, key: &str) -> &'a [Value] {
    case[key].as_array().unwrap()
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap()
}

/// Everywhere within 1e-5, relative plus absolute.
fn assert_close<const D: usize>(got: Tensor<D>, wanted: &[f64], what: &str) {
    let got: Vec<f64> = got.into_data().iter::<f64>().collect();
    assert_eq!(got.len(), wanted.len(), "{what}");
    for (got, wanted) in got.iter().zip(wanted) {
        let off = (got - wanted).abs();
        assert!(off <= 1e-5 + 1e-5 * wanted.abs(), "{what} is {got}, not {wanted}");
    }
}

/// `wanted` is an entry's matrix of numbers.
fn assert_matrix(got: Tensor<2>, wanted: &Value, what: &str) {
    let rows: Vec<Vec<f64>> = serde_json::from_value(wanted.clone()).unwrap();
    assert_close(got, &rows.concat(), what);
}

#[test]
fn every_loss_and_its_gradients_are_the_reference() {
    let device = device();
    let tracked = device.clone().autodiff();
    let (mut compared, mut skipped) = (0, BTreeSet::new());
    for case in cases() {
        for entry in entries(&case, "losses") {
            let (name, inputs) = (text(entry, "name"), &case["inputs"][text(entry, "case")]);
            let what = format!("{name} of {}", text(entry, "case"));
            let directions = matrix(&inputs["slice_dirs_unit_columns_DxS"], &device);
            let Some(loss) = loss(name, &entry["hyper"], &directions) else {
                // Another folder may have losses that no config reaches here.
                assert!(foreign(), "{name} is not in the table of losses");
                skipped.insert(name.to_owned());
                continue;
            };
            compared += 1;
            let [z1, z2] = ["Z1", "Z2"].map(|it| matrix(&inputs[it], &tracked).require_grad());
            let value = loss(z1.clone(), z2.clone());
            let grads = value.backward();
            assert_close(value, &[entry["value"].as_f64().unwrap()], &what);
            for (key, z) in [("grad_z1", z1), ("grad_z2", z2)] {
                let what = format!("{key} of {what}");
                match (z.grad(&grads), entry[key].is_null()) {
                    (Some(grad), false) => assert_matrix(grad, &entry[key], &what),
                    (None, true) => {}
                    (grad, _) => panic!("{what}: is there one? {}", grad.is_some()),
                }
            }
        }
    }
    assert!(compared > 0, "none of {skipped:?} is a loss that is known here");
    if !skipped.is_empty() {
        let names: Vec<_> = skipped.into_iter().collect();
        writeln!(std::io::stderr(), "skipped losses that no method has: {}", names.join(", "))
            .unwrap();
    }
}

#[test]
fn every_loss_has_an_entry_for_every_input() {
    let shipped = "../tests/reference/joint_embedding_losses.json";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(shipped);
    let case: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let entries = entries(&case, "losses");
    let pairs: BTreeSet<_> =
        entries.iter().map(|it| (text(it, "name"), text(it, "case"))).collect();
    let names: BTreeSet<_> = pairs.iter().map(|it| it.0).collect();
    let inputs = case["inputs"].as_object().unwrap().len();
    assert_eq!((names.len(), inputs, pairs.len(), entries.len()), (30, 3, 90, 90));
}

/// Embeddings as an entry of the duality normalises them.
fn normalised(entry: &Value, z: Tensor<2>) -> Tensor<2> {
    let centred = |z: Tensor<2>| z.clone() - z.mean_dim(0);
    let unit_dimensions = |z: Tensor<2>| unit_rows(z.transpose()).transpose();
    let [n, d] = z.dims();
    match text(entry, "variant") {
        "raw" => z,
        "centred" => centred(z),
        "sample_l2_normalised" => unit_rows(z),
        "dim_l2_normalised" => unit_dimensions(z),
        "eq14_dim_standardised_sqrt(N/M)" => {
            unit_dimensions(centred(z)) * (n as f64 / d as f64).sqrt()
        }
        "doubly_normalised_sinkhorn" => matrix(&entry["Z"], &z.device()),
        unknown => panic!("{unknown} is no normalisation that is known here"),
    }
}

#[test]
fn the_duality_is_the_reference() {
    let device = device();
    for case in cases() {
        assert!(!entries(&case, "duality").is_empty());
        for entry in entries(&case, "duality") {
            let what = format!("{} of {}", text(entry, "variant"), text(entry, "case"));
            let number = |key: &str| [entry[key].as_f64().unwrap()];
            let z = normalised(entry, matrix(&case["inputs"][text(entry, "case")]["Z1"], &device));
            let watched = Duality::of(z.clone());
            assert_close(watched.sample_contrastive, &number("L_c"), &what);
            assert_close(watched.dimension_contrastive, &number("L_nc"), &what);
            assert_close(watched.sample_norms, &number("sum_samples_norm4"), &what);
            assert_close(watched.dimension_norms, &number("sum_dims_norm4"), &what);
            let z = Tensor::from_inner(z).require_grad();
            for (criterion, value, grad) in [
                (sample_contrastive as fn(Tensor<2>) -> Tensor<1>, "L_c", "grad_L_c"),
                (dimension_contrastive, "L_nc", "grad_L_nc"),
            ] {
                let loss = criterion(z.clone());
                let slope = z.grad(&loss.backward()).unwrap();
                assert_close(loss, &number(value), &format!("{value} of {what}"));
                assert_matrix(slope, &entry[grad], &format!("{grad} of {what}"));
            }
        }
    }
}

#[test]
fn both_r2_are_the_reference() {
    let device = device();
    for case in cases() {
        let [target, predicted] =
            ["Z2", "Z1"].map(|it| matrix(&case["inputs"]["A_4x3"][it], &device));
        let wanted = &case["metrics"]["r2_case_A_target_Z2_pred_Z1"];
        let close = |got: f64, wanted: &Value| {
            let wanted = wanted.as_f64().unwrap();
            assert!((got - wanted).abs() < 1e-6, "{got} is not {wanted}");
        };
        let uniform = r2::r2_uniform(predicted.clone(), target.clone());
        close(uniform, &wanted["sklearn_uniform_average"]);
        close(r2::r2_pooled(predicted.clone(), target.clone()), &wanted["SIE_pooled_scalar_mean"]);
        let outputs = entries(wanted, "per_output");
        for (got, wanted) in r2::r2_per_output(predicted, target).into_iter().zip(outputs) {
            close(got, wanted);
        }
    }
}

/// Batches of width `d` that careless code divides by zero on, or overflows.
fn extremes(d: usize, device: &Device) -> Vec<(&'static str, Tensor<2>)> {
    let some = |n: usize| {
        let values: Vec<f32> = (0..n * d).map(|it| ((it * 7 + 3) as f32 * 0.7).sin()).collect();
        Tensor::<2>::from_data(TensorData::new(values, [n, d]), device)
    };
    let zero = |n: usize| some(n).zeros_like();
    vec![
        ("zeros", zero(4)),
        ("a row of zeros", Tensor::cat(vec![some(3), zero(1)], 0)),
        ("a batch of two", some(2)),
        ("a batch of two equal rows", some(1).repeat_dim(0, 2)),
        ("no variance", some(1).repeat_dim(0, 5)),
        ("duplicated rows", some(3).repeat_dim(0, 2)),
        ("opposite rows", Tensor::cat(vec![some(3), some(3).neg()], 0)),
        ("large values", some(4) * 1e4),
        ("large, far from zero", some(4) + 1e4),
        ("small values", some(4) * 1e-20),
    ]
}

#[test]
fn every_loss_and_gradient_is_finite() {
    let device = device();
    let tracked = device.clone().autodiff();
    for case in cases() {
        for (input, value) in case["inputs"].as_object().unwrap() {
            let directions = matrix(&value["slice_dirs_unit_columns_DxS"], &device);
            let [d, _] = directions.dims();
            let mut losses = others(&device);
            for entry in entries(&case, "losses").iter().filter(|it| text(it, "case") == input) {
                let name = text(entry, "name");
                // Those that no method has are reported where values are compared.
                losses.extend(loss(name, &entry["hyper"], &directions).map(|loss| (name, loss)));
            }
            let batches = extremes(d, &tracked);
            for (name, loss) in &losses {
                for (first, z1) in &batches {
                    for (second, z2) in &batches {
                        if z1.dims() == z2.dims() {
                            assert_finite(loss, z1, z2, &format!("{name} of {first} and {second}"));
                        }
                    }
                }
            }
        }
    }
}

fn assert_finite(loss: &Loss, z1: &Tensor<2>, z2: &Tensor<2>, what: &str) {
    let [z1, z2] = [z1, z2].map(|it| it.clone().detach().require_grad());
    let value = loss(z1.clone(), z2.clone());
    let grads = value.backward();
    let value: f32 = value.into_scalar();
    // 1e20 is far from what any of them may give, and near what a mask would.
    assert!(value.abs() < 1e20, "{what} is {value}");
    for (idx, z) in [z1, z2].into_iter().enumerate() {
        let Some(grad) = z.grad(&grads) else { continue };
        let sound = grad.into_data().iter::<f32>().all(f32::is_finite);
        assert!(sound, "{what}: the gradient of view {} is not finite", idx + 1);
    }
}
