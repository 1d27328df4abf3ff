"""Markdown tables of the benchmark's results, for BENCHMARKS.md.

    table.py [--decode FILE] [--pairs FILE] [--step FILE...] [--waiting FILE...] [--methods FILE]
             [--isolation FILE] [--learning FILE] [--orderings FILE] [--digits FILE] [--tables FILE]

A result file holds one JSON object, on its last line. decode: what `decode.py --json` prints.
pairs: what `pairs.py` prints.
step: what `step.py --json` and onward's example print, the first file being the reference of the
ratios. waiting: what `waiting.py` prints. methods: what onward's example prints. isolation,
orderings, digits and tables: what `isolation.py`, `orderings.py`, `digits.py` and `tables.py` print.
learning: the file that `learning.py` writes.
"""

import argparse
import json
import math
from pathlib import Path


def load(path):
    """The object on the last line of a file, or the whole file as one object."""
    text = Path(path).read_text().strip()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return json.loads(text.splitlines()[-1])


def table(header, rows, texts=1):
    """Columns of text first, then numbers, which are right-aligned."""
    lines = [header, [*["---"] * texts, *["---:"] * (len(header) - texts)], *rows]
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


def pairs_tables(result):
    h, w = result["size"]
    machine, versions = result["machine"], result["versions"]
    yield (f"{machine['cpu']}, {machine['cores']} cores, {machine['os']}, {machine['date']}. "
           + ", ".join(f"{k} {v}" for k, v in versions.items())
           + f". One decode thread, RGB {w}x{h}, medians of {result['repeats']}.")
    for file in result["files"]:
        yield (f"`{file['file']}` ({file['codec']}, {file['width']}x{file['height']}, groups of "
               f"{file['group']} frames), repeated to {file['long_frames']} frames:")
        ours = file["rows"][0]["pairs_per_cpu_s"]
        yield table(["reader", "pairs start", "pairs", "pairs per CPU-s", "from", "to",
                     "onward's gop-start over it"], [
            [r["name"], r["where"], str(r["pairs"]), f"{r['pairs_per_cpu_s']:.1f}",
             *(f"{pick(r['pairs_per_cpu_s_all']):.1f}" for pick in (min, max)),
             f"{ours / r['pairs_per_cpu_s']:.2f}"]
            for r in file["rows"]], texts=2)
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
         f"{r['of_the_slower']:.2f}", f"{100 * r['data_wait']:.1f} %"]
        for r in results])


def methods_tables(result):
    rows = result["methods"]
    first = rows[0]
    yield (f"ViT-xs, patches of 14, {result['clips']} clips {result['size']}x{result['size']}, "
           f"medians of {result['rounds']} (the fastest and the slowest beside them).")
    yield table(["method", "encodes of a clip", "s a step", "from", "to",
                 f"times {first['name']}", "million parameters"], [
        [f"`{r['name']}`", r["encodes"], f"{r['median_s']:.2f}", f"{r['least_s']:.2f}",
         f"{r['most_s']:.2f}", f"{r['median_s'] / first['median_s']:.2f}",
         f"{r['parameters'] / 1e6:.1f}"]
        for r in rows], texts=2)


def isolation_tables(result):
    yield f"RGB 112x112, clips of two neighbouring frames, medians of {result['repeats']}."
    yield table(["file", "clips", "frames per CPU-s", "isolated", "of it", "more CPU a frame",
                 "frames per s", "isolated"], [
        [f"`{r['file']}`", r["clips"], f"{r['here']['frames_per_cpu_s']:.0f}",
         f"{r['isolated']['frames_per_cpu_s']:.0f}",
         f"{r['isolated']['frames_per_cpu_s'] / r['here']['frames_per_cpu_s']:.2f}",
         f"{r['cpu_us_a_frame']:.0f} us", f"{r['here']['frames_per_s']:.0f}",
         f"{r['isolated']['frames_per_s']:.0f}"]
        for r in result["rows"]], texts=2)


# What a table of learning shows: task, metric, and the heading.
QUALITIES = [
    ("knn", "accuracy", "k-NN"), ("linear", "accuracy", "linear"),
    ("correspond", "within a patch", "correspondence"), ("propagate", "J&F", "J&F"),
    ("factors", "R² of x", "R² of x"), ("factors", "R² of angle", "R² of angle"),
]


def learning_tables(path):
    """One table for each length of runs: recipes, and once what they are compared with."""
    runs = [json.loads(line) for line in Path(path).read_text().splitlines()]
    for minutes in sorted({run["minutes"] for run in runs}):
        those = [run for run in runs if run["minutes"] == minutes]
        yield (f"{minutes:g} minutes of CPU time each; 95 % intervals over items. * is above the "
               "untrained network on the same items by more than its interval, and ! below.")
        rows = [[run["recipe"], str(run["seed"]), str(run["steps"]),
                 *(quality(run, task, metric, None) for task, metric, _ in QUALITIES)]
                for run in those]
        for name in ("untrained, seed", "untrained, mean", "raw pixels", "colour histogram"):
            rows.append([name.replace(", seed", ""), "", "",
                         *(quality(those[0], task, metric, name) for task, metric, _ in QUALITIES)])
        yield table(["recipe", "seed", "steps", *(it[2] for it in QUALITIES)], rows)


def quality(run, task, metric, baseline):
    """A number of the trained encoder, or of one whose name begins with `baseline`."""
    report = next(it for it in run["reports"] if it["task"] == task)
    of = [it for it in report["results"] if it["metric"] == metric]
    line = next((it for it in of if it["encoder"].startswith(baseline)), None) if baseline else of[0]
    if line is None:
        return "-"
    gain = line.get("over_untrained")
    mark = "" if gain is None else "*" if gain["low"] > 0 else "!" if gain["high"] < 0 else ""
    return f"{line['value']:.3f}{mark} ({line['low']:.3f} .. {line['high']:.3f})"


def orderings_tables(result):
    yield (f"TDV on the quickstart's three clips, {result['steps']} steps, one seed; means and "
           f"embeddings of the last {result['last']} steps "
           f"(ln K = {math.log(result['prototypes']):.2f}; naming the commonest stretch is right "
           f"in {100 * result['runs'][0]['chance']:.0f} %):")
    yield table(["run", "variance of z", "teacher's variance", "copy ratio", "MSE", "CE [CLS]",
                 "CE patches", "teacher's entropy", "probe: stream", "probe: stretch"], [
        [r["name"], f"{r['variance_frame']:.3g}", f"{r['variance_teacher']:.3g}",
         f"{r['copy_ratio']:.2f}", f"{r['mse']:.3g}", f"{r['ce_cls']:.2f}",
         f"{r['ce_patch']:.2f}", f"{r['teacher_entropy_patch']:.2f}",
         f"{100 * r['stream']:.1f} %", f"{100 * r['stretch']:.1f} %"]
        for r in result["runs"]])
    yield table(["the paper's ordering", "rule", "measured", "at this length"], [
        [r["claim"], r["rule"], r["numbers"], "HOLDS" if r["holds"] else "DOES NOT HOLD"]
        for r in result["orderings"]], texts=4)


def digits_tables(result):
    height, width = result["size"]
    yield (f"AdaSSL on moving digits, {result['steps']} steps of {result['clips']} clips "
           f"{height}x{width}, one seed; metrics at the end:")
    yield table(["run", "s a step", "million parameters", "-cos", "-cos, prior's mean",
                 "usage gap", "KL, nats", "prior's deviation", "posterior's"], [
        [r["name"], f"{r['seconds'] / result['steps']:.2f}", f"{r['parameters'] / 1e6:.2f}",
         *(number(r[key], ".3f") for key in ("minus_cosine", "minus_cosine_prior", "usage_gap",
                                             "kl", "prior_std", "posterior_std"))]
        for r in result["training"]])
    drawn = result["forecasts"][0]
    yield (f"Energy Score of the velocity after the turn on {result['sequences']} sequences "
           "(lower is better; mean and 95 % interval of the difference over the sequences):")
    yield table(["forecast", "px a frame", "more than the drawn", "apart", "spread of futures",
                 "readout's R²"], [
        [r["name"], f"{r['score']:.3f}",
         "-" if r is drawn else f"{r['more']:+.3f} ± {r['interval']:.3f}",
         "-" if r is drawn else "yes" if separate(r) else "no",
         f"{r['spread']:.3f}", number(r["r2"], ".3f")]
        for r in result["forecasts"]])
    better = [r["name"] for r in result["forecasts"] if separate(r) and r["more"] > 0]
    worse = [r["name"] for r in result["forecasts"] if separate(r) and r["more"] < 0]
    even = [r["name"] for r in result["forecasts"] if r is not drawn and not separate(r)]
    parts = [(better, "are better than"), (worse, "are worse than"), (even, "are level with")]
    yield "At this length, the drawn futures " + "; they ".join(
        f"{verb} {', '.join(names)}" for names, verb in parts if names) + "."


def writing_tables(result):
    peer = next(r for r in result["results"] if r["name"] == "pyarrow")
    yield (f"{result['rows']} embeddings of {result['width']} numbers, zstd and byte-stream-split, "
           f"PyArrow {result['pyarrow']}, medians of {result['repeats']}.")
    yield table(["writer", "rows per s", "of pyarrow", "CPU us a row", "of pyarrow",
                 "bytes a row"], [
        [r["name"], f"{r['rows_per_s']:.0f}", f"{r['rows_per_s'] / peer['rows_per_s']:.2f}",
         f"{r['cpu_us_a_row']:.1f}", f"{r['cpu_us_a_row'] / peer['cpu_us_a_row']:.2f}",
         f"{r['bytes_a_row']:.0f}"]
        for r in result["results"]])


def separate(row):
    """Whether the interval of the difference leaves 0 out."""
    return abs(row["more"]) > row["interval"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decode", metavar="FILE")
    parser.add_argument("--pairs", metavar="FILE")
    parser.add_argument("--step", nargs="+", metavar="FILE")
    parser.add_argument("--waiting", nargs="+", metavar="FILE")
    parser.add_argument("--methods", metavar="FILE")
    parser.add_argument("--isolation", metavar="FILE")
    parser.add_argument("--learning", metavar="FILE")
    parser.add_argument("--orderings", metavar="FILE")
    parser.add_argument("--digits", metavar="FILE")
    parser.add_argument("--tables", metavar="FILE")
    args = parser.parse_args()

    parts = []
    if args.decode:
        parts += ["## Decoding", *decode_tables(load(args.decode))]
    if args.pairs:
        parts += ["## Pairs at key frames", *pairs_tables(load(args.pairs))]
    if args.step:
        parts += ["## One step", *step_tables([load(path) for path in args.step])]
    if args.waiting:
        parts += ["## Waiting", *waiting_tables([load(path) for path in args.waiting])]
    if args.methods:
        parts += ["## One step of every method", *methods_tables(load(args.methods))]
    if args.isolation:
        parts += ["## Decoding in processes of its own", *isolation_tables(load(args.isolation))]
    if args.learning:
        parts += ["## Learning", *learning_tables(args.learning)]
    if args.orderings:
        parts += ["## TDV's orderings", *orderings_tables(load(args.orderings))]
    if args.digits:
        parts += ["## Futures of moving digits", *digits_tables(load(args.digits))]
    if args.tables:
        parts += ["## Writing tables", *writing_tables(load(args.tables))]
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
