"""Runs one query of DuckDB over JSON: `python duckdb_query.py < request`, with the Python that has DuckDB.

The request is JSON: threads, tables (name: [paths, {column: type}]), query. Printed are its one row, and the seconds
and CPU seconds from the connection on: Python's own start is not DuckDB's.
"""

import json
import sys
import time

import duckdb


def main():
    request = json.load(sys.stdin)
    started, cpu = time.monotonic(), time.process_time()
    connection = duckdb.connect()
    connection.execute(f"SET threads = {request['threads']}")
    for name, (paths, columns) in request["tables"].items():
        # With columns given nothing is sniffed.
        connection.execute(
            f"CREATE VIEW {name} AS SELECT * FROM read_json('{paths}', format = 'newline_delimited', columns = {columns})"
        )
    row = connection.execute(request["query"]).fetchone()
    figures = {"seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({"row": [str(value) for value in row], **figures}))


if __name__ == "__main__":
    main()
