//! The script of an application: tables for what AWS keeps apart from its SQL, and below them the SQL itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::application::{
    Application, Destination, Input, Output, RecordFormat, Reference, Schema, Start, StreamKind, StreamSource,
};
use crate::arn::Resource;
use crate::ddl::{Table, one_line};

/// Where the script is to run.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// With the streams, functions and objects of AWS.
    Aws,
    /// On embedded streams, named as those of AWS.
    Embedded,
    /// Once, over a replay. Outputs are printed; objects of S3 are the local files that their keys lead to.
    Local(&'a BTreeMap<String, String>),
}

/// A script in the dialect of such applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub text: String,
    /// What is other than it was on AWS, or needs a look.
    pub warnings: Vec<String>,
}

impl Application {
    /// The application as a script. Its SQL is in it unchanged.
    pub fn script(&self, target: Target<'_>) -> Script {
        let mut writer = Writer { application: self, target, tables: Vec::new(), warnings: self.warnings.clone() };
        self.inputs.iter().for_each(|input| writer.input(input));
        self.references.iter().for_each(|reference| writer.reference(reference));
        self.outputs.iter().for_each(|output| writer.output(output));
        let title = match &self.name {
            Some(name) => format!("{}: converted", one_line(name)),
            None => "Converted".to_owned(),
        };
        let tables: Vec<_> = writer.tables.iter().map(Table::to_string).collect();
        let end = if self.code.ends_with('\n') { "" } else { "\n" };
        let text = format!(
            "-- dialect: kda\n-- {title} from a Kinesis Data Analytics for SQL application.\n\n{}\n\
             -- The application's SQL, unchanged.\n{}{end}",
            tables.join("\n"),
            self.code
        );
        Script { text, warnings: writer.warnings }
    }
}

struct Writer<'a> {
    application: &'a Application,
    target: Target<'a>,
    tables: Vec<Table>,
    warnings: Vec<String>,
}

impl Writer<'_> {
    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// A table for each in-application stream: the first has all records, since any way to spread them is as good as
    /// that of AWS, and the others none.
    fn input(&mut self, input: &Input) {
        let columns = columns(&input.schema);
        let stream = |number: u32| format!("{}_{number:03}", input.prefix);
        let mut first = Table { columns: columns.clone(), ..self.source(&stream(1), input) };
        schema_options(&mut first, &input.schema);
        if let Some(function) = &input.preprocessor {
            self.preprocessor(&mut first, function);
        }
        self.tables.push(first);
        for number in 2..=input.parallelism {
            // No records of a generator are an input that has ended: nothing waits for it.
            let mut empty = Table { columns: columns.clone(), ..Table::new(stream(number), "generator") };
            empty.option("number-of-rows", "0");
            empty.comment(&format!("All records come in {}; this stream is empty.", stream(1)));
            self.tables.push(empty);
        }
    }

    fn source(&mut self, name: &str, input: &Input) -> Table {
        let StreamSource { kind, resource } = &input.source;
        let (position, goes_on) = match input.start {
            Some(Start::TrimHorizon) => ("TRIM_HORIZON", false),
            Some(Start::LastStoppedPoint) => ("LATEST", true),
            Some(Start::Now) | None => ("LATEST", false),
        };
        let mut table = match self.target {
            Target::Aws => {
                let mut table = Table::new(name, "kinesis");
                stream_options(&mut table, *kind, resource);
                if *kind == StreamKind::Firehose {
                    let delivery = &resource.name;
                    table.comment(&format!(
                        "Nobody else can read the Firehose stream {delivery}: name the Kinesis stream that"
                    ));
                    table.comment("feeds it, or let producers write to one.");
                    self.warn(format!(
                        "{name}: the Firehose stream {delivery} cannot be read; name the Kinesis stream that feeds it, or \
                         let producers write to one"
                    ));
                }
                table
            }
            Target::Embedded | Target::Local(_) => {
                let mut table = Table::new(name, "stream");
                table.option("stream", &resource.name);
                table
            }
        };
        if !matches!(self.target, Target::Local(_)) {
            if goes_on {
                table.comment("It began where it had stopped (LAST_STOPPED_POINT). Checkpoints do that by themselves;");
                table.comment("LATEST is for the first start.");
            }
            table.option("source.init.position", position);
        }
        table
    }

    fn preprocessor(&mut self, table: &mut Table, function: &Resource) {
        let name = &function.name;
        if matches!(self.target, Target::Aws) {
            table.option("transform.lambda.function", function.arn.as_ref().unwrap_or(name));
        } else {
            self.warn(format!(
                "{}: the Lambda function {name} is not called here; give records as it would answer them",
                table.name
            ));
        }
    }

    fn reference(&mut self, reference: &Reference) {
        let Reference { table: name, bucket, key, schema } = reference;
        let object = format!("s3://{}/{key}", bucket.name);
        let mut table = Table { columns: columns(schema), ..Table::new(name, "filesystem") };
        match self.target {
            Target::Aws => table.option("path", object),
            Target::Embedded => {
                let file = reference.file_name();
                table.comment(&format!("A copy of {object}."));
                self.warn(format!("{name}: {file} in the working folder is to be a copy of {object}"));
                table.option("path", file);
            }
            Target::Local(files) => table.option("path", files.get(key).map_or(object.as_str(), String::as_str)),
        }
        schema_options(&mut table, schema);
        self.tables.push(table);
    }

    fn output(&mut self, output: &Output) {
        let stream = &output.stream;
        let is_second = self.tables.iter().any(|table| table.name == *stream);
        if matches!(self.target, Target::Local(_)) {
            // Rows are printed once, wherever they go.
            if !is_second {
                self.tables.push(Table::new(stream, "print"));
            }
            return;
        }
        let name = if is_second { self.free_name(stream) } else { stream.clone() };
        let mut table = match self.target {
            Target::Aws => destination(&name, &output.destination),
            Target::Embedded | Target::Local(_) => self.embedded(&name, &output.destination),
        };
        table.option("format", output.format.name());
        if is_second {
            table.comment(&format!("The rows of {stream} go here, too."));
            table.like = Some(stream.clone());
        } else {
            table.comment(&format!("Where the rows of {stream} go."));
        }
        self.tables.push(table);
    }

    /// `name_2`, or the next that is free.
    fn free_name(&self, stream: &str) -> String {
        let taken: BTreeSet<&str> = (self.tables.iter().map(|table| table.name.as_str()))
            .chain(self.application.outputs.iter().map(|output| output.stream.as_str()))
            .collect();
        let mut number = 2;
        loop {
            let name = format!("{stream}_{number}");
            if !taken.contains(name.as_str()) {
                return name;
            }
            number += 1;
        }
    }

    /// A stream that stands in for what is on AWS.
    fn embedded(&mut self, name: &str, destination: &Destination) -> Table {
        let resource = destination.resource();
        let mut table = Table::new(name, "stream");
        let noun = match destination {
            Destination::Kinesis(_) => {
                table.option("stream", &resource.name);
                return table;
            }
            Destination::Firehose(_) => "Firehose stream",
            Destination::Lambda(_) => "Lambda function",
        };
        // A function's name may end in its version, which no stream's may.
        let own = resource.name.split(':').next().unwrap_or_default();
        let is_taken = self.application.kinesis_streams().any(|stream| stream == own);
        let stand_in = if is_taken { format!("{own}-out") } else { own.to_owned() };
        self.warn(format!("{name}: the stream {stand_in} stands in for the {noun} {}", resource.name));
        table.option("stream", stand_in);
        table
    }
}

impl Application {
    /// The names of Kinesis streams, and of what stands in for them.
    fn kinesis_streams(&self) -> impl Iterator<Item = &str> {
        let read = self.inputs.iter().map(|input| input.source.resource.name.as_str());
        let written = self.outputs.iter().filter_map(|output| match &output.destination {
            Destination::Kinesis(stream) => Some(stream.name.as_str()),
            _ => None,
        });
        read.chain(written)
    }
}

impl Reference {
    /// The last part of the object's key.
    pub fn file_name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or(&self.key)
    }
}

fn destination(name: &str, destination: &Destination) -> Table {
    match destination {
        Destination::Kinesis(stream) => {
            let mut table = Table::new(name, "kinesis");
            stream_options(&mut table, StreamKind::Kinesis, stream);
            table
        }
        Destination::Firehose(delivery) => {
            let mut table = Table::new(name, "firehose");
            table.option("delivery-stream", &delivery.name);
            if let Some(region) = &delivery.region {
                table.option("aws.region", region);
            }
            table
        }
        Destination::Lambda(function) => {
            let mut table = Table::new(name, "lambda");
            table.option("function", function.arn.as_ref().unwrap_or(&function.name));
            table
        }
    }
}

/// How a stream of AWS is named: by its ARN, if that is whole and one of Kinesis.
fn stream_options(table: &mut Table, kind: StreamKind, stream: &Resource) {
    match (&stream.arn, kind) {
        (Some(arn), StreamKind::Kinesis) => table.option("stream.arn", arn),
        _ => {
            table.option("stream", &stream.name);
            if let Some(region) = &stream.region {
                table.option("aws.region", region);
            }
        }
    }
}

fn columns(schema: &Schema) -> Vec<(String, String)> {
    schema.columns.iter().map(|column| (column.name.clone(), column.sql_type.clone())).collect()
}

fn schema_options(table: &mut Table, schema: &Schema) {
    match &schema.format {
        RecordFormat::Json { row_path } => {
            table.option("format", "json");
            if row_path != "$" {
                table.option("json.row-path", row_path);
            }
            for column in &schema.columns {
                let Some(mapping) = column.mapping.as_deref().map(from_root) else { continue };
                // `$.a.b` is not the member `a.b`, which a column of that name has without a path.
                if mapping != format!("$.{}", column.name) || !is_word(&column.name) {
                    table.option(format!("json.path.{}", column.name), mapping);
                }
            }
        }
        RecordFormat::Csv { row_delimiter, column_delimiter } => {
            table.option("format", "csv");
            for (key, delimiter, default) in
                [("csv.field-delimiter", column_delimiter, ","), ("csv.row-delimiter", row_delimiter, r"\n")]
            {
                let delimiter = escaped(delimiter);
                if delimiter != default {
                    table.option(key, delimiter);
                }
            }
        }
    }
}

/// `a.b` means `$.a.b`.
fn from_root(mapping: &str) -> String {
    if mapping.starts_with('$') { mapping.to_owned() } else { format!("$.{mapping}") }
}

fn is_word(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Line breaks, tabs and backslashes as options have them. Where a description has `\n` as two letters, it means one.
fn escaped(delimiter: &str) -> String {
    let plain = delimiter.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t");
    plain.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_escaped() {
        for (given, option) in
            [("\n", r"\n"), (r"\n", r"\n"), ("\r\n", r"\r\n"), ("\t", r"\t"), ("|", "|"), (r"\|", r"\\|"), ("'", "'")]
        {
            assert_eq!(escaped(given), option);
        }
    }
}
