//! The config with which timm builds an exported encoder.

use serde_json::{Value, json};

use super::Layout;
use crate::encoder::vit::VitShape;
use crate::{EncoderShape, IMAGENET_MEAN, IMAGENET_STD};

/// timm's `config.json` of an encoder for images of `[height, width]` pixels. With it timm computes
/// the same tokens as this crate. With `crop` images are scaled at their aspect ratio and cropped,
/// else they are squashed.
pub fn timm_config(shape: &EncoderShape, layout: Layout, image: [usize; 2], crop: bool) -> Value {
    let [height, width] = image;
    let is_vit = matches!(shape, EncoderShape::Vit(_));
    let (first, classifier) = if is_vit { ("patch_embed.proj", "head") } else { ("conv1", "fc") };
    json!({
        "architecture": architecture(shape),
        "num_classes": 0,
        "num_features": shape.dim(),
        "global_pool": if is_vit { "token" } else { "avg" },
        "model_args": model_args(shape, layout, image),
        "pretrained_cfg": {
            "custom_load": false,
            "input_size": [3, height, width],
            "fixed_input_size": is_vit,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": if crop { "center" } else { "squash" },
            "mean": IMAGENET_MEAN.map(decimal),
            "std": IMAGENET_STD.map(decimal),
            "num_classes": 0,
            "first_conv": first,
            "classifier": classifier,
        },
    })
}

/// The shortest decimal of a float32, so that 0.485 is not written as 0.48500001430511475.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().expect("a float is printed as a number")
}

/// The most similar model in timm's registry; `model_args` change it into this one.
fn architecture(shape: &EncoderShape) -> &'static str {
    match shape {
        EncoderShape::Vit(VitShape { dim: 192, .. }) => "vit_tiny_patch16_224",
        EncoderShape::Vit(VitShape { dim: 384, .. }) => "vit_small_patch16_224",
        EncoderShape::Vit(VitShape { dim: 1024, .. }) => "vit_large_patch16_224",
        EncoderShape::Vit(_) => "vit_base_patch16_224",
        _ => "resnet18",
    }
}

/// The arguments that differ from timm's defaults. The same are: pre-norm blocks, ε = 1e-6, exact
/// GELU, biases, and MLPs of four times the width.
fn model_args(shape: &EncoderShape, layout: Layout, image: [usize; 2]) -> Value {
    let EncoderShape::Vit(VitShape { patch, dim, depth, heads, .. }) = shape else {
        return json!({});
    };
    let mut args = json!({
        "img_size": image, "patch_size": patch, "embed_dim": dim, "depth": depth,
        "num_heads": heads,
    });
    if layout == Layout::Dinov2 {
        args["init_values"] = json!(1.0);
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normalisation_is_written_in_its_shortest_digits() {
        assert_eq!(IMAGENET_MEAN.map(decimal), [0.485, 0.456, 0.406]);
        assert_eq!(IMAGENET_STD.map(decimal), [0.229, 0.224, 0.225]);
    }
}
