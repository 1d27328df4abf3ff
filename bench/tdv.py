"""Temporal Difference in Vision (arXiv 2606.15956) in eager PyTorch: the peer of onward's step.

    clips [b, t, 3, h, w] -> z_t, the student's tokens of frames 0..t-2
                          -> dz_t = W_o m(x_{t+1} - x_t ; z_t)
                          -> z_t + dz_t should be the EMA teacher's tokens of frames 1..t-1

Parameters carry the names of DINOv2 and of the authors' code. `tdv.py --check DIR` runs three
optimizer steps on the weights and clips in DIR, which the authors' code produced, and exits with 1
when anything differs by more than 1e-4.
"""

import argparse
import json
import pathlib
import sys
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    """Sizes of the network and the constants of its step."""

    image: int = 112
    patch: int = 14
    dim: int = 192
    depth: int = 12
    motion_depth: int = 12
    heads: int = 3
    prototypes: int = 4096
    head_hidden: int = 2048
    head_bottleneck: int = 256
    lr: float = 1e-4
    motion_lr_multiplier: float = 0.03
    weight_decay: float = 0.01
    grad_clip_norm: float = 1.0
    ema_momentum: float = 0.99
    center_momentum: float = 0.9
    temperature: float = 0.1  # the same for student and teacher
    weight_mse: float = 1.5
    weight_ce_cls: float = 0.75
    weight_ce_patch: float = 0.75


SIZES = {"xs": dict(dim=192, heads=3), "s": dict(dim=384, heads=6), "b": dict(dim=768, heads=12)}


def split_heads(x, heads):
    """[b, n, d] -> [b, heads, n, d / heads]"""
    b, n, d = x.shape
    return x.view(b, n, heads, d // heads).transpose(1, 2)


def attend(q, k, v, heads):
    """Multi-head attention of [b, n, d] queries to [b, m, d] keys and values, at 1/sqrt(d_head)."""
    out = F.scaled_dot_product_attention(*(split_heads(x, heads) for x in (q, k, v)))
    return out.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        return self.proj(attend(*self.qkv(x).chunk(3, dim=-1), self.heads))


class CrossAttention(nn.Module):
    """The keys and values are the frame encoder's tokens as they are, CLS included."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, memory):
        return self.proj(attend(self.q(x), *self.kv(memory).chunk(2, dim=-1), self.heads))


class Mlp(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class FrameBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class MotionBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.self_attn = SelfAttention(dim, heads)
        self.norm_cross_attn = nn.LayerNorm(dim, eps=1e-6)
        self.cross_attn = CrossAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim)

    def forward(self, x, memory):
        x = x + self.self_attn(self.norm1(x))
        x = x + self.cross_attn(self.norm_cross_attn(x), memory)
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, patch, dim):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Encoder(nn.Module):
    """A DINOv2-style ViT, no registers, LayerScale or drop path; motion blocks take a memory."""

    def __init__(self, config, block, depth):
        super().__init__()
        dim, tokens = config.dim, 1 + (config.image // config.patch) ** 2
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim) * 1e-6)
        self.pos_embed = nn.Parameter(torch.empty(1, tokens, dim))
        self.patch_embed = PatchEmbed(config.patch, dim)
        self.blocks = nn.ModuleList(block(dim, config.heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.apply(init_linear)

    def forward(self, images, *memory):
        x = self.patch_embed(images)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x, *memory)
        return self.norm(x)


class WeightNormLinear(nn.Module):
    """W = g v / |v| for each output row, no bias; g starts at 1 and is trained."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(outputs, 1))
        self.weight_v = nn.Parameter(nn.Linear(inputs, outputs, bias=False).weight.detach())

    def forward(self, x):
        return F.linear(x, torch._weight_norm(self.weight_v, self.weight_g, 0))


class DinoHead(nn.Module):
    """One head for CLS and patches."""

    def __init__(self, config):
        super().__init__()
        hidden, bottleneck = config.head_hidden, config.head_bottleneck
        self.mlp = nn.Sequential(
            nn.Linear(config.dim, hidden), nn.GELU(),
            nn.Linear(hidden, hidden), nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        self.mlp.apply(init_linear)
        self.last_layer = WeightNormLinear(bottleneck, config.prototypes)

    def forward(self, x):
        return self.last_layer(F.normalize(self.mlp(x), dim=-1))


def init_linear(module):
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


class Tdv(nn.Module):
    """Student, motion branch and EMA teacher, whose head is an initialisation of its own."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.frame_encoder = Encoder(config, FrameBlock, config.depth)
        self.motion_encoder = Encoder(config, MotionBlock, config.motion_depth)
        self.motion_proj = nn.Linear(config.dim, config.dim)
        self.head = DinoHead(config)
        self.teacher_encoder = Encoder(config, FrameBlock, config.depth).requires_grad_(False)
        self.teacher_encoder.load_state_dict(self.frame_encoder.state_dict())
        self.teacher_head = DinoHead(config).requires_grad_(False)
        self.register_buffer("center", torch.zeros(config.prototypes), persistent=False)

    def optimizer(self):
        """AdamW with weight decay on all parameters and a slower motion branch."""
        c = self.config
        groups = [
            {"params": [*self.frame_encoder.parameters(), *self.head.parameters()], "lr": c.lr},
            {"params": [*self.motion_encoder.parameters(), *self.motion_proj.parameters()],
             "lr": c.lr * c.motion_lr_multiplier},
        ]
        return torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8,
                                 weight_decay=c.weight_decay, fused=True)

    @torch.no_grad()
    def move_teacher(self):
        """The teacher's encoder and head move towards the student's: t <- m t + (1 - m) s."""
        teacher = [*self.teacher_encoder.parameters(), *self.teacher_head.parameters()]
        student = [*self.frame_encoder.parameters(), *self.head.parameters()]
        torch._foreach_lerp_(teacher, student, 1.0 - self.config.ema_momentum)


@torch.no_grad()
def move_center(center, teacher_logits, momentum):
    center.lerp_(teacher_logits.flatten(0, -2).mean(dim=0), 1.0 - momentum)


def centred_cross_entropy(student_logits, teacher_logits, center, temperature):
    """The mean of -sum_k p_t log p_s; the centre is taken off the teacher's logits only."""
    target = ((teacher_logits - center) / temperature).softmax(dim=-1)
    return -(target * (student_logits / temperature).log_softmax(dim=-1)).sum(dim=-1).mean()


def losses(model, prediction, target, student_logits, teacher_logits):
    """The losses and their weighted sum. CLS uses and moves the shared centre before patches."""
    c = model.config
    mse = F.mse_loss(prediction, target)
    ce = []
    split = (1, prediction.shape[-2] - 1)  # CLS, patches; the backward of a split is one copy
    for student, teacher in zip(student_logits.split(split, -2), teacher_logits.split(split, -2)):
        ce.append(centred_cross_entropy(student, teacher, model.center, c.temperature))
        move_center(model.center, teacher, c.center_momentum)
    total = c.weight_mse * mse + c.weight_ce_cls * ce[0] + c.weight_ce_patch * ce[1]
    return {"loss": total, "mse": mse, "ce_cls": ce[0], "ce_patch": ce[1]}


def training_step(model, optimizer, clips, mark=lambda stage: None):
    """One optimizer step on normalised clips [b, t, 3, h, w]; `mark` hears the end of each stage.

    Returns the losses, the tensors behind them and the gradient norm before the clip.
    """
    b, t = clips.shape[:2]
    now, following = clips[:, :-1].flatten(0, 1), clips[:, 1:].flatten(0, 1)

    with torch.no_grad():
        z_next_teacher = model.teacher_encoder(following)
        teacher_logits = model.teacher_head(z_next_teacher)
    mark("teacher_forward")
    z = model.frame_encoder(now)
    mark("student_encoder")
    dz = model.motion_proj(model.motion_encoder(following - now, z))
    mark("motion_encoder")
    prediction = z + dz
    student_logits = model.head(prediction)
    parts = losses(model, prediction, z_next_teacher, student_logits, teacher_logits)
    mark("head_losses_forward")

    optimizer.zero_grad(set_to_none=True)
    parts["loss"].backward()
    mark("backward")
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(trained, model.config.grad_clip_norm, foreach=True)
    optimizer.step()
    mark("optimizer")
    model.move_teacher()
    mark("ema")

    tensors = dict(z=z, dz=dz, z_next_teacher=z_next_teacher,
                   student_logits=student_logits, teacher_logits=teacher_logits)
    tensors = {name: x.detach().unflatten(0, (b, t - 1)) for name, x in tensors.items()}
    return {name: x.item() for name, x in parts.items()}, tensors, norm.item()


def relative_error(got, want):
    """The largest difference, over the largest wanted value of the tensor."""
    got, want = (torch.as_tensor(x, dtype=torch.float64) for x in (got, want))
    return ((got - want).abs().max() / want.abs().max().clamp_min(1e-12)).item()


def check(folder, dtype):
    """The worst relative error of every compared quantity, by its name."""
    from safetensors.torch import load_file

    folder = pathlib.Path(folder)
    case = json.loads((folder / "tdv_small.json").read_text())
    inputs = load_file(folder / "tdv_small_inputs.safetensors")
    expected = load_file(folder / "tdv_small_expected.safetensors")

    sizes = {k: v for k, v in case["config"].items() if k not in ("clips", "frames")}
    model = Tdv(Config(**sizes)).to(dtype)
    model.load_state_dict({k.removeprefix("init."): v.to(dtype)
                           for k, v in inputs.items() if k.startswith("init.")})
    optimizer = model.optimizer()

    worst = {}

    def compare(name, got, want):
        worst[name] = max(worst.get(name, 0.0), relative_error(got, want))

    for i, want in enumerate(case["steps"]):
        parts, tensors, norm = training_step(model, optimizer, inputs[f"clips.{i}"].to(dtype))
        for name, value in parts.items():
            compare(name, value, want[name])
        compare("grad_norm", norm, want["grad_norm_before_clip"])
        if i > 0:
            continue
        for name, value in tensors.items():
            compare(name, value, expected[name])
        for name, p in model.named_parameters():
            if p.requires_grad:
                compare("grad_clipped", p.grad, expected[f"grad_clipped.{name}"])
    state = model.state_dict()
    for name, want in expected.items():
        if name.startswith("final."):
            compare("final", state[name.removeprefix("final.")], want)
    compare("center_after_steps", model.center, expected["center_after_steps"])
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", metavar="DIR", required=True, help="folder of tdv_small.*")
    args = parser.parse_args()

    failed = False
    for dtype in (torch.float64, torch.float32):
        worst = check(args.check, dtype)
        failed |= not all(error <= 1e-4 for error in worst.values())  # NaN fails as well
        print(str(dtype).removeprefix("torch."))
        for name, error in worst.items():
            print(f"  {name:20} {error:.1e}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
