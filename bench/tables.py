"""Writes the same rows of embeddings with onward and with PyArrow, in turn.

    tables.py --write EXAMPLE [--repeats N] [--records N] [--rows N] [--width N]

Prints one JSON object. Both write one Parquet file with zstd and byte-stream-split vectors, in row
groups of about 16 MiB, and wait until it is on disk. `store` is what a run uses: beside the
embeddings it writes the three other tables, and every record goes to a write-ahead file first.
`plain` is the crate parquet with the vectors alone: the difference is what the store adds.
PyArrow gets whole row groups.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_BYTES = 16 << 20
WAYS = ("store", "plain", "pyarrow", "pyarrow plain")


def tables(records, rows, width):
    """The rows of the example, with other random numbers of the same distribution."""
    random = np.random.default_rng(1)
    item = pa.field("item", pa.float32(), nullable=False)
    total = records * rows
    for start in range(0, total, ROW_GROUP_BYTES // (4 * width)):
        n = min(ROW_GROUP_BYTES // (4 * width), total - start)
        numbers = random.random((n * width, 4), dtype=np.float32).sum(1) - 2
        vectors = pa.FixedSizeListArray.from_arrays(
            pa.array(numbers), type=pa.list_(item, width))
        index = np.arange(start, start + n)
        utc = pa.timestamp("us", "UTC")
        yield pa.table({
            "run": ["bench"] * n, "step": index // rows, "encoder": ["teacher"] * n,
            "stream": ["door"] * n, "item": ["rtsp://camera/door"] * n,
            "epoch": np.zeros(n, np.int64), "pts": index / 25,
            "captured": pa.array(1_700_000_000_000_000 + 40_000 * (index // rows), utc),
            "captured_by": ["camera"] * n,
            "loss_total": random.random(n, dtype=np.float32), "embedding": vectors,
        })


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def pyarrow(path, chunks):
    """The file's writing, without making the numbers."""
    floats = [it for it in ("pts", "loss_total", "embedding") if it in chunks[0].column_names]
    others = [it for it in chunks[0].column_names if it not in floats]
    # PyArrow calls the item of a list `element`, as the Parquet format asks.
    split = [*floats[:-1], "embedding.list.element"]
    start, before = time.perf_counter(), cpu()
    with open(path, "wb") as file:
        with pq.ParquetWriter(file, chunks[0].schema, compression="zstd", use_dictionary=others,
                              use_byte_stream_split=split, write_statistics=others) as writer:
            for chunk in chunks:
                writer.write_table(chunk)
        file.flush()
        os.fsync(file.fileno())
    return {"seconds": time.perf_counter() - start, "cpu_s": cpu() - before,
            "bytes": path.stat().st_size}


def onward(program, folder, numbers, plain):
    command = [program, folder, *map(str, numbers), *["plain"] * plain]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", required=True)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--records", type=int, default=600)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--width", type=int, default=384)
    args = parser.parse_args()
    numbers = (args.records, args.rows, args.width)
    chunks = list(tables(*numbers))
    vectors = [it.select(["embedding"]) for it in chunks]
    found = {it: [] for it in WAYS}
    for _ in range(args.repeats):
        for way in WAYS:
            folder = Path(tempfile.mkdtemp(dir=os.environ.get("ONWARD_BENCH_DIR")))
            match way:
                case "store" | "plain":
                    result = onward(args.write, folder / "run", numbers, way == "plain")
                case "pyarrow":
                    result = pyarrow(folder / "part.parquet", chunks)
                case _:
                    result = pyarrow(folder / "part.parquet", vectors)
            found[way].append(result)
            shutil.rmtree(folder)
    total = args.records * args.rows
    rows = []
    for way, runs in found.items():
        seconds, used = (statistics.median(r[it] for r in runs) for it in ("seconds", "cpu_s"))
        rows.append({"name": way, "rows_per_s": total / seconds, "cpu_us_a_row": 1e6 * used / total,
                     "bytes_a_row": runs[0]["bytes"] / total})
    json.dump({"rows": total, "width": args.width, "repeats": args.repeats,
               "pyarrow": pa.__version__, "results": rows}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
