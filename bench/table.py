"""Markdown tables of the benchmark's results, for BENCHMARKS.md.

    table.py [--decode FILE] [--step FILE...] [--waiting FILE...]

A result file holds one JSON object, on its last line. decode: what `decode.py --json` prints.
step: what `step.py --json` and onward's example print, the first file being the reference of the
ratios. waiting: what `waiting.py` prints.
"""

import argparse
import json
from pathlib import Path


def load(path):
    """The object on the last line of a file, or the whole file as one object."""
    text = Path(path).read_text().strip()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return json.loads(text.splitlines()[-1])


def table(header, rows):
    """Text columns first, then numbers: everything after the first column is right-aligned."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value, form):
    return "-" if value is None else format(value, form)


def decode_tables(result):
    h, w = result["size"]
    machine, versions = result["machine"], result["versions"]
    yield (f"{machine['cpu']}, {machine['cores']} cores, {machine['os']}, {machine['date']}. "
           + ", ".join(f"{k} {v}" for k, v in versions.items())
           + f". One decode thread, RGB {w}x{h}, medians of {result['repeats']}.")
    for file in result["files"]:
        yield (f"`{file['file']}` ({file['codec']}, {file['width']}x{file['height']}, "
               f"{file['frames']} frames):")
        header = ["reader", "frames per CPU-s", "clips per CPU-s", "of ffmpeg scaled",
                  "of decoding alone", "frames per s"]
        yield table(header, [
            [r["name"], f"{r['frames_per_cpu_s']:.0f}", f"{r['clips_per_cpu_s']:.0f}",
             number(r["of_ffmpeg_scaled"], ".2f"), number(r["of_decode_only"], ".2f"),
             f"{r['frames_per_s']:.0f}"]
            for r in sorted(file["rows"], key=lambda r: -r["frames_per_cpu_s"])])
        short = [r["name"] for r in file["rows"] if abs(r["frames"] - file["frames"]) > 1]
        if short:
            yield f"Not all frames were decoded by: {', '.join(short)}."
        if file["errors"]:
            yield "Left out: " + "; ".join(f"{k} ({v})" for k, v in file["errors"].items()) + "."


def step_tables(results):
    first = results[0]
    names = [r.get("name", f"run {i + 1}") for i, r in enumerate(results)]
    if "clips" in first:
        yield (f"{first['config']}, {first['clips']} clips of {first['frames']} frames "
               f"{first['size']}x{first['size']}, K = {first['prototypes']}, "
               f"{first['threads']} threads.")
    yield table(["step", "median s", "CPU-s", f"times {names[0]}", "CPU times"], [
        [name, f"{r['median_s']:.2f}", f"{r['cpu_s_per_step']:.2f}",
         f"{r['median_s'] / first['median_s']:.2f}",
         f"{r['cpu_s_per_step'] / first['cpu_s_per_step']:.2f}"]
        for name, r in zip(names, results)])
    staged = [(name, r["stages"]) for name, r in zip(names, results) if r.get("stages")]
    stages = list(dict.fromkeys(stage for _, times in staged for stage in times))
    if stages:
        yield table(["stage, s", *(name for name, _ in staged)], [
            [stage, *(number(times.get(stage), ".3f") for _, times in staged)]
            for stage in stages])


def waiting_tables(results):
    yield table(["config", "trainer alone", "pipeline alone", "together", "of the slower alone",
                 "waiting for clips"], [
        [r["config"], *(f"{r[key]:.1f} clips/s" for key in
                        ("trainer_alone", "pipeline_alone", "together")),
         f"{r['of_the_slower']:.2f}", f"{100 * r['waiting_share']:.1f} %"]
        for r in results])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decode", metavar="FILE")
    parser.add_argument("--step", nargs="+", metavar="FILE")
    parser.add_argument("--waiting", nargs="+", metavar="FILE")
    args = parser.parse_args()

    parts = []
    if args.decode:
        parts += ["## Decoding", *decode_tables(load(args.decode))]
    if args.step:
        parts += ["## One step", *step_tables([load(path) for path in args.step])]
    if args.waiting:
        parts += ["## Waiting", *waiting_tables([load(path) for path in args.waiting])]
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
