"""`millstream kda run` over every application of tests/kda, unmodified: the rows are those that the definitions give."""

import functools
import json
import subprocess
import sys
import tomllib

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


REFUSED = tomllib.loads((REPOSITORY / "tests/kda/refused.toml").read_text())["refused"]
STREAM = "CREATE OR REPLACE STREAM DESTINATION_SQL_STREAM (n INTEGER);\n"


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused["what"])
def test_what_is_no_application_is_refused_in_words(refused, tmp_path):
    columns = [{"Name": name, "SqlType": kind} for name, kind in (("A", "INTEGER"), ("T", "TIMESTAMP"), ("S", "VARCHAR(8)"))]
    stream = {"ResourceARN": "arn:aws:kinesis:eu-central-1:111122223333:stream/s"}
    schema = {"RecordFormat": {"RecordFormatType": "JSON"}, "RecordColumns": columns}
    inputs = [{"NamePrefix": "SOURCE_SQL_STREAM", "KinesisStreamsInput": stream, "InputSchema": schema}]
    application, replay = tmp_path / "app.json", tmp_path / "input.ndjson"
    application.write_text(json.dumps({"ApplicationCode": STREAM + refused["sql"], "Inputs": inputs}))
    replay.write_text("")
    ran = command("kda", "run", application, "--replay", replay)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "error" in ran.stderr.lower() and "panicked" not in ran.stderr, ran.stderr
    for word in refused["says"]:
        assert word.lower() in ran.stderr.lower(), ran.stderr
