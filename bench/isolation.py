"""Decodes files in onward's own process and in processes of their own, in turn.

    isolation.py --throughput EXAMPLE [--repeats N] VIDEO...

Prints one JSON object. A clip is two neighbouring frames; `every` cuts one clip after the other,
so that every frame is scaled and crosses, `sparse` one a second. The time of the processes
counts, and so does their start.
"""

import argparse
import json
import statistics
import subprocess
import sys

GAP = 0.04
HOPS = {"every": 2 * GAP, "sparse": 1.0}


def measure(program, isolate, hop, video, size=112):
    numbers = [size, size, 2, GAP, hop]
    command = [program, *["--isolate"] * isolate, *map(str, numbers), video]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


def row(runs):
    frames = {r["frames_decoded"] for r in runs}
    clips = {r["clips"] for r in runs}
    if len(frames) > 1 or len(clips) > 1:
        sys.exit(f"the same file gave {frames} frames and {clips} clips")
    cpu, wall = (statistics.median(r[key] for r in runs) for key in ("cpu_s", "wall_s"))
    frames, clips = frames.pop(), clips.pop()
    return {"frames": frames, "clips": clips, "cpu_s": cpu, "wall_s": wall,
            "frames_per_cpu_s": frames / cpu, "frames_per_s": frames / wall}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--throughput", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("videos", nargs="+")
    args = parser.parse_args()
    rows = []
    for video in args.videos:
        for name, hop in HOPS.items():
            runs = [[measure(args.throughput, isolate, hop, video) for isolate in (False, True)]
                    for _ in range(args.repeats)]
            here, apart = (row(list(it)) for it in zip(*runs))
            if (here["frames"], here["clips"]) != (apart["frames"], apart["clips"]):
                sys.exit(f"{video}: isolated, other frames or clips: {here}, {apart}")
            more = 1e6 * (apart["cpu_s"] - here["cpu_s"]) / here["frames"]
            rows.append({"file": video.rsplit("/")[-1], "clips": name, "here": here,
                         "isolated": apart, "cpu_us_a_frame": more})
    json.dump({"repeats": args.repeats, "rows": rows}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
