"""How long the trainer waits for clips, and how near the pipeline and the trainer together come
to the slower of the two alone.

    waiting.py --onward PROGRAM --throughput EXAMPLE --config FILE [--steps N] VIDEO...

Three runs of the same network and batch, one after the other: the trainer fed by drawn frames,
which cost next to nothing; the pipeline alone over the videos; and both together.
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


def train(args, folder, name, streams):
    """Medians of one training run: clips a second and the share of time spent waiting."""
    run = Path(folder) / name
    sets = [
        f"model.train.steps={args.steps}", "log_every=5", "embed_every=0", "device=cpu",
        f"storage.dir={run}", "pipeline.stream=" + toml_list(streams),
    ]
    command = [args.onward, "--quiet", "train", args.config]
    subprocess.run(command + [it for set_ in sets for it in ("--set", set_)], check=True)
    # The first laps hold the filling of the pool and the warming up of caches.
    rows = duckdb.sql(
        f"SELECT name, value FROM '{run}/metrics/*.parquet' WHERE step > 10 "
        "AND name IN ('clips_per_second', 'data_wait')").fetchall()
    median = {key: statistics.median(v for k, v in rows if k == key) for key, _ in rows}
    return median["clips_per_second"], median["data_wait"]


def toml_list(streams):
    return "[" + ", ".join("{" + ", ".join(f"{k} = {v}" for k, v in it.items()) + "}"
                           for it in streams) + "]"


def pipeline_alone(args, videos):
    clip = tomllib.loads(Path(args.config).read_text())["pipeline"]
    height, width = clip["size"]
    clip = clip["clip"]
    numbers = [height, width, clip["frames"], clip["interval"], clip.get("hop", 0.0)]
    command = [args.throughput, *map(str, numbers), *videos]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = json.loads(out.splitlines()[-1])
    return result["clips"] / result["wall_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onward", required=True)
    parser.add_argument("--throughput", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("videos", nargs="+")
    args = parser.parse_args()

    drawn = [{"name": '"drawn"', "source": "{ synthetic = { frames = 1000 } }", "loop": "true"}]
    real = [{"name": f'"video-{i}"', "source": f'{{ files = "{it}" }}', "loop": "true"}
            for i, it in enumerate(args.videos)]
    with tempfile.TemporaryDirectory() as folder:
        trainer, _ = train(args, folder, "drawn", drawn)
        pipeline = pipeline_alone(args, args.videos)
        together, waiting = train(args, folder, "together", real)
    slower = min(trainer, pipeline)
    result = {
        "config": Path(args.config).name, "steps": args.steps, "trainer_alone": trainer,
        "pipeline_alone": pipeline, "together": together, "of_the_slower": together / slower,
        "data_wait": waiting,
    }
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
