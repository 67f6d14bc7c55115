"""Millstream by `millstream run`, as a stream or as one batch query over the same files."""

import os
import tempfile

import bids
import duckdb_engine
from process import measured

TABLES = """
CREATE TABLE bids ({bids}, WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{path_of_bids}', 'format' = 'json');
CREATE TABLE auctions ({auctions}, WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND)
WITH ('connector' = 'filesystem', 'path' = '{path_of_auctions}', 'format' = 'json');
"""


def tables(data):
    """Declared alike for Flink."""
    paths = {f"path_of_{table}": data.path(table) for table in ("bids", "auctions")}
    return TABLES.format(bids=bids.COLUMNS, auctions=bids.AUCTION_COLUMNS, **paths)


class Millstream:
    def __init__(self, binary, threads, limit, batch):
        self.name = "batch" if batch else "stream"
        self.limit = limit
        self.command = [binary, "run", "--workers", threads] + (["--batch"] if batch else [])

    def script(self, workload, data, sink):
        if workload.updating:  # `run` prints what the view holds at the end
            return f"{tables(data)}CREATE MATERIALIZED VIEW result AS {workload.query};"
        result = f"CREATE TABLE result ({workload.columns}) WITH ('connector' = '{sink}');"
        return f"{tables(data)}{result}\nINSERT INTO result {workload.query};"

    def execute(self, workload, data, sink, out):
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(self.script(workload, data, sink))
            script.flush()
            figures, _ = measured([*self.command, script.name], stdout=out, limit=self.limit)
            return figures

    def run(self, workload, data):
        with open(os.devnull, "w") as nowhere:
            return self.execute(workload, data, "blackhole", nowhere)

    def check(self, workload, data):
        with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as out:
            self.execute(workload, data, "print", out)
            members = ", ".join(f"{name} {kind}" for name, kind in duckdb_engine.columns(workload.columns).items())
            printed = {"printed": [out.name, {"row": f"STRUCT({members})"}]}
            return duckdb_engine.sums(workload, printed, "SELECT row.* FROM printed")
