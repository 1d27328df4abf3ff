"""Opens the tables of a run with every reader that the documents promise, and compares what they
find.

    cd tests/python
    pip install -r requirements.txt -r requirements-readers.txt
    python readers.py ../../runs/quickstart

The readers are DuckDB, Polars, pandas (PyArrow), ClickHouse, DataFusion and Hugging Face datasets;
and Spark, if pyspark and Java are installed (half a gigabyte, so not in the requirements). Each
must find the same columns of the same types, the same number of rows, and the same neighbours of
the first embedding.

Exits with status 1 and one sentence per reader that finds something else.
"""

import importlib.util
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TABLES = ("metrics", "embeddings", "streams", "events")
NEIGHBOURS = 5


class Wrong(Exception):
    """What is wrong with the tables, in one sentence."""


def require(so, message):
    if not so:
        raise Wrong(message)


def kind(arrow):
    """The type of an Arrow column, in the words in which readers are compared."""
    if pa.types.is_fixed_size_list(arrow) or pa.types.is_list(arrow):
        require(arrow.value_type == pa.float32(), f"a vector of {arrow.value_type}")
        return "vector"
    names = {pa.string(): "text", pa.large_string(): "text", pa.string_view(): "text",
             pa.int64(): "integer", pa.float64(): "double", pa.float32(): "float",
             pa.timestamp("us", "UTC"): "time"}
    require(arrow in names, f"no column should be of the type {arrow}")
    return names[arrow]


def check_metadata(run):
    """Every part names its run, and describes its columns for Hugging Face datasets."""
    for path in sorted(run.glob("*/part-*.parquet")):
        said = {key.decode(): it.decode() for key, it in (pq.read_schema(path).metadata or {}).items()}
        for key in ("schema_version", "run", "run_id", "config_hash"):
            require(said.get(f"onward.{key}"), f"{path} does not say its onward.{key}")
        features = json.loads(said.get("huggingface", "{}")).get("info", {}).get("features", {})
        names = pq.read_schema(path).names
        require(sorted(features) == sorted(names), f"{path}: features of {list(features)}")


class Truth:
    """The tables as PyArrow reads them, which the other readers are compared with."""

    def __init__(self, run):
        self.run = run
        self.files = {it: sorted(map(str, (run / it).glob("*.parquet"))) for it in TABLES}
        missing = [it for it in TABLES if not self.files[it]]
        require(not missing, f"{run} has no parts of {missing}")
        tables = {it: pa.concat_tables(map(pq.read_table, self.files[it])) for it in TABLES}
        self.kinds = {it: {field.name: kind(field.type) for field in tables[it].schema}
                      for it in TABLES}
        self.rows = {it: tables[it].num_rows for it in TABLES}
        vectors = tables["embeddings"]["embedding"]
        require(pa.types.is_fixed_size_list(vectors.type), f"embedding is a {vectors.type}")
        self.width = vectors.type.list_size
        vectors = np.stack(vectors.to_numpy()).astype(np.float64)
        self.query = vectors[0].tolist()
        self.nearest = nearest(vectors, self.query)


def nearest(vectors, query):
    """The cosine similarities of the nearest neighbours, nearest first."""
    vectors = np.asarray(vectors, np.float64)
    similarity = vectors @ query / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))
    return sorted(similarity.tolist(), reverse=True)[:NEIGHBOURS]


def duckdb(truth):
    import duckdb
    names = {"VARCHAR": "text", "BIGINT": "integer", "DOUBLE": "double", "FLOAT": "float",
             "TIMESTAMP WITH TIME ZONE": "time"}
    db = duckdb.connect()
    db.execute((truth.run / "views.sql").read_text())

    def one(table):
        found = db.execute(f"DESCRIBE {table}").fetchall()
        kinds = {it[0]: "vector" if it[1].startswith("FLOAT[") else names[it[1]] for it in found}
        return kinds, db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    found = db.execute(
        f"""SELECT array_cosine_similarity(embedding, ?::FLOAT[{truth.width}]) AS similarity
            FROM embeddings ORDER BY similarity DESC LIMIT {NEIGHBOURS}""", [truth.query]).fetchall()
    return {it: one(it) for it in TABLES}, [it[0] for it in found]


def polars(truth):
    import polars as pl
    names = {pl.String: "text", pl.Int64: "integer", pl.Float64: "double", pl.Float32: "float",
             pl.Datetime("us", "UTC"): "time"}

    def one(table):
        frame = pl.scan_parquet(truth.files[table], glob=False).collect()
        kinds = {name: "vector" if isinstance(it, pl.Array) and it.inner == pl.Float32
                 else names[it] for name, it in frame.schema.items()}
        return kinds, frame.height

    numbers = pl.scan_parquet(truth.files["embeddings"], glob=False).select("embedding").collect()
    return {it: one(it) for it in TABLES}, nearest(numbers["embedding"].to_numpy(), truth.query)


def pandas(truth):
    import pandas as pd
    frames = {it: pd.read_parquet(truth.run / it, dtype_backend="pyarrow") for it in TABLES}

    def one(frame):
        kinds = {name: kind(it.pyarrow_dtype) for name, it in frame.dtypes.items()}
        return kinds, len(frame)

    vectors = np.stack(frames["embeddings"]["embedding"].to_numpy())
    return {it: one(frames[it]) for it in TABLES}, nearest(vectors, truth.query)


def clickhouse(truth):
    import chdb
    names = {"String": "text", "Int64": "integer", "Float64": "double", "Float32": "float",
             "Array(Float32)": "vector", "DateTime64(6, 'UTC')": "time"}

    def ask(query):
        return json.loads(str(chdb.query(query, "JSON")))["data"]

    def source(table):
        return f"file('{truth.run.resolve() / table}/*.parquet', Parquet)"

    def one(table):
        kinds = {}
        for row in ask(f"DESCRIBE {source(table)}"):
            name = row["type"].removeprefix("Nullable(")
            kinds[row["name"]] = names[name if name == row["type"] else name.removesuffix(")")]
        (row,) = ask(f"SELECT toInt32(count(*)) AS rows FROM {source(table)}")
        return kinds, row["rows"]

    found = ask(f"""SELECT 1 - cosineDistance(embedding, {truth.query}::Array(Float32)) AS similarity
                    FROM {source('embeddings')} ORDER BY similarity DESC LIMIT {NEIGHBOURS}""")
    return {it: one(it) for it in TABLES}, [it["similarity"] for it in found]


def datafusion(truth):
    from datafusion import SessionContext
    session = SessionContext()
    for table in TABLES:
        session.register_parquet(table, str(truth.run / table))

    def one(table):
        frame = session.table(table)
        return {it.name: kind(it.type) for it in frame.schema()}, frame.count()

    query = "[" + ", ".join(f"CAST({it!r} AS FLOAT)" for it in truth.query) + "]"
    found = session.sql(f"""SELECT array_distance(embedding, {query}) AS distance
                            FROM embeddings ORDER BY distance LIMIT 1""").to_pydict()
    require(abs(found["distance"][0]) < 1e-6, f"no embedding is the first one: {found}")
    vectors = session.sql("SELECT embedding FROM embeddings").to_arrow_table()["embedding"]
    return {it: one(it) for it in TABLES}, nearest(np.stack(vectors.to_numpy()), truth.query)


def datasets(truth):
    import datasets
    datasets.disable_progress_bars()
    names = {"string": "text", "int64": "integer", "float64": "double", "float32": "float",
             "timestamp[us, tz=UTC]": "time"}
    with tempfile.TemporaryDirectory() as cache:
        def load(table):
            return datasets.load_dataset("parquet", data_files=truth.files[table], split="train",
                                         cache_dir=cache)

        def feature(it):
            if isinstance(it, datasets.Value):
                return names[it.dtype]
            require((it.feature.dtype, it.length) == ("float32", truth.width), f"a vector is {it}")
            return "vector"

        tables = {it: load(it) for it in TABLES}
        found = {it: ({name: feature(value) for name, value in table.features.items()},
                      table.num_rows) for it, table in tables.items()}
        vectors = tables["embeddings"].with_format("numpy")["embedding"][:]
        return found, nearest(np.stack(vectors), truth.query)


def spark(truth):
    from pyspark.sql import SparkSession
    names = {"string": "text", "bigint": "integer", "double": "double", "float": "float",
             "array<float>": "vector", "timestamp": "time"}
    session = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
               .config("spark.sql.shuffle.partitions", "1").getOrCreate())
    session.sparkContext.setLogLevel("ERROR")
    frames = {it: session.read.parquet(str(truth.run / it)) for it in TABLES}
    found = {it: ({name: names[text] for name, text in frame.dtypes}, frame.count())
             for it, frame in frames.items()}
    frames["embeddings"].createOrReplaceTempView("embeddings")

    def total(one, other):
        return f"aggregate(zip_with({one}, {other}, (x, y) -> x * y), 0D, (sum, it) -> sum + it)"

    query = "array(" + ", ".join(f"{it!r}D" for it in truth.query) + ")"
    rows = session.sql(
        f"""SELECT {total('embedding', 'q')} / sqrt({total('embedding', 'embedding')})
                   / sqrt({total('q', 'q')}) AS similarity
            FROM (SELECT embedding, {query} AS q FROM embeddings)
            ORDER BY similarity DESC LIMIT {NEIGHBOURS}""").collect()
    session.stop()
    return found, [it.similarity for it in rows]


def check(name, read, truth):
    found, similar = read(truth)
    for table in TABLES:
        kinds, rows = found[table]
        require(list(kinds) == list(truth.kinds[table]),
                f"the columns of {table} are {list(kinds)}, not {list(truth.kinds[table])}")
        other = {it: (kinds[it], kind) for it, kind in truth.kinds[table].items()
                 if kinds[it] != kind}
        require(not other, f"types in {table}, found and expected: {other}")
        require(rows == truth.rows[table], f"{rows} rows in {table}, not {truth.rows[table]}")
    require(len(similar) == len(truth.nearest) and np.allclose(similar, truth.nearest, atol=1e-4),
            f"the nearest neighbours are {similar}, not {truth.nearest}")
    print(f"{name}: {sum(truth.rows.values())} rows in {len(TABLES)} tables, nearest "
          f"{similar[1] if len(similar) > 1 else similar[0]:.4f}")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python readers.py RUN_FOLDER")
    readers = [duckdb, polars, pandas, clickhouse, datafusion, datasets]
    if importlib.util.find_spec("pyspark") and shutil.which("java"):
        readers.append(spark)
    else:
        print("spark: left out, because pyspark or java is not installed")
    wrong = []
    try:
        truth = Truth(Path(sys.argv[1]))
        check_metadata(truth.run)
    except (Wrong, pa.ArrowException, OSError) as error:
        sys.exit(str(error))
    for reader in readers:
        try:
            check(reader.__name__, reader, truth)
        except Exception as error:  # Each reader has exceptions of its own.
            wrong.append(f"{reader.__name__}: {type(error).__name__}: {error}")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
