"""`millstream kda run` over every application of tests/kda, unmodified: the rows are those that the definitions give."""

import functools
import subprocess
import sys

import pytest
from conftest import REPOSITORY, command

sys.path.append(str(REPOSITORY / "tests/kda"))
from cases import cases, read_rows  # noqa: E402

CASES = {case.name: case for case in cases()}


@functools.cache
def has_workers():
    return "--workers" in command("kda", "run", "--help").stdout


@pytest.mark.parametrize("name", CASES)
def test_an_application_gives_the_rows_of_its_definition(name):
    case = CASES[name]
    for workers in [[], ["--workers", "3"]] if has_workers() else [[]]:
        ran = command("kda", "run", case.folder / "app.json", "--replay", case.folder / "input.ndjson", *workers)
        assert ran.returncode == 0, ran.stderr
        wrong = case.wrong(read_rows(ran.stdout))
        assert not wrong, "\n".join([case.claim, *wrong, ran.stderr])


def test_expected_rows_are_what_their_scripts_compute():
    ran = subprocess.run([REPOSITORY / "tests/kda/make_expected", "--check"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_every_case_has_rows_to_compare():
    assert len(CASES) >= 66
    for case in CASES.values():
        assert any((case.folder / file).exists() for file in ("expected.ndjson", "check.py")), case.name
