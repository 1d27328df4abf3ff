"""What each method learns in so many minutes of CPU time, on videos that `onward` draws.

    learning.py --onward PROGRAM --results FILE [--minutes N] [--seeds N,N] [--recipes NAME,NAME]

Every recipe is a config of `configs/` with the small network and the short run below. It is trained
on the items of `onward benchmark make` for as many steps as fit into the minutes, which a run of
a few steps tells, and `onward evaluate` measures it beside its untrained network, raw pixels and a
colour histogram. FILE has one line of JSON for each run; started again, only runs that it does not
have are made. It prints nothing; `table.py --learning FILE` makes tables of it.
"""

import argparse
import json
import resource
import subprocess
import tempfile
from pathlib import Path

CONFIGS = Path(__file__).parent.parent / "configs"

# Any of the configs, on frames of 64 by 64 and for two cores.
SMALL = [
    "device=cpu", "log_every=50", "embed_every=0", "pipeline.size=[64, 64]",
    "pipeline.batch={clips=64, pool=512}",
    "pipeline.clip={frames=2, interval=0.5, hop=0.5, cut_threshold=0, light_threshold=0}",
    "model.encoder={patch=8, dim=96, depth=4, heads=3}",
    "model.train.weight_decay=0.05", "model.train.decay_vectors=false",
]
PAIRS = [
    "model.method.views=both", "model.method.projector=512-512-128",
    "model.train.learning_rate=1e-3",
]
OTHERS = ["model.method.other_videos=true"]
RECIPES = {
    "simclr": ("simclr", PAIRS + OTHERS),
    "dcl": ("dcl", PAIRS + OTHERS),
    "vicreg": ("vicreg", PAIRS),
    "barlow-twins": ("barlow-twins", PAIRS),
    "lejepa": ("lejepa", PAIRS),
    "tico": ("tico", PAIRS),
    "byol": ("byol", PAIRS + ["model.method.momentum=0.99"]),
    "tdv": ("tdv-xs", [
        "model.method.motion_learning_rate=1.0", "model.train.learning_rate=5e-4",
        "model.method.head={hidden=512, bottleneck=64, prototypes=512}",
    ]),
}
# The steps of a run that tells what a step costs, and those at its beginning that do not count.
TRIAL, BEGINNING = 30, 10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onward", required=True)
    parser.add_argument("--results", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--made", type=Path, help="a benchmark that was made before")
    args = parser.parse_args()

    done = set()
    if args.results.exists():
        lines = map(json.loads, args.results.read_text().splitlines())
        done = {(it["recipe"], it["seed"], it["minutes"]) for it in lines}
    with tempfile.TemporaryDirectory() as folder:
        made = args.made or make(args.onward, Path(folder))
        for seed in map(int, args.seeds.split(",")):
            for name in args.recipes.split(","):
                if (name, seed, args.minutes) not in done:
                    result = measure(args.onward, Path(folder), made, name, seed, args.minutes)
                    with args.results.open("a") as file:
                        file.write(json.dumps(result) + "\n")


def make(onward, folder):
    subprocess.run([onward, "--quiet", "benchmark", "make", folder / "made"], check=True,
                   stdout=subprocess.DEVNULL)
    return folder / "made"


def measure(onward, folder, made, name, seed, minutes):
    config, changes = RECIPES[name]
    sets = [*SMALL, *changes, f"seed={seed}",
            f"pipeline.stream.0.source.files={made}/items/train/*/*.mp4"]
    run = folder / f"{name}-{seed}-{minutes:g}"
    short = train(onward, config, [*sets, *steps(BEGINNING), f"storage.dir={run}-beginning"])
    trial = train(onward, config, [*sets, *steps(TRIAL), f"storage.dir={run}-trial"])
    count = int(60 * minutes / ((trial - short) / (TRIAL - BEGINNING)))
    cpu = train(onward, config, [*sets, *steps(count), f"storage.dir={run}"])
    reports = [
        *evaluate(onward, run, made / "items", ["--task", "knn,linear,factors"]),
        *evaluate(onward, run, made / "scenes/medium", ["--task", "propagate",
                                                        "--short-side", "128"]),
        *evaluate(onward, run, made / "scenes/medium/query", ["--task", "correspond",
                                                              "--items", "200"]),
    ]
    return {"recipe": name, "seed": seed, "minutes": minutes, "steps": count, "cpu_s": cpu,
            "config": config, "sets": [*SMALL, *changes], "reports": reports}


def steps(count):
    return [f"model.train.steps={count}", f"model.train.warmup={max(count // 10, 1)}"]


def train(onward, config, sets):
    """CPU seconds of a run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([onward, "--quiet", "train", CONFIGS / f"{config}.toml",
                    *(it for set_ in sets for it in ("--set", set_))],
                   check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def evaluate(onward, run, data, options):
    result = subprocess.run([onward, "--quiet", "evaluate", run, "--data", data, "--baselines",
                             "--json", *options], check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


if __name__ == "__main__":
    main()
