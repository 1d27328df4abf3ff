"""An S3 server on the loopback interface (moto), and a client of it (PyArrow).

    bucket.py serve                        prints its port, and serves until standard input ends
    bucket.py copy PORT PREFIX FOLDER      copies all objects to a folder
    bucket.py rows PORT PREFIX             counts the rows of every table
    bucket.py put PORT KEY FILE            writes a file as an object
    bucket.py damage PORT KEY              changes a bit of an object
"""

import logging
import sys
from pathlib import Path

BUCKET = "onward"


def serve():
    from moto.server import ThreadedMotoServer

    # Without this, every request is a line on standard error.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    connect(port).create_dir(BUCKET)
    print(port, flush=True)
    sys.stdin.read()
    server.stop()


def connect(port):
    from pyarrow.fs import S3FileSystem

    return S3FileSystem(access_key="test", secret_key="test", region="us-east-1", scheme="http",
                        endpoint_override=f"127.0.0.1:{port}", allow_bucket_creation=True)


def copy(port, prefix, folder):
    from pyarrow.fs import FileSelector, FileType

    bucket = connect(port)
    base = f"{BUCKET}/{prefix}"
    for found in bucket.get_file_info(FileSelector(base, recursive=True, allow_not_found=True)):
        if found.type == FileType.File:
            path = Path(folder) / found.path[len(base) + 1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bucket.open_input_stream(found.path).read())


def rows(port, prefix):
    import pyarrow.dataset as ds
    from pyarrow.fs import FileType

    bucket = connect(port)
    for table in ("embeddings", "events", "metrics", "streams"):
        folder = f"{BUCKET}/{prefix}/{table}"
        there = bucket.get_file_info(folder).type == FileType.Directory
        found = ds.dataset(folder, filesystem=bucket, format="parquet") if there else None
        print(table, found.count_rows() if there else 0)


def put(port, key, file):
    with connect(port).open_output_stream(f"{BUCKET}/{key}") as out:
        out.write(Path(file).read_bytes())


def damage(port, key):
    bucket = connect(port)
    bytes_ = bytearray(bucket.open_input_stream(f"{BUCKET}/{key}").read())
    bytes_[len(bytes_) // 2] ^= 4
    with bucket.open_output_stream(f"{BUCKET}/{key}") as out:
        out.write(bytes(bytes_))


if __name__ == "__main__":
    commands = {"serve": serve, "copy": copy, "rows": rows, "put": put, "damage": damage}
    commands[sys.argv[1]](*sys.argv[2:])
