//! Weights are saved under the names of DINOv2 and torchvision, and load back unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::tensor::Device;
use safetensors::SafeTensors;
use tempfile::tempdir;

use super::cases::{CASES, Case, case};
use crate::{EncoderShape, Init, MethodConfig, NormMode, load};

fn names(path: &Path) -> BTreeSet<String> {
    let bytes = std::fs::read(path).unwrap();
    SafeTensors::deserialize(&bytes).unwrap().names().into_iter().map(str::to_owned).collect()
}

/// DINOv2's names of a ViT with one block.
fn dinov2() -> BTreeSet<String> {
    let mut all = vec!["cls_token".to_owned(), "pos_embed".into()];
    let layers = ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"];
    let layers = layers.map(|it| format!("blocks.0.{it}")).into_iter();
    for layer in layers.chain(["patch_embed.proj".into(), "norm".into()]) {
        all.extend(["weight", "bias"].map(|it| format!("{layer}.{it}")));
    }
    all.into_iter().collect()
}

/// torchvision's names of a ResNet-18 without its classifier and its counts of batches.
fn torchvision() -> BTreeSet<String> {
    let norm =
        |at: &str| ["weight", "bias", "running_mean", "running_var"].map(|it| format!("{at}.{it}"));
    let mut all = vec!["conv1.weight".to_owned()];
    all.extend(norm("bn1"));
    for (layer, block) in (1..=4).flat_map(|layer| [(layer, 0), (layer, 1)]) {
        let block_name = format!("layer{layer}.{block}");
        for idx in 1..=2 {
            all.push(format!("{block_name}.conv{idx}.weight"));
            all.extend(norm(&format!("{block_name}.bn{idx}")));
        }
        if layer > 1 && block == 0 {
            all.push(format!("{block_name}.downsample.0.weight"));
            all.extend(norm(&format!("{block_name}.downsample.1")));
        }
    }
    all.into_iter().collect()
}

#[test]
fn an_encoder_has_the_names_of_its_architecture_and_reads_back() {
    let device = Device::flex();
    for case in CASES {
        let (mut trainer, folder) = (case.trainer(0), tempdir().unwrap());
        let clips = case.clips(4, 0);
        trainer.step(&clips, false).unwrap();
        trainer.save(folder.path()).unwrap();
        let path = folder.path().join("encoder.safetensors");
        let shape = case.config().shape(case.input()).unwrap();
        match shape {
            EncoderShape::Vit(_) => assert_eq!(names(&path), dinov2(), "{}", case.name),
            EncoderShape::ResNet18(_) => assert_eq!(names(&path), torchvision(), "{}", case.name),
            EncoderShape::Conv3d(_) => {}
        }
        let loaded = load(shape.init(&mut Init::new(9, &device)), &path).unwrap();
        let images = clips.window(0, shape.window());
        let tokens = loaded.forward(images, NormMode::Evaluate);
        // AdaSSL's embedding is the mean of the patches, the others' the first token.
        let places = tokens.dims()[1] - 1;
        let tokens = match case.config().method {
            MethodConfig::Adassl(_) => tokens.narrow(1, 1, places).mean_dim(1),
            _ => tokens.narrow(1, 0, 1),
        };
        let tokens = tokens.into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(tokens, trainer.embed(&clips).frames.values, "{}", case.name);
    }
}

/// The shapes of the encoder's weights.
fn shapes(case: &Case) -> BTreeMap<String, Vec<usize>> {
    let folder = tempdir().unwrap();
    case.trainer(0).save(folder.path()).unwrap();
    let bytes = std::fs::read(folder.path().join("encoder.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    tensors.iter().map(|(name, it)| (name.to_owned(), it.shape().to_vec())).collect()
}

#[test]
fn linear_layers_and_convolutions_are_laid_out_as_in_pytorch() {
    let (vit, resnet) = (shapes(&case("simclr")), shapes(&case("vicreg, resnet18")));
    for (shapes, name, wanted) in [
        (&vit, "blocks.0.attn.qkv.weight", &[48, 16][..]),
        (&vit, "patch_embed.proj.weight", &[16, 3, 8, 8]),
        (&vit, "pos_embed", &[1, 5, 16]),
        (&resnet, "conv1.weight", &[64, 3, 7, 7]),
        (&resnet, "layer2.0.downsample.0.weight", &[128, 64, 1, 1]),
        (&resnet, "layer4.1.conv2.weight", &[512, 512, 3, 3]),
    ] {
        assert_eq!(shapes[name], wanted, "{name}");
    }
}
