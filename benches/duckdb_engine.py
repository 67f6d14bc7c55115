"""DuckDB: runs workloads, and computes the sums by which results of all engines are compared."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import bids
from process import Failed, measured

PYTHON = Path(os.environ.get("MILLSTREAM_PEERS", Path.home() / ".cache/millstream-peers")) / "bench/bin/python"
QUERY = Path(__file__).with_name("duckdb_query.py")


def columns(declared):
    """`a BIGINT, at TIMESTAMP(3)` as {name: DuckDB's type}."""
    kinds = {"STRING": "VARCHAR", "TIMESTAMP(3)": "TIMESTAMP"}
    pairs = (column.split() for column in declared.split(", "))
    return {name: kinds.get(kind, kind) for name, kind in pairs}


def ask(tables, query, threads, limit):
    """The row that the query gives, and its figures."""
    if not PYTHON.exists():
        raise Failed("DuckDB is not installed: run `scripts/setup bench`")
    with tempfile.TemporaryFile("w+") as request, tempfile.TemporaryFile("w+") as answer:
        json.dump({"threads": threads, "tables": tables, "query": query}, request)
        request.seek(0)
        process, _ = measured([PYTHON, QUERY], stdout=answer, stdin=request, limit=limit)
        answer.seek(0)
        said = json.load(answer)
    return said.pop("row"), {**said, "peak_mb": process["peak_mb"]}


def sums(workload, tables, query, threads=2, limit=None):
    """How many rows there are, and the sum of their hashes: equal for equal rows, whatever their order."""
    cast = ", ".join(f"{name}::{kind}" for name, kind in columns(workload.columns).items())
    row, _ = ask(tables, f"SELECT count(*), sum(hash({cast})::HUGEINT) FROM ({query})", threads, limit)
    return row


class DuckDB:
    name = "duckdb"

    def __init__(self, threads, limit):
        self.threads, self.limit = threads, limit

    def tables(self, data):
        declared = {"bids": bids.COLUMNS, "auctions": bids.AUCTION_COLUMNS}
        return {table: [f"{data.path(table)}/*.ndjson", columns(of)] for table, of in declared.items()}

    def run(self, workload, data):
        """The greatest value of each column: nothing of the result can be left out, and nothing of it is kept."""
        greatest = ", ".join(f"max({name})" for name in columns(workload.columns))
        _, figures = ask(self.tables(data), f"SELECT {greatest} FROM ({workload.duckdb})", self.threads, self.limit)
        return figures

    def check(self, workload, data):
        return sums(workload, self.tables(data), workload.duckdb, self.threads, self.limit)
