"""Flink SQL: one Java process a run, with the jars that the oracle of the tests installs."""

import json
import os
import sys
import tempfile
from pathlib import Path

import duckdb_engine
import millstream_engine
from process import measured

sys.path.append(str(Path(__file__).parent.parent / "tests/oracle"))
import flink  # noqa: E402

TO_FILES = "'connector' = 'filesystem', 'path' = '{}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601'"


class Flink:
    name = "flink"
    installed = staticmethod(flink.installed)

    def __init__(self, threads, limit):
        self.threads, self.limit = threads, limit
        self.folder = tempfile.TemporaryDirectory()
        self.command = flink.compiled(Path(__file__).with_name("FlinkJob.java"), self.folder.name, "2g")

    def execute(self, workload, data, sink):
        script = os.path.join(self.folder.name, "job.sql")
        tables = millstream_engine.tables(data).replace("'json')", "'json', 'json.timestamp-format.standard' = 'ISO-8601')")
        with open(script, "w") as out:
            out.write(f"{tables}CREATE TABLE `result` ({workload.columns}) WITH ({sink});\n")
            out.write(f"INSERT INTO `result` {workload.query};\n")
        with tempfile.TemporaryFile("w+") as said:
            figures, _ = measured([*self.command, script, self.threads], stdout=said, limit=self.limit)
            said.seek(0)
            return {**figures, **json.loads(said.read().strip().splitlines()[-1])}

    def run(self, workload, data):
        return self.execute(workload, data, "'connector' = 'blackhole'")

    def check(self, workload, data):
        """None where Flink's files cannot hold the result: those of a GROUP BY without a window."""
        if workload.updating:
            return None
        with tempfile.TemporaryDirectory() as folder:
            self.execute(workload, data, TO_FILES.format(folder))
            rows = {"written": [f"{folder}/*", duckdb_engine.columns(workload.columns)]}
            return duckdb_engine.sums(workload, rows, "SELECT * FROM written")
