"""Times the TDV step of tdv.py on random frames: the PyTorch row of the step benchmark.

A step is what a trainer does with one batch of u8 frames: convert and normalise, forward, three
losses, backward, clip, AdamW, EMA teacher. All times are medians over the timed steps.
"""

import argparse
import json
import resource
import statistics
import time

import torch

from tdv import SIZES, Config, Tdv, training_step

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalise(frames):
    """u8 [b, t, h, w, 3] -> f32 [b, t, 3, h, w], scaled to [0, 1], ImageNet's mean and deviation."""
    x = frames.permute(0, 1, 4, 2, 3).to(torch.float32, memory_format=torch.contiguous_format)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return x.div_(255.0).sub_(mean).div_(std)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed_step(model, optimizer, frames):
    """(wall seconds, CPU seconds of all threads, wall seconds of each stage, loss)"""
    stages, cpu, start = {}, cpu_seconds(), time.perf_counter()
    last = start

    def mark(stage):
        nonlocal last
        now = time.perf_counter()
        stages[stage], last = now - last, now

    clips = normalise(frames)
    mark("input")
    parts, _, _ = training_step(model, optimizer, clips, mark)
    return time.perf_counter() - start, cpu_seconds() - cpu, stages, parts["loss"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", choices=SIZES, default="xs")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, default=112, help="height and width of a frame")
    parser.add_argument("--prototypes", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=1, help="steps before the timed ones")
    parser.add_argument("--steps", type=int, default=3, help="timed steps")
    parser.add_argument("--json", action="store_true", help="print one JSON line")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = Tdv(Config(image=args.size, prototypes=args.prototypes, **SIZES[args.config]))
    optimizer = model.optimizer()
    shape = (args.clips, args.frames, args.size, args.size, 3)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8)

    runs = [timed_step(model, optimizer, frames) for _ in range(args.warmup + args.steps)]
    walls, cpus, stages, losses = zip(*runs[args.warmup:])
    result = {
        "name": f"PyTorch {torch.__version__} eager",
        "config": args.config, "clips": args.clips, "frames": args.frames, "size": args.size,
        "prototypes": args.prototypes, "threads": args.threads, "steps": args.steps,
        "median_s": statistics.median(walls),
        "cpu_s_per_step": statistics.median(cpus),
        "stages": {k: statistics.median(s[k] for s in stages) for k in stages[0]},
        "loss": losses[-1],
    }
    if args.json:
        print(json.dumps(result))
        return
    print(f"{result['name']}: {result['median_s']:.2f} s and "
          f"{result['cpu_s_per_step']:.2f} CPU-s a step")
    for stage, seconds in result["stages"].items():
        print(f"  {stage:20} {seconds:7.3f} s")


if __name__ == "__main__":
    main()
