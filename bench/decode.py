"""Dense decoding of video files to small RGB frames: onward's reader and its peers, side by side.

Every peer decodes a whole file with one decode thread into u8 RGB frames of H x W, the centre of
the picture with its aspect kept, in a process of its own. The repeats of all peers are interleaved,
so that a slow minute of the machine hurts all of them, and medians are reported.

Programs (ffmpeg, onward) are charged their whole process, start-up included. Python libraries are
charged from opening the file on: neither the interpreter's start nor imports count against them.
Each peer crops where that is cheapest for it: ffmpeg and torchcodec before scaling, in their
filter graph; OpenCV before scaling, by a view; decord and PyAV have no crop, so they scale the
whole picture and a view is taken after. They scale by area, except torchcodec (bilinear,
antialiased) and decord (its own choice, no option).
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path


def cover(video, size):
    """(height, width) of the whole picture scaled, aspect kept, until it just covers `size`."""
    scale = max(size[0] / video["height"], size[1] / video["width"])
    return round(video["height"] * scale), round(video["width"] * scale)


def centre(video, size):
    """(height, width) of the largest centred part of the picture with the aspect of `size`."""
    scale = min(video["height"] / size[0], video["width"] / size[1])
    return round(size[0] * scale), round(size[1] * scale)


def crop(image, size):
    """The centred view of [h, w, 3] with `size`."""
    top, left = (image.shape[0] - size[0]) // 2, (image.shape[1] - size[1]) // 2
    return image[top : top + size[0], left : left + size[1]]


# The library peers: iterators over u8 arrays, [H, W, 3] for a frame, [n, 3, H, W] for a batch.


def torchcodec_frames(video, size):
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import CenterCrop, Resize

    decoder = VideoDecoder(
        video["file"], num_ffmpeg_threads=1, seek_mode="approximate", device="cpu",
        transforms=[CenterCrop(centre(video, size)), Resize(size)],
    )
    for start in range(0, len(decoder), 64):
        yield decoder.get_frames_in_range(start, min(start + 64, len(decoder))).data


def decord_frames(video, size):
    import decord

    height, width = cover(video, size)
    reader = decord.VideoReader(video["file"], width=width, height=height, num_threads=1)
    for _ in range(len(reader)):
        yield crop(reader.next().asnumpy(), size)


def pyav_frames(video, size):
    import av
    from av.video.reformatter import VideoReformatter

    height, width = cover(video, size)
    reformatter = VideoReformatter()
    with av.open(video["file"]) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            small = reformatter.reformat(
                frame, width=width, height=height, format="rgb24", interpolation="AREA", threads=1
            )
            yield crop(small.to_ndarray(), size)


def opencv_frames(video, size):
    import cv2

    cv2.setNumThreads(1)
    reader = cv2.VideoCapture(video["file"], cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    while True:
        ok, image = reader.read()
        if not ok:
            return
        part = crop(image, centre(video, size))
        small = cv2.resize(part, (size[1], size[0]), interpolation=cv2.INTER_AREA)
        yield cv2.cvtColor(small, cv2.COLOR_BGR2RGB)


LIBRARIES = {  # name: (its frames, its modules, its distribution)
    "torchcodec": (torchcodec_frames, ("torch", "torchcodec.decoders", "torchcodec.transforms"),
                   "torchcodec"),
    "decord": (decord_frames, ("decord",), "decord"),
    "PyAV": (pyav_frames, ("av",), "av"),
    "OpenCV": (opencv_frames, ("cv2",), "opencv-python-headless"),
}
FFMPEG = ("ffmpeg, decode only", "ffmpeg, scaled")


def work(name, video, size):
    """The body of a library's process: decodes the file once and prints what it took."""
    frames_of, modules, _ = LIBRARIES[name]
    for module in modules:
        importlib.import_module(module)
    if name == "torchcodec":
        importlib.import_module("torch").set_num_threads(1)
    before, start, frames = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter(), 0
    for array in frames_of(video, size):
        batch, picture = (len(array), array.shape[2:]) if array.ndim == 4 else (1, array.shape[:2])
        assert tuple(picture) == size and "uint8" in str(array.dtype), (array.shape, array.dtype)
        frames += batch
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"frames": frames, "wall_s": wall, "cpu_s": cpu}))


def timed(command):
    """Runs a program to its end: its standard output, and wall and CPU seconds of the process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode} {done.stderr[-500:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, wall, cpu


def run_ffmpeg(name, video, size):
    command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-i", video["file"], "-an",
               "-sn", "-fps_mode", "passthrough", "-progress", "pipe:1", "-nostats"]
    if name == "ffmpeg, scaled":
        (h, w), (ch, cw) = size, centre(video, size)
        command += ["-filter_threads", "1", "-vf",
                    f"crop={cw}:{ch},scale={w}:{h}:flags=area,format=rgb24", "-f", "rawvideo"]
    else:
        command += ["-f", "null"]
    out, wall, cpu = timed([*command, "-y", "/dev/null"])
    frames = int(re.findall(r"^frame=\s*(\d+)", out, re.M)[-1])
    return {"frames": frames, "wall_s": wall, "cpu_s": cpu}


def run_library(name, video, size):
    out, _, _ = timed([sys.executable, __file__, video["file"], "--size", *map(str, size),
                       "--worker", name, "--video", json.dumps(video)])
    return json.loads(out.splitlines()[-1])


def run_onward(program, video, size):
    """Clips of two neighbouring frames, one clip after the other: each decoded frame is used once."""
    step = float(1 / Fraction(video["fps"]))
    out, wall, cpu = timed([program, str(size[0]), str(size[1]), "2", repr(step), repr(2 * step),
                            video["file"]])
    said = json.loads(out.splitlines()[-1])
    return {"frames": said["frames_decoded"], "clips": said["clips"],
            "wall_s": wall, "cpu_s": cpu}


def run(peer, args, video):
    size = tuple(args.size)
    if peer in FFMPEG:
        return run_ffmpeg(peer, video, size)
    if peer == "onward":
        return run_onward(args.onward, video, size)
    return run_library(peer, video, size)


def probe(file):
    """What the peers need to know of a file beforehand."""
    entries = "stream=codec_name,width,height,avg_frame_rate,nb_frames"
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", entries,
               "-of", "json", file]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    stream = json.loads(out)["streams"][0]
    return {"file": str(Path(file).resolve()), "codec": stream["codec_name"],
            "width": stream["width"], "height": stream["height"],
            "fps": stream["avg_frame_rate"], "frames": int(stream["nb_frames"])}


def machine():
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.*)$", info, re.M)
    return {"cpu": model.group(1) if model else platform.machine(), "cores": os.cpu_count(),
            "os": platform.platform(), "python": platform.python_version(),
            "date": datetime.date.today().isoformat()}


def versions():
    out = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True).stdout
    found = {"ffmpeg": out.split()[2]}
    for name, (_, _, distribution) in LIBRARIES.items():
        try:
            found[name] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def row(peer, runs):
    """Medians over the repeats of one peer on one file."""
    wall, cpu = (statistics.median(r[key] for r in runs) for key in ("wall_s", "cpu_s"))
    frames = runs[0]["frames"]
    clips = runs[0].get("clips", frames // 2)
    return {"name": peer, "frames": frames, "clips": clips, "wall_s": wall, "cpu_s": cpu,
            "cpu_s_all": [r["cpu_s"] for r in runs], "frames_per_cpu_s": frames / cpu,
            "clips_per_cpu_s": clips / cpu, "frames_per_s": frames / wall}


def measure(args, peers, video):
    runs, errors = {peer: [] for peer in peers}, {}
    for repeat in range(args.repeats):
        for peer in (p for p in peers if p not in errors):
            try:
                runs[peer].append(run(peer, args, video))
            except (RuntimeError, OSError) as error:
                errors[peer] = str(error)
                print(f"{peer} left out: {error}", file=sys.stderr)
                continue
            last = runs[peer][-1]
            print(f"{Path(video['file']).name} {repeat + 1}/{args.repeats} {peer}: {last['frames']} "
                  f"frames, {last['cpu_s']:.2f} CPU-s, {last['wall_s']:.2f} s", file=sys.stderr)
    rows = [row(peer, runs[peer]) for peer in peers if peer not in errors]
    rate = {r["name"]: r["frames_per_cpu_s"] for r in rows}
    for r in rows:
        for key, reference in (("of_decode_only", FFMPEG[0]), ("of_ffmpeg_scaled", FFMPEG[1])):
            r[key] = r["frames_per_cpu_s"] / rate[reference] if reference in rate else None
    return {**video, "file": Path(video["file"]).name, "rows": rows, "errors": errors}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--size", nargs=2, type=int, default=(112, 112), metavar=("H", "W"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--onward", metavar="PATH",
                        help="program called with H W 2 INTERVAL HOP FILE")
    parser.add_argument("--peers", nargs="+", choices=(*FFMPEG, *LIBRARIES, "onward"),
                        help="only these; all by default, onward where --onward is given")
    parser.add_argument("--json", action="store_true", help="print one JSON line")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--video", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()

    if args.worker:
        return work(args.worker, args.video, tuple(args.size))
    peers = args.peers or [*FFMPEG, *LIBRARIES, *(["onward"] if args.onward else [])]
    if "onward" in peers and not args.onward:
        parser.error("the peer onward needs --onward PATH")
    files = [measure(args, peers, probe(file)) for file in args.files]
    result = {"machine": machine(), "versions": versions(), "size": list(args.size),
              "repeats": args.repeats, "files": files}
    if args.json:
        print(json.dumps(result))
        return
    for file in files:
        print(file["file"])
        for r in file["rows"]:
            print(f"  {r['name']:20} {r['frames_per_cpu_s']:7.1f} frames/CPU-s  "
                  f"{r['clips_per_cpu_s']:7.1f} clips/CPU-s  {r['frames_per_s']:7.1f} frames/s")


if __name__ == "__main__":
    main()
