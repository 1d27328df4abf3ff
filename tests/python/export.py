"""Compares the tokens of encoders that `onward` exported or imported with those of timm and of
DINOv2's own code.

    export.py make WEIGHTS              writes a ViT of timm for images of 48 x 48, with LayerScale
    export.py timm FOLDER FRAMES        loads an export as its card says, and compares
    export.py dinov2 FOLDER FRAMES      loads an export with DINOv2's own code, and compares
    export.py resampled WEIGHTS FRAMES  compares the ViT of `make`, resampled to 32 x 32

FRAMES holds real frames as bytes, [n, h, w, 3], and onward's tokens, [n, tokens, d].
"""

import json
import sys
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

TOLERANCE = 1e-4
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def vit(side):
    sizes = dict(patch_size=8, embed_dim=24, depth=1, num_heads=3, init_values=0.5)
    return VisionTransformer(img_size=side, num_classes=0, **sizes)


def make(weights):
    torch.manual_seed(0)
    tensors = {name: torch.randn_like(it) * 0.3 for name, it in vit(48).state_dict().items()}
    save_file(tensors, weights)


def normalised(frames, mean, std):
    images = frames.permute(0, 3, 1, 2).float() / 255
    return (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def by_timm(folder, frames):
    told = json.loads((Path(folder) / "config.json").read_text())["pretrained_cfg"]
    assert told["input_size"] == [3, *frames.shape[1:3]], told["input_size"]
    encoder = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = normalised(frames, told["mean"], told["std"])
    tokens = encoder.forward_features(images)
    if tokens.dim() == 4:  # a feature map
        tokens = torch.cat([encoder(images)[:, None], tokens.flatten(2).transpose(1, 2)], 1)
    return tokens


def by_dinov2(folder, frames):
    from dinov2.models.vision_transformer import DinoVisionTransformer

    args = json.loads((Path(folder) / "config.json").read_text())["model_args"]
    args["img_size"] = args["img_size"][0]
    encoder = DinoVisionTransformer(**args, block_chunks=0).eval()
    encoder.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    tokens = encoder.forward_features(normalised(frames, MEAN, STD))
    return torch.cat([tokens["x_norm_clstoken"][:, None], tokens["x_norm_patchtokens"]], 1)


def resampled(weights, frames):
    encoder = vit(32).eval()
    encoder.load_state_dict(checkpoint_filter_fn(load_file(weights), encoder))
    return encoder.forward_features(normalised(frames, MEAN, STD))


def main():
    what, path, *frames = sys.argv[1:]
    if what == "make":
        return make(path)
    case = load_file(frames[0])
    with torch.no_grad():
        theirs = {"timm": by_timm, "dinov2": by_dinov2, "resampled": resampled}[what](
            path, case["frames"]
        )
    ours = case["tokens"]
    assert theirs.shape == ours.shape, f"{theirs.shape} and {ours.shape}"
    apart, spread = (theirs - ours).abs().max().item(), ours.std().item()
    print(f"{what}: tokens of shape {list(ours.shape)}, deviation {spread:.3f}, {apart:.2e} apart")
    assert spread > 0.1, "tokens that hardly differ prove nothing"
    assert apart < TOLERANCE, f"{apart} apart"


main()
