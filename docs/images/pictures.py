"""Shrinks the screenshot of the page and draws what a run learned.

    pictures.py SCREENSHOT RUN FOLDER
"""

import sys
from pathlib import Path

import duckdb
import matplotlib
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

# Name of the metric, and what it is called beside its curve.
PANELS = (
    ("Loss", (("loss", "loss"),)),
    ("Error of the prediction, and of copying the frame",
     (("mse", "prediction"), ("copy_mse", "copy"))),
    ("Variance of the teacher's tokens over images", (("variance_teacher", "variance"),)),
)


def curve(run, name):
    rows = duckdb.sql(
        f"SELECT step, value FROM '{run}/metrics/*.parquet' WHERE name = '{name}' ORDER BY step"
    ).fetchall()
    if not rows:
        raise SystemExit(f"pictures: the run has no metric {name}")
    return zip(*rows)


def learned(run, path):
    figure, axes = plt.subplots(1, len(PANELS), figsize=(11, 3), layout="constrained")
    for axis, (title, curves) in zip(axes, PANELS):
        for name, label in curves:
            axis.plot(*curve(run, name), label=label, linewidth=1.2)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        axis.set_ylim(bottom=None if title == "Loss" else 0)
        if len(curves) > 1:
            axis.legend(fontsize=8)
    figure.savefig(path, dpi=90)


def main():
    screenshot, run, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    # 128 colours keep the page readable in a few dozen kilobytes.
    image = Image.open(screenshot).convert("RGB").quantize(128)
    image.save(folder / "page.png", optimize=True)
    learned(run, folder / "learned.png")


if __name__ == "__main__":
    main()
