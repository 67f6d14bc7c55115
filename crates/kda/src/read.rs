//! From the parts of a description to an [`Application`]: every part is read, whatever is wrong with another.

use serde_json::Value;

use crate::application::{
    Application, Column, Destination, Format, Input, Output, RecordFormat, Reference, Schema, Start, StreamKind,
    StreamSource,
};
use crate::arn::{Kind, Resource};
use crate::node::{Findings, Node};
use crate::problem::Problem;
use crate::shape::{self, Code, Shape};
use crate::sql_type;

/// AWS's limits. What is beyond them runs here all the same, with a warning.
const NAME_LETTERS_MAX: usize = 32;
const CODE_BYTES_MAX: usize = 102_400;
const OUTPUTS_MAX: usize = 3;
const REFERENCES_MAX: usize = 1;
/// Each in-application stream becomes a table: this limit is kept.
const PARALLELISM_MAX: u64 = 64;

const INPUT: [&str; 9] = [
    "InputId",
    "NamePrefix",
    "InAppStreamNames",
    "InputProcessingConfiguration",
    "KinesisStreamsInput",
    "KinesisFirehoseInput",
    "InputSchema",
    "InputParallelism",
    "InputStartingPositionConfiguration",
];
const OUTPUT: [&str; 6] =
    ["OutputId", "Name", "KinesisStreamsOutput", "KinesisFirehoseOutput", "LambdaOutput", "DestinationSchema"];
const REFERENCE: [&str; 4] = ["ReferenceId", "TableName", "S3ReferenceDataSource", "ReferenceSchema"];
const SCHEMA: [&str; 3] = ["RecordFormat", "RecordEncoding", "RecordColumns"];
const COLUMN: [&str; 3] = ["Name", "SqlType", "Mapping"];

/// Reads a description.
pub(crate) fn application(json: &str) -> Result<Application, Vec<Problem>> {
    let root: Value =
        serde_json::from_str(json.trim_start_matches('\u{feff}')).map_err(|error| no_json(json, &error))?;
    let findings = Findings::new(shape::template(&root));
    let application = shape::of(&root, &findings).and_then(|shape| of_shape(shape, &findings));
    let (problems, warnings) = findings.found();
    match application {
        Some(application) if problems.is_empty() => Ok(Application { warnings, ..application }),
        _ => Err(problems),
    }
}

fn no_json(text: &str, error: &serde_json::Error) -> Vec<Problem> {
    let hint = match text.trim_start().chars().next() {
        None => "the file is empty",
        Some('{' | '[') => "mend it there",
        Some(_) => {
            "YAML is not read: take `aws kinesisanalytics describe-application`, or convert the template \
             (`aws cloudformation package --use-json`, `cfn-flip`)"
        }
    };
    vec![Problem { path: "$".to_owned(), message: format!("is no JSON: {error}; {hint}") }]
}

fn of_shape(shape: Shape<'_>, findings: &Findings<'_>) -> Option<Application> {
    if let Some(runtime) = &shape.runtime
        && let Some(name) = runtime.text()
        && !name.starts_with("SQL")
    {
        runtime.problem(format!(
            "`{name}` is an application for Apache Flink; SQL-1_0 is read here. Flink's SQL is no part of this \
             description: write its statements into a .sql file, for `millstream run` and `serve`"
        ));
        return None;
    }
    let name = shape.name.as_ref().and_then(Node::text);
    let code = code(&shape.code, findings);
    if shape.inputs.is_empty() {
        findings.problem("$", "has no input; describe the stream that it reads as an element of Inputs");
    }
    let inputs: Vec<_> = shape.inputs.iter().filter_map(input).collect();
    let references: Vec<_> = shape.references.iter().filter_map(reference).collect();
    let outputs: Vec<_> = shape.outputs.iter().filter_map(output).collect();
    beyond(findings, "outputs", outputs.len(), OUTPUTS_MAX);
    beyond(findings, "reference tables", references.len(), REFERENCES_MAX);
    Some(Application { name, inputs, references, outputs, code: code?, warnings: Vec::new() })
}

fn beyond(findings: &Findings<'_>, what: &str, found: usize, most: usize) {
    if found > most {
        findings.warning(format!("the application has {found} {what}; AWS allows {most}"));
    }
}

fn code(code: &Code<'_>, findings: &Findings<'_>) -> Option<String> {
    let missing = "is missing or empty; give the application's SQL as its text";
    match code {
        Code::Missing(path) => {
            findings.problem(path, missing);
            None
        }
        Code::Elsewhere(node) => {
            node.problem("code is not read from there; give the application's SQL as TextContent");
            None
        }
        Code::At(node) => {
            let text = node.text()?;
            if text.trim().is_empty() {
                node.problem(missing);
                return None;
            }
            if text.len() > CODE_BYTES_MAX {
                node.warning(&format!("has {} bytes; AWS allows {CODE_BYTES_MAX}", text.len()));
            }
            Some(text)
        }
    }
}

fn input(node: &Node<'_>) -> Option<Input> {
    node.expect_members(&INPUT);
    let prefix =
        name(node, "NamePrefix", "streams are named after it, such as SOURCE_SQL_STREAM for SOURCE_SQL_STREAM_001");
    let parallelism = node.described("InputParallelism").map_or(Some(1), |node| parallelism(&node));
    let source = source(node);
    let schema = schema(node, "InputSchema");
    let preprocessor = match node.described("InputProcessingConfiguration") {
        None => Some(None),
        Some(processing) => {
            let function =
                processing.required("InputLambdaProcessor", "name the function, or leave out the processing");
            function.and_then(|function| resource(&function, Kind::Function)).map(Some)
        }
    };
    let start = start(node);
    Some(Input {
        prefix: prefix?,
        parallelism: parallelism?,
        source: source?,
        schema: schema?,
        preprocessor: preprocessor?,
        start,
    })
}

fn parallelism(node: &Node<'_>) -> Option<u32> {
    let Some(count) = node.get("Count") else { return Some(1) };
    // Templates write numbers as texts, too.
    let found = count.value.as_u64().or_else(|| count.value.as_str()?.parse().ok());
    let found = found.filter(|found| (1..=PARALLELISM_MAX).contains(found)).and_then(|found| u32::try_from(found).ok());
    if found.is_none() {
        count.problem(format!("{} given, expected a whole number from 1 to {PARALLELISM_MAX}", count.value));
    }
    found
}

fn source(node: &Node<'_>) -> Option<StreamSource> {
    match (node.described("KinesisStreamsInput"), node.described("KinesisFirehoseInput")) {
        (Some(stream), None) => {
            resource(&stream, Kind::Stream).map(|resource| StreamSource { kind: StreamKind::Kinesis, resource })
        }
        (None, Some(delivery)) => resource(&delivery, Kind::DeliveryStream)
            .map(|resource| StreamSource { kind: StreamKind::Firehose, resource }),
        (None, None) => {
            node.problem("has no source; give one of KinesisStreamsInput and KinesisFirehoseInput");
            None
        }
        (Some(_), Some(_)) => {
            node.problem("has two sources; leave one of KinesisStreamsInput and KinesisFirehoseInput");
            None
        }
    }
}

fn start(node: &Node<'_>) -> Option<Start> {
    let configuration = node.get("InputStartingPositionConfiguration")?;
    let position = configuration.get("InputStartingPosition")?;
    let known =
        [("NOW", Start::Now), ("TRIM_HORIZON", Start::TrimHorizon), ("LAST_STOPPED_POINT", Start::LastStoppedPoint)];
    one_of(&position, &known)
}

fn output(node: &Node<'_>) -> Option<Output> {
    node.expect_members(&OUTPUT);
    let stream =
        name(node, "Name", "name the in-application stream whose rows go there, such as DESTINATION_SQL_STREAM");
    let found: Vec<_> = ["KinesisStreamsOutput", "KinesisFirehoseOutput", "LambdaOutput"]
        .into_iter()
        .filter_map(|name| Some((name, node.described(name)?)))
        .collect();
    let destination = match &found[..] {
        [("KinesisStreamsOutput", to)] => resource(to, Kind::Stream).map(Destination::Kinesis),
        [("KinesisFirehoseOutput", to)] => resource(to, Kind::DeliveryStream).map(Destination::Firehose),
        [(_, to)] => resource(to, Kind::Function).map(Destination::Lambda),
        others => {
            let have = if others.is_empty() { "no destination" } else { "several destinations" };
            node.problem(format!(
                "has {have}; give one of KinesisStreamsOutput, KinesisFirehoseOutput and LambdaOutput"
            ));
            None
        }
    };
    // AWS's own default is JSON, where a template says nothing.
    let format = match node.described("DestinationSchema") {
        None => Some(Format::Json),
        Some(schema) => {
            let format = schema.required("RecordFormatType", "write JSON or CSV");
            format.and_then(|format| one_of(&format, &[("JSON", Format::Json), ("CSV", Format::Csv)]))
        }
    };
    Some(Output { stream: stream?, destination: destination?, format: format? })
}

fn reference(node: &Node<'_>) -> Option<Reference> {
    node.expect_members(&REFERENCE);
    let table = name(node, "TableName", "the SQL reads it by this name");
    let place = node.required("S3ReferenceDataSource", "name the object of S3 that has the rows");
    let object = place.and_then(|place| {
        let bucket = place.required("BucketARN", &format!("write {}", Kind::Bucket.example()));
        let bucket = bucket.and_then(|bucket| arn(&bucket, Kind::Bucket));
        let key = place.required_text("FileKey", "name the object").map(|(_, key)| key);
        Some((bucket?, key?))
    });
    let schema = schema(node, "ReferenceSchema");
    let (bucket, key) = object?;
    Some(Reference { table: table?, bucket, key, schema: schema? })
}

/// The name of something of the application's own.
fn name(node: &Node<'_>, member: &str, what_to_do: &str) -> Option<String> {
    let (node, name) = node.required_text(member, what_to_do)?;
    if name.chars().any(char::is_control) {
        node.problem("has a control character; take it out");
        return None;
    }
    let letters = name.chars().count();
    if letters > NAME_LETTERS_MAX {
        node.warning(&format!("`{name}` has {letters} letters; AWS allows {NAME_LETTERS_MAX}"));
    }
    Some(name)
}

/// What `ResourceARN` of a member names.
fn resource(node: &Node<'_>, kind: Kind) -> Option<Resource> {
    arn(&node.required("ResourceARN", &format!("write {}", kind.example()))?, kind)
}

fn arn(node: &Node<'_>, kind: Kind) -> Option<Resource> {
    let text = node.text()?;
    if let Some(resource) = Resource::of_arn(kind, &text) {
        return Some(resource);
    }
    match Resource::of_name(kind, &text).filter(|_| !text.starts_with("arn:")) {
        Some(resource) => {
            if node.value.is_string() {
                node.warning(&format!("`{text}` is no ARN; it is taken as the name of a {}", kind.noun()));
            }
            Some(resource)
        }
        None => {
            node.problem(format!("`{text}` given, expected {}", kind.example()));
            None
        }
    }
}

fn schema(node: &Node<'_>, member: &str) -> Option<Schema> {
    let schema = node.required(member, "describe the records: RecordFormat and RecordColumns")?;
    schema.expect_members(&SCHEMA);
    if let Some(encoding) = schema.get("RecordEncoding")
        && let Some(name) = encoding.text()
        && !name.eq_ignore_ascii_case("UTF-8")
    {
        encoding.problem(format!("`{name}` is unknown; records are UTF-8"));
    }
    let format = schema.required("RecordFormat", "say JSON or CSV").and_then(|format| record_format(&format));
    let columns = schema.required("RecordColumns", "list the columns").and_then(|columns| {
        let items = columns.items();
        if items.is_empty() && columns.value.is_array() {
            columns.problem("is empty; list the columns");
        }
        let read: Vec<_> = items.iter().filter_map(column).collect();
        for (at, column) in read.iter().enumerate() {
            if read.iter().take(at).any(|other| other.name == column.name) {
                columns.problem(format!("has `{}` twice; name each column once", column.name));
            }
        }
        (read.len() == items.len()).then_some(read)
    });
    Some(Schema { format: format?, columns: columns? })
}

fn record_format(node: &Node<'_>) -> Option<RecordFormat> {
    node.expect_members(&["RecordFormatType", "MappingParameters"]);
    let kind = node.required("RecordFormatType", "write JSON or CSV")?;
    let format = one_of(&kind, &[("JSON", Format::Json), ("CSV", Format::Csv)])?;
    let parameters = node.get("MappingParameters");
    let given = |of: &str, name: &str, default: &str| {
        let parameter = parameters.as_ref().and_then(|parameters| parameters.get(of)?.get(name));
        parameter.map_or_else(|| Some(default.to_owned()), |parameter| parameter.text())
    };
    Some(match format {
        Format::Json => RecordFormat::Json { row_path: given("JSONMappingParameters", "RecordRowPath", "$")? },
        Format::Csv => RecordFormat::Csv {
            row_delimiter: given("CSVMappingParameters", "RecordRowDelimiter", "\n")?,
            column_delimiter: given("CSVMappingParameters", "RecordColumnDelimiter", ",")?,
        },
    })
}

fn column(node: &Node<'_>) -> Option<Column> {
    node.expect_members(&COLUMN);
    let name = node.required_text("Name", "name the column").map(|(_, name)| name);
    let sql_type =
        node.required_text("SqlType", "write a type such as VARCHAR(64) or DOUBLE").and_then(|(node, text)| {
            let found = sql_type::normal(&text);
            if found.is_none() {
                node.problem(format!(
                    "`{text}` is no type of a column; write one such as VARCHAR(64), INTEGER, BIGINT, DECIMAL(10,2), \
                 DOUBLE, BOOLEAN or TIMESTAMP"
                ));
            }
            found
        });
    let mapping = match node.get("Mapping") {
        None => Some(None),
        Some(mapping) => mapping.text().map(|mapping| Some(mapping).filter(|mapping| !mapping.is_empty())),
    };
    Some(Column { name: name?, sql_type: sql_type?, mapping: mapping? })
}

/// What a word stands for.
fn one_of<T: Copy>(node: &Node<'_>, known: &[(&str, T)]) -> Option<T> {
    let word = node.text()?;
    let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(&word)).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        node.problem(format!("`{word}` given, expected {}", names.join(" or ")));
    }
    found
}
