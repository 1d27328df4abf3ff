//! Actions and masks against `joint_embedding_losses.json` of `tests/reference`, or of the
//! folder that `ONWARD_REFERENCE_DIR` names where it has that file.

use burn::tensor::{Tensor, TensorData, Tolerance};
use serde_json::Value;

use super::actions::{augmentation_actions, differences, relative_rotation};
use super::fixation::{Inhibition, IorShape, fixate};
use super::view::View;
use crate::reference_cases::{device, json_files};
use crate::train::random::{Draws, Stage};

/// The cases of seq-JEPA.
fn cases() -> Value {
    let mut found = json_files(|it| it["seqjepa"].is_object());
    found.remove(0).1["seqjepa"].take()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
}

fn rows<const P: usize>(value: &Value) -> Vec<[f64; P]> {
    value.as_array().unwrap().iter().map(|it| numbers(it).try_into().unwrap()).collect()
}

fn assert_close(got: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(got.len(), wanted.len());
    for (got, wanted) in got.iter().zip(wanted) {
        assert!((got - wanted).abs() <= tolerance * (1.0 + wanted.abs()), "{got} is not {wanted}");
    }
}

#[test]
fn relative_rotations_are_the_authors() {
    let case = &cases()["quaternion_action"];
    let quaternion = |key: &str| <[f64; 4]>::try_from(numbers(&case[key])).unwrap();
    let got = relative_rotation(quaternion("q1"), quaternion("q2"));
    assert_close(&got, &quaternion("q_rel = q1^-1 * q2"), 1e-12);
}

#[test]
fn augmentation_actions_are_the_authors() {
    let case = &cases()["augmentation_action"];
    let view = |it: &[f64; 9]| View {
        crop: [0, 1, 2, 3].map(|idx| it[idx] as usize),
        flip: false,
        jitter: Some([4, 5, 6, 7].map(|idx| it[idx] as f32)),
        grey: false,
        blur: it[8] as f32,
        solarise: false,
    };
    let parameters: Vec<_> =
        rows(&case["params_views"]).iter().map(|it| view(it).parameters()).collect();
    let wanted = rows::<9>(&case["relative_actions"]);
    let got = augmentation_actions(&parameters);
    assert_close(got.as_flattened(), wanted.as_flattened(), 1e-6);
}

/// Each map has one possible cell, so that the conversion from a cell's index to a position is
/// compared.
#[test]
fn saccades_are_the_authors() {
    let (case, device) = (&cases()["saccade_action"], device());
    let (indices, places) = (numbers(&case["flat_index"]), rows::<2>(&case["row_col"]));
    let side = ((indices[0] - places[0][1]) / places[0][0]) as usize;
    let mut draws = Draws::at(0, 0, Stage::Fixate, &device);
    let positions = indices.iter().map(|index| {
        let mut map = vec![0.0_f32; side * side];
        map[*index as usize] = 1.0;
        let map = Tensor::from_data(TensorData::new(map, [1, side, side]), &device);
        fixate(map, 1, Inhibition { shape: IorShape::Square, radius: 1 }, &mut draws)
    });
    let positions = Tensor::cat(positions.collect(), 1);
    for (got, key) in
        [(positions.clone(), "normalised"), (differences(positions), "relative_actions_drow_dcol")]
    {
        let wanted = rows::<2>(&case[key]).concat().iter().map(|it| *it as f32).collect();
        let wanted = TensorData::new::<f32, _>(wanted, got.dims());
        got.into_data().assert_approx_eq(&wanted, Tolerance::<f32>::absolute(1e-6));
    }
}

/// The sizes are in the key: height, width, row, column, radius.
#[test]
fn masks_of_inhibition_are_the_authors() {
    let (cases, device) = (cases(), device());
    let masks = cases.as_object().unwrap().iter().filter(|it| it.0.starts_with("ior_mask_"));
    let masks: Vec<_> = masks.collect();
    assert!(!masks.is_empty());
    for (key, case) in masks {
        let sizes = key.split(|it: char| !it.is_ascii_digit()).filter_map(|it| it.parse().ok());
        let sizes: Vec<usize> = sizes.collect();
        let [h, w, row, column, radius] = sizes[..] else { panic!("{key}") };
        let corner = |at: usize| Tensor::full([1, 1, 1], at as f64, &device);
        let shapes =
            [("code_square_keep", IorShape::Square), ("paper_circle_keep", IorShape::Circle)];
        for (name, shape) in shapes {
            let inhibition = Inhibition { shape, radius };
            let got = inhibition.mask(corner(row), corner(column), [h, w]).into_data();
            let wanted = case[name].as_array().unwrap().iter().flat_map(numbers);
            let wanted: Vec<_> = wanted.map(|it| it as f32).collect();
            assert_eq!(got.try_to_vec::<f32>().unwrap(), wanted, "{name}");
        }
    }
}
