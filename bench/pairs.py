"""Pairs of frames 0.2 s apart out of video files: onward's gop-start and its peers.

A pair at a key starts at a key frame; a pair at random starts at any frame, all alike likely. The
libraries are asked for one pair after the other with their own random access, in random order at
random positions, with one decode thread, each in a process of its own. onward reads from beginning
to end: gop-start gives a pair a group of pictures, always at its key frame, and never one at
a random position; dense decodes everything for the same pairs.

onward is charged its whole process, start-up and the first group, which it decodes whole, included;
the libraries are charged from opening the file on. Cropping and scaling are those of `decode.py`.
So that start-up does not hide the rest, files are repeated without encoding them again.
"""

import argparse
import importlib
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import decode

APART = 0.2
WHERE = ("at keys", "at random")


# The libraries: iterators over pairs, [2, ...] of u8, at the given numbers of frames.


def torchcodec_pairs(video, size, starts, step):
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import CenterCrop, Resize

    decoder = VideoDecoder(
        video["file"], num_ffmpeg_threads=1, seek_mode="approximate", device="cpu",
        transforms=[CenterCrop(decode.centre(video, size)), Resize(size)],
    )
    for start in starts:
        yield list(decoder.get_frames_at([start, start + step]).data.permute(0, 2, 3, 1))


def decord_pairs(video, size, starts, step):
    import decord

    height, width = decode.cover(video, size)
    reader = decord.VideoReader(video["file"], width=width, height=height, num_threads=1)
    for start in starts:
        pair = reader.get_batch([start, start + step]).asnumpy()
        yield [decode.crop(it, size) for it in pair]


def pyav_pairs(video, size, starts, step):
    import av
    from av.video.reformatter import VideoReformatter

    height, width = decode.cover(video, size)
    reformatter, fps = VideoReformatter(), Fraction(video["fps"])
    with av.open(video["file"]) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for start in starts:
            wanted = [stream.start_time + round(it / fps / stream.time_base)
                      for it in (start, start + step)]
            container.seek(wanted[0], stream=stream)
            pair = []
            for frame in container.decode(stream):
                if frame.pts < wanted[len(pair)]:
                    continue
                small = reformatter.reformat(frame, width=width, height=height, format="rgb24",
                                             interpolation="AREA", threads=1)
                pair.append(decode.crop(small.to_ndarray(), size))
                if len(pair) == 2:
                    break
            yield pair


LIBRARIES = {"torchcodec": torchcodec_pairs, "decord": decord_pairs, "PyAV": pyav_pairs}
ONWARD = ("onward, gop-start", "onward, dense")


def cpu(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def work(name, video, size, starts, step):
    """The body of a library's process: takes the pairs and prints what it took."""
    for module in decode.LIBRARIES[name][1]:
        importlib.import_module(module)
    if name == "torchcodec":
        importlib.import_module("torch").set_num_threads(1)
    before = cpu(resource.RUSAGE_SELF) + cpu(resource.RUSAGE_CHILDREN)
    begin, pairs = time.perf_counter(), 0
    for pair in LIBRARIES[name](video, size, starts, step):
        assert len(pair) == 2 and all(tuple(it.shape) == (*size, 3) for it in pair)
        pairs += 1
    wall = time.perf_counter() - begin
    spent = cpu(resource.RUSAGE_SELF) + cpu(resource.RUSAGE_CHILDREN) - before
    print(json.dumps({"pairs": pairs, "wall_s": wall, "cpu_s": spent}))


def run_library(name, where, video, args):
    starts = video["keys" if where == "at keys" else "random"]
    out, _, _ = decode.timed([
        sys.executable, __file__, video["long"], "--size", *map(str, args.size), "--worker", name,
        "--task", json.dumps([{**video, "file": video["long"]}, starts, video["step"]])])
    return json.loads(out.splitlines()[-1])


def run_onward(peer, video, args):
    """Dense decoding takes as long a pair in the file itself as in its repetition."""
    dense = peer == "onward, dense"
    hop = video["group"] / Fraction(video["fps"])
    out, wall, spent = decode.timed([
        args.onward, *([] if dense else ["--gop-start"]), *map(str, args.size), "2",
        str(APART), repr(float(hop)), video["file"] if dense else video["long"]])
    said = json.loads(out.splitlines()[-1])
    return {"pairs": said["clips"], "decoded": said["frames_decoded"], "wall_s": wall,
            "cpu_s": spent}


def repeated(file, seconds, length):
    """The file played as often as it takes to last so long, its pictures as they are."""
    out = file.with_name(f"{file.stem}-{seconds}s.mp4")
    if not out.exists():
        part = out.with_suffix(".part.mp4")
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-stream_loop", str(int(seconds / length)),
                        "-i", file, "-c", "copy", "-movflags", "+faststart", part], check=True)
        part.rename(out)
    return str(out)


def keys(file):
    """Numbers of the key frames, in the order in which frames are shown, and of all frames."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries",
               "packet=pts,flags", "-of", "csv=p=0", file]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    packets = sorted((int(line.split(",")[0]), "K" in line.split(",")[1]) for line in lines)
    return [number for number, (_, key) in enumerate(packets) if key], len(packets)


def prepare(file, args):
    video = decode.probe(file)
    fps = Fraction(video["fps"])
    video["long"] = repeated(Path(video["file"]), args.seconds, float(video["frames"] / fps))
    found, frames = keys(video["long"])
    step = round(APART * fps)
    gaps = [b - a for a, b in zip(found, found[1:])]
    chance = random.Random(0)
    starts = [chance.randrange(frames - step) for _ in range(args.pairs)]
    return {**video, "group": max(gaps), "groups": len(found), "long_frames": frames, "step": step,
            "keys": [it for it in found if it + step < frames][:args.pairs], "random": starts}


def measure(args, file):
    video = prepare(file, args)
    peers = [*((peer, None) for peer in ONWARD),
             *((name, where) for name in LIBRARIES for where in WHERE)]
    runs, errors = {peer: [] for peer in peers}, {}
    for repeat in range(args.repeats):
        for peer in (it for it in peers if it not in errors):
            name, where = peer
            try:
                last = run_library(name, where, video, args) if where else (
                    run_onward(name, video, args))
            except (RuntimeError, OSError) as error:
                errors[peer] = str(error)
                print(f"{peer} left out: {error}", file=sys.stderr)
                continue
            runs[peer].append(last)
            print(f"{Path(file).name} {repeat + 1}/{args.repeats} {name} {where or ''}: "
                  f"{last['pairs']} pairs, {last['cpu_s']:.2f} CPU-s, {last['wall_s']:.2f} s",
                  file=sys.stderr)
    rows = [row(*peer, runs[peer]) for peer in peers if peer not in errors]
    shown = {key: video[key] for key in
             ("codec", "width", "height", "fps", "frames", "long_frames", "group", "groups")}
    return {"file": Path(file).name, **shown, "rows": rows,
            "errors": {" ".join(filter(None, peer)): text for peer, text in errors.items()}}


def row(name, where, runs):
    rates = [it["pairs"] / it["cpu_s"] for it in runs]
    return {"name": name, "where": where or "at keys", "pairs": runs[0]["pairs"],
            "decoded": runs[0].get("decoded"), "cpu_s": statistics.median(
                it["cpu_s"] for it in runs),
            "pairs_per_cpu_s": statistics.median(rates), "pairs_per_cpu_s_all": rates}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--size", nargs=2, type=int, default=(112, 112), metavar=("H", "W"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=60, help="pairs that a library is asked for")
    parser.add_argument("--seconds", type=int, default=400, help="how long files are made")
    parser.add_argument("--onward", metavar="PATH", help="the example throughput")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.size = tuple(args.size)

    if args.worker:
        return work(args.worker, args.task[0], args.size, *args.task[1:])
    if not args.onward:
        parser.error("--onward is needed")
    files = [measure(args, file) for file in args.files]
    print(json.dumps({"machine": decode.machine(), "versions": decode.versions(),
                      "size": list(args.size), "repeats": args.repeats, "files": files}))


if __name__ == "__main__":
    main()
