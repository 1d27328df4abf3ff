use burn::tensor::{Device, Distribution, Tensor};
use tempfile::tempdir;

use super::*;
use crate::encoder::resnet::ResNetShape;
use crate::{FrameEncoder, Layout, NormMode, Precision, export, save};

fn vit(grid: [usize; 2]) -> EncoderShape {
    let precision = Precision::Float32;
    EncoderShape::Vit(VitShape { patch: 4, dim: 12, depth: 2, heads: 3, grid, precision })
}

fn drawn(shape: &EncoderShape, seed: u64) -> FrameEncoder {
    shape.init(&mut Init::new(seed, &Device::flex()))
}

fn tokens(encoder: &FrameEncoder, mode: NormMode) -> Vec<f32> {
    Device::flex().seed(4);
    let images =
        Tensor::<4>::random([2, 3, 12, 12], Distribution::Normal(0.0, 1.0), &Device::flex());
    encoder.forward(images, mode).into_data().try_to_vec().unwrap()
}

/// The error message for a file that does not fit.
fn error_for(path: &Path, shape: &EncoderShape) -> String {
    let message = read(path, shape).unwrap_err().to_string();
    let file = path.file_name().unwrap().to_str().unwrap();
    assert!(message.starts_with("model.encoder.weights: ") && message.contains(file), "{message}");
    message
}

#[test]
fn an_imported_export_gives_bit_identical_tokens() {
    let resnet = EncoderShape::ResNet18(ResNetShape { small_images: false });
    for (shape, layout) in
        [(vit([3, 3]), Layout::Timm), (vit([3, 3]), Layout::Dinov2), (resnet, Layout::Timm)]
    {
        let (encoder, folder) = (drawn(&shape, 1), tempdir().unwrap());
        tokens(&encoder, NormMode::Train);
        let [checkpoint, exported] = ["checkpoint", "exported"].map(|it| folder.path().join(it));
        save(&encoder, &checkpoint).unwrap();
        export(&shape, layout, &checkpoint, &exported).unwrap();
        let weights = read(&exported, &shape).unwrap();
        let mut init = Init::new(2, &Device::flex()).with_encoder(Some(weights.into()));
        let wanted = tokens(&encoder, NormMode::Evaluate);
        assert!(tokens(&drawn(&shape, 2), NormMode::Evaluate) != wanted);
        assert!(
            tokens(&shape.init(&mut init), NormMode::Evaluate) == wanted,
            "{shape:?} {layout:?}"
        );
    }
}

#[test]
fn the_error_names_the_file_and_the_tensor_that_does_not_fit() {
    let folder = tempdir().unwrap();
    let shape = vit([3, 3]);
    let path = folder.path().join("other.safetensors");
    assert!(error_for(&path, &shape).contains("cannot be read"));
    std::fs::write(&path, "no weights").unwrap();
    assert!(error_for(&path, &shape).contains("is not a safetensors file"));

    let mut wide = StateDict::of(&drawn(&shape, 0));
    wide.0.insert("blocks.1.attn.qkv.weight".into(), Array::full(vec![36, 16], 0.0));
    wide.write(&path).unwrap();
    let message = error_for(&path, &shape);
    assert!(message.contains("\"blocks.1.attn.qkv.weight\" of shape [36, 16], not [36, 12]"));

    let mut registers = StateDict::of(&drawn(&shape, 0));
    registers.0.insert("reg_token".into(), Array::full(vec![1, 4, 12], 0.0));
    registers.write(&path).unwrap();
    assert!(error_for(&path, &shape).contains("\"reg_token\", which this encoder does not have"));

    StateDict::of(&drawn(&vit([2, 3]), 0)).write(&path).unwrap();
    let message = error_for(&path, &shape);
    assert!(message.contains("has 7 positions") && message.contains("3 x 3"), "{message}");
}

#[test]
fn classifiers_are_ignored_and_positions_of_another_square_grid_interpolated() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let mut other = StateDict::of(&drawn(&vit([4, 4]), 0));
    other.0.insert("head.weight".into(), Array::full(vec![10, 12], 0.0));
    other.write(&path).unwrap();
    let weights = read(&path, &vit([2, 3])).unwrap();
    assert_eq!(weights.0["pos_embed"].shape, [1, 7, 12]);
    assert_eq!(weights.0["pos_embed"].values[..12], other.0["pos_embed"].values[..12]);
}

#[test]
fn layer_scale_is_multiplied_into_the_layer_before_it() {
    let mut found = StateDict::default();
    let mut put = |name: &str, shape: &[usize], values: &[f32]| {
        let array = Array { shape: shape.to_vec(), values: values.to_vec() };
        found.0.insert(name.into(), array);
    };
    put("blocks.0.mlp.fc2.weight", &[2, 3], &[1.0; 6]);
    put("blocks.0.mlp.fc2.bias", &[2], &[1.0, 10.0]);
    put("blocks.0.ls2.gamma", &[2], &[2.0, 0.5]);
    fold_layer_scale(&mut found);
    assert_eq!(found.0.len(), 2);
    assert_eq!(found.0["blocks.0.mlp.fc2.weight"].values, [2.0, 2.0, 2.0, 0.5, 0.5, 0.5]);
    assert_eq!(found.0["blocks.0.mlp.fc2.bias"].values, [2.0, 5.0]);
}
