//! What an application consists of, whichever way it was described.

use crate::problem::Problem;
use crate::{Resource, read};

/// An application: streams that it reads, tables that it looks up, its SQL, and where its results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// A resource of a template may have none.
    pub name: Option<String>,
    pub inputs: Vec<Input>,
    pub references: Vec<Reference>,
    pub outputs: Vec<Output>,
    /// As it was given, to the byte.
    pub code: String,
    /// What was taken although AWS would not, or had to be guessed.
    pub warnings: Vec<String>,
}

/// A streaming source, and the in-application streams that its records come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The streams are `<prefix>_001` to `<prefix>_<parallelism>`.
    pub prefix: String,
    /// 1 to 64.
    pub parallelism: u32,
    pub source: StreamSource,
    pub schema: Schema,
    /// The function that changes records before they are decoded.
    pub preprocessor: Option<Resource>,
    /// Only the description of an application that was started tells it.
    pub start: Option<Start>,
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSource {
    pub kind: StreamKind,
    pub resource: Resource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    Kinesis,
    Firehose,
}

/// Where reading began when the application was last started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Now,
    TrimHorizon,
    LastStoppedPoint,
}

/// How records become rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub format: RecordFormat,
    pub columns: Vec<Column>,
}

/// The form of records that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// `row_path` is where a record's rows are: `$`, or `$.items[0:]`.
    Json {
        row_path: String,
    },
    Csv {
        row_delimiter: String,
        column_delimiter: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// As SQL writes it: `VARCHAR(4)`.
    pub sql_type: String,
    /// The JSON path below the row's, if one was given.
    pub mapping: Option<String>,
}

/// A table that is looked up: an object of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub table: String,
    pub bucket: Resource,
    pub key: String,
    pub schema: Schema,
}

/// Where the rows of an in-application stream go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The stream's name, to the letter.
    pub stream: String,
    pub destination: Destination,
    pub format: Format,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Kinesis(Resource),
    Firehose(Resource),
    Lambda(Resource),
}

/// The form of records that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Csv,
}

impl Application {
    /// Reads a request `CreateApplication` or a reply `DescribeApplication`, of either version of the API, or a template or
    /// a resource of AWS `CloudFormation`. Everything that is wrong with it is told at once.
    pub fn read(json: &str) -> Result<Self, Vec<Problem>> {
        read::application(json)
    }
}

impl Destination {
    pub(crate) fn resource(&self) -> &Resource {
        match self {
            Self::Kinesis(resource) | Self::Firehose(resource) | Self::Lambda(resource) => resource,
        }
    }
}

impl Format {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}
