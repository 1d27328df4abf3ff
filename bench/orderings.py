"""Which of the TDV paper's orderings short training shows on three real clips.

    orderings.py --onward PROGRAM [--steps N]

Five runs of the quickstart, alike but for one choice each, and a sixth that learns nothing. The
orderings (table 4 and section B.1 of the paper) are held against a rule written beside each. One
seed: what differs by little here may differ the other way with another.

The probe asks of every stored embedding of the last steps, by the vote of its 5 nearest others in
cosine, which stream its frame is from, and which stretch of 5 seconds of which stream. Frames of
the same stream less than 1 second away have no vote.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import duckdb
import numpy as np

QUICKSTART = Path(__file__).parent.parent / "configs" / "quickstart.toml"

# Steps at the end of a run that are averaged and whose embeddings are probed.
LAST = 60
NEIGHBOURS = 5
STRETCH, APART = 5.0, 1.0  # seconds

TDV = {
    "full": [],
    "no motion encoder": ["model.method.motion=none"],
    "no MSE": ["model.method.mse_coeff=0"],
    "no centring": ["model.method.centre_momentum=1"],
    "next frame for the difference": ["model.method.motion=frame"],
    # All networks stay as they were at first; the run is as long as what is probed.
    "untrained": ["model.train.learning_rate=1e-30", "model.method.momentum=1"],
}
METRICS = ("loss", "mse", "ce_cls", "ce_patch", "copy_ratio", "variance_frame",
           "variance_teacher", "teacher_entropy_cls", "teacher_entropy_patch")


def tdv_run(onward, folder, name, changes, steps):
    """Means of the last steps' metrics, and the probe of their embeddings."""
    run = Path(folder) / name.replace(" ", "-")
    sets = [*changes, f"model.train.steps={steps}", f"storage.dir={run}", "device=cpu",
            "log_every=5", "embed_every=1"]
    subprocess.run([onward, "--quiet", "train", QUICKSTART,
                    *(it for set_ in sets for it in ("--set", set_))], check=True)
    last = steps - LAST
    rows = duckdb.sql(f"SELECT name, value FROM '{run}/metrics/*.parquet' WHERE step > {last}")
    values = {}
    for key, value in rows.fetchall():
        values.setdefault(key, []).append(value)
    means = {key: statistics.mean(values[key]) for key in METRICS}
    return {"name": name, **means, **probe(run, last)}


def probe(run, last):
    """Shares of frames whose stream and whose stretch of time their neighbours name."""
    stream, pts, rows = zip(*duckdb.sql(
        f"SELECT stream, pts, embedding FROM '{run}/embeddings/*.parquet' "
        f"WHERE step > {last} ORDER BY step, stream, pts").fetchall())
    stream, pts, rows = np.array(stream), np.array(pts), np.array(rows, dtype=np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosine = rows @ rows.T
    same = stream[:, None] == stream[None]
    cosine[same & (np.abs(pts[:, None] - pts[None]) < APART)] = -np.inf
    nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :NEIGHBOURS]
    stretch = np.array([f"{it} {int(at // STRETCH)}" for it, at in zip(stream, pts)])
    return {"frames": len(rows), "stream": share(stream, nearest),
            "stretch": share(stretch, nearest), "chance": chance(stretch)}


def share(labels, nearest):
    def vote(voters):
        names, counts = np.unique(labels[voters], return_counts=True)
        # The nearest of those with most votes.
        best = set(names[counts == counts.max()])
        return next(it for it in labels[voters] if it in best)
    return float(np.mean([vote(voters) == own for voters, own in zip(nearest, labels)]))


def chance(labels):
    """How often the commonest label is right."""
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def orderings(runs):
    """Each ordering of the paper, the rule that it is held against, the numbers, the verdict."""
    full, untrained = runs["full"], runs["untrained"]
    fewest = min(it["frames"] for it in runs.values())

    def collapsed(name):
        return runs[name]["variance_teacher"] < 0.1 * full["variance_teacher"]

    def below(one, other):
        """By more than two standard errors of the difference of two shares."""
        a, b = one["stretch"], other["stretch"]
        return b - a > 2 * np.sqrt((a * (1 - a) + b * (1 - b)) / fewest)

    def spread(name):
        return f"variance {runs[name]['variance_teacher']:.3g} of {full['variance_teacher']:.3g}"

    def probed(name, other="full"):
        return f"probe {100 * runs[name]['stretch']:.1f} of {100 * runs[other]['stretch']:.1f} %"

    collapse = "the teacher's variance is below a tenth of the full recipe's"
    worse = "the probe of stretches is lower by more than 2 standard errors"
    sound = (full["variance_frame"] > 0.1 and full["copy_ratio"] < 1
             and below(untrained, full))
    frame, centre = "next frame for the difference", "no centring"
    return [
        ("the full recipe learns",
         "variance of z above 0.1, copy ratio below 1, and the probe above the untrained "
         "encoder's by more than 2 standard errors",
         f"variance {full['variance_frame']:.3g}, copy ratio {full['copy_ratio']:.2f}, "
         + probed("full", "untrained"), sound),
        ("without a motion encoder it collapses", collapse, spread("no motion encoder"),
         collapsed("no motion encoder")),
        ("without MSE it collapses", collapse, spread("no MSE"), collapsed("no MSE")),
        ("without centring it is worse", worse, probed(centre), below(runs[centre], full)),
        ("with the next frame for the difference it collapses or is worse",
         "either of the two rules above", f"{spread(frame)}, {probed(frame)}",
         collapsed(frame) or below(runs[frame], full)),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onward", required=True)
    parser.add_argument("--steps", type=int, default=450)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        runs = {name: tdv_run(args.onward, folder, name, changes,
                              LAST if name == "untrained" else args.steps)
                for name, changes in TDV.items()}
    prototypes = tomllib.loads(QUICKSTART.read_text())["model"]["method"]["head"]["prototypes"]
    claims = [{"claim": claim, "rule": rule, "numbers": numbers, "holds": bool(holds)}
              for claim, rule, numbers, holds in orderings(runs)]
    json.dump({"steps": args.steps, "last": LAST, "prototypes": prototypes,
               "runs": list(runs.values()), "orderings": claims}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
