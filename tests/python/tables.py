"""Opens the tables of a finished run with DuckDB and Polars, and compares their answers.

    pip install -r tests/python/requirements.txt
    python tests/python/tables.py runs/quickstart

Exits with status 1 and one sentence that says what is wrong with the tables.
"""

import sys
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

NEIGHBOURS = 5
TABLES = ("metrics", "embeddings", "streams")
OPTIONAL = {"captured", "captured_by", "message"}
OUTCOMES = ("trained", "untrained", "off_grid", "scene_cut", "discontinuity", "irregular",
            "light_change", "static", "dropped", "unfinished")

TIME = "TIMESTAMP WITH TIME ZONE"
COUNTS = ("decoded", *OUTCOMES, "epochs", "errors", "reconnects", "stalls", "dropped_backlog",
          "skipped_gop", "abandoned_pipelines", "clips")
DUCKDB_TYPES = {
    "metrics": {
        "run": "VARCHAR", "step": "BIGINT", "time": TIME, "name": "VARCHAR", "value": "DOUBLE",
    },
    "embeddings": {
        "run": "VARCHAR", "step": "BIGINT", "encoder": "VARCHAR", "stream": "VARCHAR",
        "item": "VARCHAR", "epoch": "BIGINT", "pts": "DOUBLE", "captured": TIME,
        "captured_by": "VARCHAR",
    },
    "streams": {
        "run": "VARCHAR", "step": "BIGINT", "time": TIME, "stream": "VARCHAR",
        "state": "VARCHAR", **{name: "BIGINT" for name in COUNTS}, "share": "DOUBLE", "message": "VARCHAR",
    },
}
POLARS_TYPES = {
    "VARCHAR": pl.String, "BIGINT": pl.Int64, "DOUBLE": pl.Float64,
    TIME: pl.Datetime("us", "UTC"),
}


class Wrong(Exception):
    """What is wrong with the tables, in one sentence."""


def require(so, message):
    if not so:
        raise Wrong(message)


def open_duckdb(run):
    views = run / "views.sql"
    require(views.is_file(), f"{views} is missing: is {run} the folder of a finished run?")
    db = duckdb.connect()
    db.execute(views.read_text())
    found = {name for (name,) in db.execute("SELECT view_name FROM duckdb_views()").fetchall()}
    missing = [table for table in TABLES if table not in found]
    require(not missing, f"views.sql has no view for {missing}: those tables have no parts")
    return db


def open_polars(run):
    leftovers = sorted({*run.rglob("*.tmp"), *run.rglob(".*")})
    require(not leftovers, f"something unfinished is left: {[str(it) for it in leftovers]}")
    return {table: read(run / table) for table in TABLES}


def read(folder):
    """All parts of a table, listed here because Polars reads a [ in a path as a pattern."""
    return pl.read_parquet(sorted(folder.glob("*.parquet")), glob=False)


def check_types(db, frames):
    """Both find the same columns of the documented types; a method may add vectors."""
    widths = {name: it.size for name, it in frames["embeddings"].schema.items()
              if isinstance(it, pl.Array)}
    require("embedding" in widths,
            f"Polars reads embedding as {frames['embeddings'].schema['embedding']}")
    for table in TABLES:
        found = {row[0]: row[1] for row in db.execute(f"DESCRIBE {table}").fetchall()}
        losses = {name: "FLOAT" for name in found if name.startswith("loss_")}
        expected = dict(DUCKDB_TYPES[table])
        if table == "embeddings":
            expected |= losses | {name: f"FLOAT[{it}]" for name, it in widths.items()}
        require(found == expected, f"DuckDB reads {table} as {found}, not as {expected}")
        types = {name: POLARS_TYPES[it] for name, it in DUCKDB_TYPES[table].items()}
        if table == "embeddings":
            types |= dict.fromkeys(losses, pl.Float32)
            types |= {name: pl.Array(pl.Float32, it) for name, it in widths.items()}
        schema = dict(frames[table].schema)
        require(schema == types, f"Polars reads {table} as {schema}, not as {types}")


def check_rows(db, frames):
    """Every table has rows, both find the same number, and required columns have no nulls."""
    for table in TABLES:
        (rows,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
        require(rows > 0, f"{table} has no rows")
        require(rows == frames[table].height, f"{table}: {rows} rows in DuckDB, "
                f"{frames[table].height} in Polars")
        required = [name for name in frames[table].columns if name not in OPTIONAL]
        counts = ", ".join(f'count(*) - count("{name}")' for name in required)
        nulls = dict(zip(required, db.execute(f"SELECT {counts} FROM {table}").fetchone()))
        require(not any(nulls.values()), f"{table}: DuckDB finds nulls in {nulls}")
        nulls = frames[table].select(required).null_count().row(0, named=True)
        require(not any(nulls.values()), f"{table}: Polars finds nulls in {nulls}")
        print(f"{table}: {rows} rows, {len(frames[table].columns)} columns")
    numbers = frames["embeddings"]["embedding"].explode()
    require(numbers.null_count() == 0 and numbers.is_finite().all(),
            "an embedding holds a number that is null or not finite")


def neighbours(db, frames):
    """Both find the same nearest neighbours of the first embedding, by cosine similarity."""
    query = frames["embeddings"].row(0, named=True)["embedding"]
    width = len(query)
    found = db.execute(
        f"""SELECT stream, pts, array_cosine_similarity(embedding, ?::FLOAT[{width}]) AS similarity
            FROM embeddings ORDER BY similarity DESC LIMIT {NEIGHBOURS}""",
        [list(query)],
    ).fetchall()
    vectors = frames["embeddings"]["embedding"].to_numpy().astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    require(lengths.min() > 0, "an embedding is all zeros")
    similarity = vectors @ vectors[0] / (lengths * lengths[0])
    nearest = (
        frames["embeddings"].select("stream", "pts").with_columns(similarity=similarity)
        .top_k(NEIGHBOURS, by="similarity").sort("similarity", descending=True)
    )
    for row, same in zip(found, nearest["similarity"], strict=True):
        require(abs(row[2] - same) < 1e-4, f"DuckDB says {row[2]}, Polars says {same}")
    require(abs(found[0][2] - 1) < 1e-4, f"an embedding is not its own neighbour: {found[0]}")
    print(f"neighbours of the first of {len(vectors)} embeddings of {width} numbers:")
    for stream, pts, value in found:
        print(f"  {stream} at {pts:.3f} s: {value:.4f}")


def loss_name(frames):
    names = frames["metrics"]["name"].unique().sort().to_list()
    losses = sorted((name for name in names if "loss" in name), key=lambda it: (it != "loss", it))
    require(losses, f"no metric is a loss: {names}")
    return losses[0]


def join_metrics(db, frames):
    """Every embedding has one loss, that of its step."""
    name = loss_name(frames)
    rows, mean = db.execute(
        """SELECT count(*), avg(m.value) FROM embeddings e
           JOIN metrics m ON m.run = e.run AND m.step = e.step AND m.name = ?""",
        [name],
    ).fetchone()
    losses = frames["metrics"].filter(name=name)
    joined = frames["embeddings"].join(losses, on=["run", "step"])
    require(rows == joined.height, f"the join has {rows} rows in DuckDB, {joined.height} in Polars")
    require(rows == frames["embeddings"].height,
            f"{rows} of {frames['embeddings'].height} embeddings have one {name} at their step")
    require(np.isclose(mean, joined["value"].mean()), "the joined losses differ")
    print(f"{rows} embeddings joined to {name}: {mean:.4f} on average")


def join_streams(db, frames):
    """Every stream with embeddings is in the ledger."""
    found = db.execute(
        """SELECT stream, embeddings, clips, trained FROM
             (SELECT run, stream, count(*) AS embeddings FROM embeddings GROUP BY ALL)
             JOIN (SELECT run, stream, sum(clips)::BIGINT AS clips, sum(trained)::BIGINT AS trained
                   FROM streams GROUP BY ALL) USING (run, stream)
           ORDER BY stream"""
    ).fetchall()
    keys = ["run", "stream"]
    joined = (
        frames["embeddings"].group_by(keys).agg(embeddings=pl.len().cast(pl.Int64))
        .join(frames["streams"].group_by(keys).agg(pl.sum("clips"), pl.sum("trained")), on=keys)
        .sort("stream").select("stream", "embeddings", "clips", "trained")
    )
    require(found == joined.rows(), f"DuckDB joins {found}, Polars {joined.rows()}")
    strays = set(frames["embeddings"]["stream"]) - {row[0] for row in found}
    require(not strays, f"streams with embeddings but without a ledger: {sorted(strays)}")
    for stream, embeddings, clips, trained in found:
        print(f"{stream}: {embeddings} embeddings, {clips} clips, {trained} frames trained on")


def balance(db, frames):
    """Every decoded frame has exactly one outcome."""
    outcomes = " + ".join(OUTCOMES)
    found = db.execute(
        f"""SELECT run, stream, sum(decoded)::BIGINT, sum({outcomes})::BIGINT
            FROM streams GROUP BY ALL ORDER BY run, stream"""
    ).fetchall()
    sums = (
        frames["streams"].group_by("run", "stream")
        .agg(pl.sum("decoded"), pl.sum_horizontal(OUTCOMES).sum().alias("accounted"))
        .sort("run", "stream")
    )
    require(found == sums.rows(), f"DuckDB sums {found}, Polars {sums.rows()}")
    for _, stream, decoded, accounted in found:
        require(decoded == accounted, f"{stream}: {decoded} frames decoded, {accounted} accounted "
                f"for as {outcomes}")
        print(f"{stream}: {decoded} frames decoded, all accounted for")
    require(any(row[2] for row in found), "no stream decoded a frame")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python tables.py RUN_FOLDER")
    run = Path(sys.argv[1])
    try:
        db, frames = open_duckdb(run), open_polars(run)
        check_types(db, frames)
        check_rows(db, frames)
        neighbours(db, frames)
        join_metrics(db, frames)
        join_streams(db, frames)
        balance(db, frames)
    except (Wrong, duckdb.Error, pl.exceptions.PolarsError, OSError) as error:
        sys.exit(f"{run}: {error}")


if __name__ == "__main__":
    main()
