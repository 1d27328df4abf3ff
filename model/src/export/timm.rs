//! What timm must be told to build an encoder.

use serde_json::{Value, json};

use super::Layout;
use crate::encoder::vit::VitShape;
use crate::{EncoderShape, MEAN, STD};

/// timm's `config.json` of an encoder for images of `[height, width]`, scaled with the aspect
/// kept (`crop`) or not: the weights beside it give the same tokens as here.
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
            "mean": MEAN.map(decimal),
            "std": STD.map(decimal),
            "num_classes": 0,
            "first_conv": first,
            "classifier": classifier,
        },
    })
}

/// The number as it was written: as a double it has digits that nobody meant.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().expect("a number is written as one")
}

/// The registered model of timm that is nearest; `model_args` make it this one.
fn architecture(shape: &EncoderShape) -> &'static str {
    match shape {
        EncoderShape::Vit(VitShape { dim: 192, .. }) => "vit_tiny_patch16_224",
        EncoderShape::Vit(VitShape { dim: 384, .. }) => "vit_small_patch16_224",
        EncoderShape::Vit(VitShape { dim: 1024, .. }) => "vit_large_patch16_224",
        EncoderShape::Vit(_) => "vit_base_patch16_224",
        _ => "resnet18",
    }
}

/// timm's defaults are ours for all else: pre-norm blocks, ε = 1e-6, exact GELU, biases, a hidden
/// width of four times the tokens'.
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
    fn the_normalisation_has_the_digits_that_were_written() {
        assert_eq!(MEAN.map(decimal), [0.485, 0.456, 0.406]);
        assert_eq!(STD.map(decimal), [0.229, 0.224, 0.225]);
    }
}
