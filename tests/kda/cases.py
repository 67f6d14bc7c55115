"""A case of tests/kda as a test sees it: what it claims, and whether printed rows are its rows."""

import importlib.util
import json
import math
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import oracle  # noqa: E402

# Floats are equal within so much of the larger one, and next to 0 within so much.
TOLERANCE, TOLERANCE_AT_ZERO = 1e-9, 1e-12


class Case:
    def __init__(self, folder):
        self.folder, self.name = folder, folder.name
        told = tomllib.loads((folder / "case.toml").read_text())
        self.claim, self.covers = told["claim"], told["covers"]
        # The order of the rows counts.
        self.ordered = told.get("ordered", False)
        # Tables of which only those columns are compared that are expected.
        self.partial = told.get("partial", [])

    def wrong(self, rows):
        """What is wrong with (table, row) pairs in the order in which they were printed."""
        found = []
        if (self.folder / "expected.ndjson").exists():
            found += self._unlike_expected(rows)
        if (self.folder / "check.py").exists():
            try:
                load(self.folder / "check.py").check(oracle.read(self.folder / "input.ndjson"), rows)
            except AssertionError as error:
                found.append(f"check.py: {error!r}")
        return found

    def _unlike_expected(self, rows):
        expected = read_rows((self.folder / "expected.ndjson").read_text())
        for table in sorted({table for table, _ in expected + rows}):
            wanted = [row for of, row in expected if of == table]
            given = [row for of, row in rows if of == table]
            if table in self.partial:
                columns = {column for row in wanted for column in row}
                given = [{column: row.get(column) for column in row if column in columns} for row in given]
            if not self.ordered:
                wanted, given = sorted(wanted, key=order), sorted(given, key=order)
            for i in range(max(len(wanted), len(given))):
                one, other = (of[i] if i < len(of) else None for of in (wanted, given))
                if not same(one, other):
                    rest = "" if len(wanted) == len(given) else f" ({len(wanted)} rows expected, {len(given)} given)"
                    yield f"{table}: expected {json.dumps(one, ensure_ascii=False)}, given {json.dumps(other, ensure_ascii=False)}{rest}"
                    break


def cases():
    return [Case(file.parent) for file in sorted(HERE.glob("*/case.toml"))]


def read_rows(text):
    lines = map(json.loads, filter(None, text.splitlines()))
    return [(line["table"], line["row"]) for line in lines]


def load(file):
    spec = importlib.util.spec_from_file_location(f"kda_{file.parent.name}_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def order(row):
    """A key that brings rows that are equal but for rounding to the same place."""
    return sorted((name, rounded(value) if is_number(value) else json.dumps(value)) for name, value in row.items())


def rounded(number):
    return f"{number if abs(number) > TOLERANCE_AT_ZERO else 0:.6e}"


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(one, other):
    if one is None or other is None:
        return one is other
    return one.keys() == other.keys() and all(same_value(value, other[name]) for name, value in one.items())


def same_value(one, other):
    if not (is_number(one) and is_number(other)):
        return type(one) is type(other) and one == other
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE_AT_ZERO)
