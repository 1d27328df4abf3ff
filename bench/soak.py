"""Trains on live cameras with random faults from a seeded plan, and reports what that did.

Run by scripts/soak. Everything is on the loopback interface and in one temporary folder.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np

SAMPLE_EVERY = 10.0
WARM_UP_SHARE = 0.2
OUTCOMES = ("trained", "untrained", "off_grid", "scene_cut", "discontinuity", "irregular",
            "light_change", "static", "dropped", "unfinished")
ALL_OUTCOMES = " + ".join(f'"{name}"' for name in OUTCOMES)
CONFIG = """
seed = 1
device = "cpu"
log_every = 5
embed_every = 50

[pipeline]
size = [32, 32]
clip = {{ frames = 3, interval = 0.2, hop = 0.4 }}
batch = {{ clips = 8, pool = 16 }}
isolate = {isolate}
{streams}
[model.encoder]
patch = 8
dim = 24
depth = 1
heads = 3

[model.method]
name = "tdv"

[model.method.head]
hidden = 32
bottleneck = 16
prototypes = 32

[model.train]
steps = 100000000
learning_rate = 1e-3
warmup = 4

[storage]
dir = "{run}"
{url}"""
STREAM = """
[[pipeline.stream]]
name = "{name}"
source = {{ uri = "{url}" }}
latency = 0.1
"""


@dataclass
class Fault:
    at: float
    camera: int
    kind: str
    lasts: float


@dataclass
class Camera:
    binary: Path
    media: Path
    port: int = 0
    url: str = ""
    process: subprocess.Popen | None = None
    busy_until: float = 0.0
    # When it was able to play again after a fault.
    back: list = field(default_factory=list)

    def start(self, media=None):
        self.media = media or self.media
        self.process = subprocess.Popen(
            [self.binary, "--leashed", "--port", str(self.port), "--media", self.media],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            sys.exit(f"a camera does not listen on port {self.port}: see above")
        self.port = int(self.url.split(":")[2].split("/")[0])

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def make_media(folder, source):
    made = []
    for name, size, encoder in [
        ("first.h264", (320, 240), "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25"),
        ("second.h264", (256, 144), "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25"),
        ("third.h265", (320, 240), "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25"),
    ]:
        path = folder / name
        codec = name.split(".")[1]
        width, height = size
        launch = (
            f"filesrc location={source} ! decodebin ! videoconvert ! videorate "
            f"! videoscale add-borders=false ! video/x-raw,format=I420,width={width},"
            f"height={height},pixel-aspect-ratio=1/1,framerate=25/1 ! {encoder} ! {codec}parse "
            f"! video/x-{codec},stream-format=byte-stream,alignment=au ! filesink location={path}")
        subprocess.run(["gst-launch-1.0", "-q", *launch.split()], check=True)
        made.append(path)
    return made


def plan(seed, seconds, cameras):
    """Faults in the order of time: about one a camera every 40 s, none in the last 30 s."""
    draw = random.Random(seed)
    faults, now = [], 15.0
    while True:
        now += draw.expovariate(cameras / 40.0)
        if now > seconds - 30.0:
            return faults
        kind = draw.choice(["kill", "kill", "freeze", "freeze", "size", "codec"])
        faults.append(Fault(now, draw.randrange(cameras), kind, draw.uniform(0.5, 12.0)))


def strike(fault, camera, media, pending):
    if fault.kind == "freeze":
        os.kill(camera.process.pid, signal.SIGSTOP)
        pending.append((time.time() + fault.lasts, lambda: thaw(camera)))
        return
    camera.kill()
    other = {"kill": camera.media, "size": media[1], "codec": media[2]}[fault.kind]
    if other == camera.media and fault.kind != "kill":
        other = media[0]
    pending.append((time.time() + fault.lasts, lambda: restart(camera, other)))


def thaw(camera):
    os.kill(camera.process.pid, signal.SIGCONT)
    camera.back.append(time.time())


def restart(camera, media):
    camera.start(media)
    camera.back.append(time.time())


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(it) for it in found.stdout.split()]


def sample(pid):
    """Resident MiB, file descriptors and threads, of the process and its children."""
    memory = descriptors = threads = 0
    for one in [pid, *children(pid)]:
        try:
            status = Path(f"/proc/{one}/status").read_text()
            descriptors += len(os.listdir(f"/proc/{one}/fd"))
        except OSError:
            continue
        lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        memory += int(lines["VmRSS"].split()[0]) / 1024
        threads += int(lines["Threads"])
    return memory, descriptors, threads


def run(arguments, folder):
    media = make_media(folder, "tests/media/street.mp4")
    cameras = [Camera(arguments.binaries / "camera", media[0]) for _ in range(arguments.cameras)]
    for camera in cameras:
        camera.start()
    streams = "".join(STREAM.format(name=f"camera-{idx}", url=it.url)
                      for idx, it in enumerate(cameras))
    config = folder / "soak.toml"
    isolate = "true" if arguments.isolate else "false"
    url = f'url = "{arguments.url}"\n' if arguments.url else ""
    config.write_text(CONFIG.format(isolate=isolate, streams=streams, run=folder / "run",
                                    url=url))
    seconds = arguments.minutes * 60
    faults, pending, samples = plan(arguments.seed, seconds, len(cameras)), [], []
    struck = []
    with (folder / "log").open("w") as log:
        trainer = subprocess.Popen([arguments.binaries / "onward", "train", config],
                                   stdout=log, stderr=log)
        begun = time.time()
        next_sample = begun
        while (elapsed := time.time() - begun) < seconds:
            if trainer.poll() is not None:
                print((folder / "log").read_text()[-3000:])
                sys.exit(f"the trainer ended after {elapsed:.0f} s with {trainer.returncode}")
            while faults and faults[0].at <= elapsed:
                fault = faults.pop(0)
                camera = cameras[fault.camera]
                # A camera that is in trouble already is left alone.
                if camera.busy_until < time.time():
                    camera.busy_until = time.time() + fault.lasts + 5.0
                    strike(fault, camera, media, pending)
                    struck.append(fault)
            for due in [it for it in pending if it[0] <= time.time()]:
                pending.remove(due)
                due[1]()
            if time.time() >= next_sample:
                samples.append((elapsed, *sample(trainer.pid)))
                next_sample += SAMPLE_EVERY
            time.sleep(0.05)
        for _, finish in pending:
            finish()
        trainer.send_signal(signal.SIGTERM)
        code = trainer.wait(timeout=60)
    for camera in cameras:
        camera.kill()
    return code, seconds, cameras, struck, np.array(samples)


def slope(samples, column):
    """Change an hour, by least squares after the warm-up."""
    late = samples[samples[:, 0] > WARM_UP_SHARE * samples[-1, 0]]
    return np.polyfit(late[:, 0] / 3600.0, late[:, column], 1)[0]


def reconnects(db, cameras):
    """Seconds from a camera's return to the first frame of its stream, where its stream was gone:
    one that was frozen for less than the stream's patience was not missed."""
    taken = []
    for idx, camera in enumerate(cameras):
        rows = db.execute(
            "SELECT epoch_us(time) / 1e6, state FROM events WHERE stream = ? ORDER BY time",
            [f"camera-{idx}"]).fetchall()
        for back in camera.back:
            before = [state for time, state in rows if time < back]
            later = [time for time, state in rows if time >= back and state == "playing"]
            if later and before and before[-1] != "playing":
                taken.append(later[0] - back)
    return np.array(taken)


def report(arguments, folder, code, seconds, cameras, struck, samples):
    run = folder / "run"
    db = duckdb.connect()
    for table in ("metrics", "streams", "events"):
        db.execute(f"CREATE VIEW {table} AS SELECT * FROM '{run}/{table}/*.parquet'")
    sums = ", ".join(f'sum("{name}")::BIGINT' for name in ("decoded", *OUTCOMES))
    decoded, *outcomes = db.execute(f"SELECT {sums} FROM streams").fetchone()
    wrong = db.execute(
        f"SELECT count(*) FROM (SELECT stream FROM streams GROUP BY stream "
        f"HAVING sum(decoded) <> sum({ALL_OUTCOMES}))").fetchone()[0]
    others = db.execute("SELECT sum(reconnects)::BIGINT, sum(stalls)::BIGINT, sum(dropped_backlog)::BIGINT, "
                        "sum(abandoned_pipelines)::BIGINT FROM streams").fetchone()
    steps, gap = db.execute(
        "SELECT max(step), max(gap) FROM (SELECT step, epoch_us(time) / 1e6 - "
        "lag(epoch_us(time) / 1e6) OVER (ORDER BY step) AS gap FROM metrics WHERE name = 'loss')"
    ).fetchone()
    taken = reconnects(db, cameras)
    np.savetxt(folder / "samples.csv", samples, delimiter=",", fmt="%.2f",
               header="seconds,resident_mib,file_descriptors,threads")
    kinds = {kind: sum(it.kind == kind for it in struck) for kind in ("kill", "freeze", "size", "codec")}
    print(f"trainer: up for {seconds / 60:.0f} of {seconds / 60:.0f} minutes, exit status {code}, "
          f"{steps} steps, at most {gap:.1f} s between two readings of the loss")
    print(f"faults: {len(struck)}: {kinds}, seed {arguments.seed}, isolate {arguments.isolate}")
    print(f"frames: {decoded} decoded; " + ", ".join(f"{it} {name}" for name, it in zip(OUTCOMES, outcomes) if it))
    print(f"ledger: {wrong} of {len(cameras)} streams do not add up")
    print("streams: {} reconnects, {} stalls, {} coded frames dropped, {} pipelines abandoned".format(*others))
    print(f"from a camera's return to its first frame: median {np.median(taken):.2f} s, 95 % "
          f"{np.quantile(taken, 0.95):.2f} s, at most {taken.max():.2f} s, over {len(taken)} returns")
    for name, column, unit in [("resident memory", 1, "MiB"), ("file descriptors", 2, ""), ("threads", 3, "")]:
        values = samples[:, column]
        print(f"{name}: {values[len(values) // 5]:.0f} {unit} after warm-up, {values[-1]:.0f} {unit} at the end, "
              f"at most {values.max():.0f}; slope {slope(samples, column):+.2f} {unit} an hour".replace("  ", " "))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binaries", type=Path)
    parser.add_argument("minutes", type=float)
    parser.add_argument("cameras", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--isolate", action="store_true")
    parser.add_argument("--url", help="an object store that the run is copied to")
    parser.add_argument("--keep", type=Path, help="a folder that is made and not removed")
    arguments = parser.parse_args()
    if arguments.keep:
        arguments.keep.mkdir(parents=True)
        report(arguments, arguments.keep, *run(arguments, arguments.keep))
        return
    with tempfile.TemporaryDirectory() as folder:
        report(arguments, Path(folder), *run(arguments, Path(folder)))


main()
