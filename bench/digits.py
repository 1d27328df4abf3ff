"""How good AdaSSL's futures of moving digits are after short training, as an Energy Score.

    digits.py --example PROGRAM

A digit moves straight for three frames (x) and turns by chance after the third. What is asked is
its velocity v after the turn, pixels of the field of 64 a frame. A future is an embedding of the
next three frames (y); a ridge regression reads from it where the digit's centre is on average in
them, and v is half the way from the true centre in the third frame to there. The regression is
fitted on embeddings of what came in one set of sequences, its strength is chosen on a quarter of
that set that it was not fitted on, and everything is measured on another set.

    ES = E|V - v| - 1/2 E|V - V'|

is the mean over the sequences, V and V' being two different draws of a forecast's futures. Lower
is better, and in expectation nothing beats the simulator's own futures. Of one guess it is the
mean distance. The readout's own error is in all that is read out, and none of what is not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

CONFIG = Path(__file__).parent.parent / "configs" / "adassl-moving-mnist.toml"

# What is smaller and shorter than the config, for two CPU cores: a learning rate for fewer steps,
# and a teacher that forgets as much faster.
SHORT = [
    'device="cpu"', "log_every=20", "pipeline.size=[32, 32]", "pipeline.batch.clips=32",
    "model.encoder.channels=[8, 16, 16, 16, 32]", "model.method.hidden=256",
    'model.method.editor="256-256-64"', 'model.method.projector="256-256-64"',
    "model.method.momentum=0.99",
    "model.train.steps=1000", "model.train.learning_rate=1e-3",
]
TWIN = 'model.method.latent="none"'
STRENGTHS = 10.0 ** np.arange(-6, 3)
# Metrics at the end: means over the last readings.
READINGS = 5


def measure(example, folder):
    """Both runs: their metrics at the end, and the scores of every forecast."""
    runs = {}
    for name, extra in ("stochastic", []), ("deterministic twin", [TWIN]):
        out = Path(folder) / "futures.safetensors"
        done = subprocess.run([example, CONFIG, out, *SHORT, *extra], check=True,
                              stdout=subprocess.PIPE, text=True)
        runs[name] = (json.loads(done.stdout), load_file(out))
    rows = forecasts(*(arrays for _, arrays in runs.values()))
    training = [{"name": name, **at_end(log)} for name, (log, _) in runs.items()]
    log = runs["stochastic"][0]
    return {"steps": log["steps"], "clips": log["clips"], "size": log["size"],
            "sequences": len(runs["stochastic"][1]["test.actual"]), "training": training,
            "forecasts": rows}


def at_end(log):
    last = log["reports"][-READINGS:]
    means = {key: float(np.mean([it[key] for it in last])) for key in last[0] if key != "step"}
    keys = ("loss", "minus_cosine", "minus_cosine_prior", "usage_gap", "kl", "prior_std",
            "posterior_std", "variance_projection")
    return {"seconds": log["seconds"], "parameters": sum(it for _, it in log["parameters"]),
            **{key: means.get(key) for key in keys}}


def forecasts(stochastic, twin):
    """Every forecast's score on the test set, and how far it is from the drawn futures'."""
    position, fit = readout(stochastic)
    twins, twin_fit = readout(twin)
    came, third, before = truth(stochastic)

    def velocity(positions):
        return (positions - third.reshape(len(third), *[1] * (positions.ndim - 2), 2)) / 2

    def one(values):
        return values[:, None]

    simulated = stochastic["test.simulated"][:, :, 3:6].mean(2)
    scores = {
        "64 drawn futures": (velocity(position(stochastic["test.samples"])), fit),
        "the prior's mean": (one(velocity(position(stochastic["test.expected"]))), fit),
        "deterministic twin": (one(velocity(twins(twin["test.expected"]))), twin_fit),
        "constant velocity, from the true past": (one(before), None),
        "64 futures of the simulator": (velocity(simulated), None),
        "what came, read out": (one(velocity(position(stochastic["test.actual"]))), fit),
        "what came, read out of the twin": (one(velocity(twins(twin["test.actual"]))), twin_fit),
    }
    drawn = energy(scores["64 drawn futures"][0], velocity(came))
    rows = []
    for name, (futures, r2) in scores.items():
        score = energy(futures, velocity(came))
        more = score - drawn
        rows.append({
            "name": name, "score": float(score.mean()), "r2": r2,
            "spread": float(pairs(futures).mean()),
            "more": float(more.mean()),
            "interval": float(1.96 * more.std(ddof=1) / np.sqrt(len(more))),
        })
    return rows


def truth(arrays):
    """Mean centre of y and centre in the third frame `[n, 2]`, and the velocity before."""
    centres = arrays["test.centres"]
    return centres[:, 3:6].mean(1), centres[:, 2], arrays["test.velocity_before"]


def readout(arrays):
    """A function from embeddings to mean centres, and its R² on the test set."""
    rows = arrays["readout.actual"].astype(np.float64)
    wanted = arrays["readout.centres"][:, 3:6].mean(1).astype(np.float64)
    cut = 3 * len(rows) // 4
    fits = [ridge(rows[:cut], wanted[:cut], it) for it in STRENGTHS]
    best = min(fits, key=lambda it: np.square(it(rows[cut:]) - wanted[cut:]).sum())
    came = truth(arrays)[0]
    left = np.square(best(arrays["test.actual"]) - came).sum()
    return best, float(1 - left / np.square(came - came.mean(0)).sum())


def ridge(rows, wanted, strength):
    """Least squares with a penalty on the slopes, a share of the rows' own spread."""
    mean, target = rows.mean(0), wanted.mean(0)
    centred = rows - mean
    gram = centred.T @ centred
    penalty = strength * np.trace(gram) / len(gram) * np.eye(len(gram))
    slopes = np.linalg.solve(gram + penalty, centred.T @ (wanted - target))
    return lambda it: (it - mean) @ slopes + target


def energy(futures, came):
    """The Energy Score of each sequence: futures `[n, m, 2]` of what came `[n, 2]`."""
    return np.linalg.norm(futures - came[:, None], axis=-1).mean(1) - pairs(futures) / 2


def pairs(futures):
    """Mean distance of two different futures `[n, m, 2]`, none of one."""
    count = futures.shape[1]
    if count == 1:
        return np.zeros(len(futures))
    apart = np.linalg.norm(futures[:, :, None] - futures[:, None], axis=-1)
    return apart.sum((1, 2)) / (count * (count - 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--example", required=True)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        json.dump(measure(args.example, folder), sys.stdout)
    print()


if __name__ == "__main__":
    main()
