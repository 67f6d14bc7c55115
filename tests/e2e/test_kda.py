"""Applications of Kinesis Data Analytics for SQL, as AWS describes them: run, converted, deployed."""

import copy
import json

import pytest
from conftest import command, eventually

QUOTES = "arn:aws:kinesis:us-east-1:123456789012:stream/quotes"
EXPENSIVE = "arn:aws:kinesis:us-east-1:123456789012:stream/expensive"
ROLE = "arn:aws:iam::123456789012:role/analytics"
CODE = """
-- prices above ten
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (ticker VARCHAR(4), price DOUBLE);
CREATE OR REPLACE PUMP "STREAM_PUMP" AS
  INSERT INTO "DESTINATION_SQL_STREAM"
  SELECT STREAM "TICKER", "PRICE" FROM "SOURCE_SQL_STREAM_001" WHERE "PRICE" > 10;
"""
SCHEMA = {
    "RecordFormat": {
        "RecordFormatType": "JSON",
        "MappingParameters": {"JSONMappingParameters": {"RecordRowPath": "$"}},
    },
    "RecordEncoding": "UTF-8",
    "RecordColumns": [
        {"Name": "TICKER", "SqlType": "VARCHAR(4)", "Mapping": "$.ticker"},
        {"Name": "PRICE", "SqlType": "DOUBLE", "Mapping": "$.quote.price"},
    ],
}
INPUT = {
    "NamePrefix": "SOURCE_SQL_STREAM",
    "KinesisStreamsInput": {"ResourceARN": QUOTES, "RoleARN": ROLE},
    "InputSchema": SCHEMA,
}
OUTPUT = {
    "Name": "DESTINATION_SQL_STREAM",
    "KinesisStreamsOutput": {"ResourceARN": EXPENSIVE, "RoleARN": ROLE},
    "DestinationSchema": {"RecordFormatType": "JSON"},
}
REQUEST = {"ApplicationName": "expensive", "ApplicationCode": CODE, "Inputs": [INPUT], "Outputs": [OUTPUT]}
RECORDS = [
    {"ticker": "AAAA", "quote": {"price": 11.5}},
    {"ticker": "BBBB", "quote": {"price": 9}},
    {"ticker": "CCCC", "quote": {"price": 12}},
]
ROWS = [{"TICKER": "AAAA", "PRICE": 11.5}, {"TICKER": "CCCC", "PRICE": 12.0}]


def described(part):
    """As a reply has what a request named."""
    names = ["KinesisStreamsInput", "KinesisStreamsOutput"]
    return {name + "Description" if name in names else name: value for name, value in part.items()}


def second(code, inputs, outputs):
    """The parts where the second version of the API has them in a request."""
    return {
        "SqlApplicationConfiguration": {"Inputs": inputs} | ({"Outputs": outputs} if outputs else {}),
        "ApplicationCodeConfiguration": {"CodeContentType": "PLAINTEXT", "CodeContent": {"TextContent": code}},
    }


def template(version, properties):
    output = {"ApplicationName": {"Ref": "App"}, "Output": copy.deepcopy(OUTPUT)}
    output["Output"]["KinesisStreamsOutput"]["ResourceARN"] = {"Fn::GetAtt": ["Out", "Arn"]}
    return {
        "Resources": {
            "Out": {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": "expensive", "ShardCount": 1}},
            "App": {"Type": f"AWS::{version}::Application", "Properties": properties},
            "AppOut": {"Type": f"AWS::{version}::ApplicationOutput", "Properties": output},
        }
    }


SHAPES = {
    "v1 request": REQUEST,
    "v2 request": {
        "ApplicationName": "expensive",
        "RuntimeEnvironment": "SQL-1_0",
        "ServiceExecutionRole": ROLE,
        "ApplicationConfiguration": second(CODE, [INPUT], [OUTPUT]),
    },
    "v1 reply": {
        "ApplicationDetail": {
            "ApplicationName": "expensive",
            "ApplicationStatus": "RUNNING",
            "ApplicationVersionId": 3,
            "InputDescriptions": [
                described(INPUT)
                | {
                    "InputId": "1.1",
                    "InAppStreamNames": ["SOURCE_SQL_STREAM_001"],
                    "InputStartingPositionConfiguration": {"InputStartingPosition": "NOW"},
                }
            ],
            "OutputDescriptions": [described(OUTPUT) | {"OutputId": "2.1"}],
            "ApplicationCode": CODE,
        }
    },
    "v2 reply": {
        "ApplicationDetail": {
            "ApplicationName": "expensive",
            "RuntimeEnvironment": "SQL-1_0",
            "ApplicationConfigurationDescription": {
                "SqlApplicationConfigurationDescription": {
                    "InputDescriptions": [described(INPUT)],
                    "OutputDescriptions": [described(OUTPUT)],
                },
                "ApplicationCodeConfigurationDescription": {"CodeContentDescription": {"TextContent": CODE}},
            },
        }
    },
    "v1 template": template(
        "KinesisAnalytics",
        {"ApplicationCode": {"Fn::Join": ["\n", CODE.split("\n")]}, "Inputs": [INPUT]},
    ),
    "v2 template": template(
        "KinesisAnalyticsV2",
        {"RuntimeEnvironment": "SQL-1_0", "ApplicationConfiguration": second(CODE, [INPUT], None)},
    ),
}


def changed(**parts):
    return copy.deepcopy(REQUEST) | parts


def write(folder, description, records=RECORDS, stream="quotes"):
    """The description and a replay, as files."""
    application, replay = folder / "app.json", folder / "records.ndjson"
    application.write_text(json.dumps(description))
    lines = [{"stream": stream, "arrival": 1000 * second, "data": data} for second, data in enumerate(records)]
    replay.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return application, replay


def rows_of(ran, table="DESTINATION_SQL_STREAM"):
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return [line["row"] for line in lines if line["table"] == table]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_application_runs_from_every_shape(tmp_path, shape):
    application, replay = write(tmp_path, SHAPES[shape])
    assert rows_of(command("kda", "run", application, "--replay", replay)) == ROWS
    # The replay's fields are in the records' place, whatever shape tells of them.
    converted = command("kda", "convert", application, "--embedded")
    assert converted.returncode == 0 and CODE in converted.stdout, converted.stderr
    script = tmp_path / "app.sql"
    script.write_text(converted.stdout)
    assert rows_of(command("run", script, "--replay", replay)) == ROWS


def test_without_outputs_the_destination_stream_is_printed(tmp_path):
    application, replay = write(tmp_path, changed(Outputs=[]))
    ran = command("kda", "run", application, "--replay", replay, "--stats")
    assert rows_of(ran) == ROWS
    assert json.loads(ran.stderr.splitlines()[-1])["rows_in"] == len(RECORDS)


def test_input_streams_are_read_together(tmp_path):
    code = CODE.replace(
        'FROM "SOURCE_SQL_STREAM_001" WHERE "PRICE" > 10',
        'FROM (SELECT STREAM * FROM "SOURCE_SQL_STREAM_001" UNION ALL SELECT STREAM * FROM "SOURCE_SQL_STREAM_002") '
        'WHERE "PRICE" > 10',
    )
    description = changed(Inputs=[INPUT | {"InputParallelism": {"Count": 2}}], ApplicationCode=code)
    application, replay = write(tmp_path, description)
    assert rows_of(command("kda", "run", application, "--replay", replay)) == ROWS


def test_a_firehose_input_reads_the_records_of_its_name(tmp_path):
    delivery = {"ResourceARN": "arn:aws:firehose:us-east-1:123456789012:deliverystream/clicks"}
    part = {name: value for name, value in INPUT.items() if name != "KinesisStreamsInput"}
    application, replay = write(tmp_path, changed(Inputs=[part | {"KinesisFirehoseInput": delivery}]), stream="clicks")
    assert rows_of(command("kda", "run", application, "--replay", replay)) == ROWS


def test_records_that_do_not_fit_go_to_the_error_stream_if_an_output_names_it(tmp_path):
    description = changed(Outputs=[OUTPUT, OUTPUT | {"Name": "error_stream"}])
    records = [*RECORDS, {"ticker": "DDDD", "quote": {"price": "much"}}]
    application, replay = write(tmp_path, description, records)
    ran = command("kda", "run", application, "--replay", replay)
    assert rows_of(ran) == ROWS
    [error] = rows_of(ran, "error_stream")
    assert "PRICE" in error["MESSAGE"], error


REFERENCE = {
    "TableName": "Companies",
    "S3ReferenceDataSource": {"BucketARN": "arn:aws:s3:::reference", "FileKey": "lists/companies.csv"},
    "ReferenceSchema": {
        "RecordFormat": {
            "RecordFormatType": "CSV",
            "MappingParameters": {
                "CSVMappingParameters": {"RecordRowDelimiter": "\n", "RecordColumnDelimiter": ";"}
            },
        },
        "RecordColumns": [
            {"Name": "Ticker", "SqlType": "VARCHAR(4)"},
            {"Name": "Company", "SqlType": "VARCHAR(20)"},
        ],
    },
}


def test_a_reference_table_is_a_file_beside_the_description(tmp_path):
    code = """
        CREATE STREAM "DESTINATION_SQL_STREAM" (ticker VARCHAR(4), company VARCHAR(20));
        CREATE PUMP p AS INSERT INTO "DESTINATION_SQL_STREAM"
        SELECT STREAM s."TICKER", c."Company" FROM "SOURCE_SQL_STREAM_001" AS s
        LEFT JOIN "Companies" AS c ON s."TICKER" = c."Ticker";"""
    description = changed(ApplicationCode=code, ReferenceDataSources=[REFERENCE])
    application, replay = write(tmp_path, description)
    ran = command("kda", "run", application, "--replay", replay)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert str(tmp_path / "companies.csv") in ran.stderr and "s3://reference/lists/companies.csv" in ran.stderr
    (tmp_path / "companies.csv").write_text("AAAA;Able\nCCCC;Charlie\n")
    assert rows_of(command("kda", "run", application, "--replay", replay)) == [
        {"TICKER": "AAAA", "COMPANY": "Able"},
        {"TICKER": "BBBB", "COMPANY": None},
        {"TICKER": "CCCC", "COMPANY": "Charlie"},
    ]


def test_every_mistake_of_a_description_is_told_with_its_place(tmp_path, service):
    description = copy.deepcopy(REQUEST)
    description["Inputs"][0]["KinesisStreamsInput"]["ResourceARN"] = "arn:aws:sns:us-east-1:1:t"
    description["Inputs"][0]["InputSchema"]["RecordColumns"][1]["SqlType"] = "STRING"
    del description["Outputs"][0]["Name"]
    places = [
        "$.Inputs[0].KinesisStreamsInput.ResourceARN",
        "$.Inputs[0].InputSchema.RecordColumns[1].SqlType",
        "$.Outputs[0].Name",
    ]
    application, replay = write(tmp_path, description)
    for arguments in [("run", application, "--replay", replay), ("convert", application)]:
        ran = command("kda", *arguments)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert [line.split(": ")[0].strip() for line in ran.stderr.splitlines()[1:]] == places
    answer = service.post("/api/v1/kda/applications", json=description)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert [problem["path"] for problem in answer.json()["problems"]] == places


def written(service, stream="expensive"):
    """What a stream has, in the order in which it came."""
    records = service.json(f"/api/v1/streams/{stream}/sample")["records"]
    return [record["data"] for record in reversed(records)]


def test_a_converted_application_is_served(tmp_path, start):
    application, _ = write(tmp_path, REQUEST)
    queries = tmp_path / "queries"
    queries.mkdir()
    (queries / "app.sql").write_text(command("kda", "convert", application, "--embedded").stdout)
    service = start("--queries", queries)
    eventually(lambda: service.get("/api/v1/streams/quotes").status_code == 200)
    service.put("quotes", RECORDS, key="ticker")
    eventually(lambda: len(written(service)) == len(ROWS))
    assert written(service) == ROWS


def test_an_application_is_defined_over_http(service):
    answer = service.post("/api/v1/kda/applications", json=REQUEST)
    assert answer.status_code == 200, answer.text
    created = answer.json()
    assert CODE in created["script"] and created["warnings"] == []
    assert "SOURCE_SQL_STREAM_001" in [result["name"] for result in created["results"]]
    service.put("quotes", RECORDS, key="ticker")
    eventually(lambda: len(written(service)) == len(ROWS))
    assert written(service) == ROWS
    # What is wrong with the SQL is told with its place in the script.
    wrong = CODE.replace('"TICKER",', '"NOWHERE",')
    answer = service.post("/api/v1/kda/applications", json=changed(ApplicationCode=wrong))
    problem = answer.json()
    assert answer.status_code == 400 and "NOWHERE" in problem["detail"], problem
    assert "NOWHERE" in problem["script"].splitlines()[problem["line"] - 1], problem
