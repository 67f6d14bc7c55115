//! Where files are: a table's option `path`, and where checkpoints are kept.

use std::path::PathBuf;

use millstream_core::{OptionError, OptionReader};

/// A place for files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file or a folder of this machine.
    Local(PathBuf),
    /// One object.
    S3 { bucket: String, key: String },
}

impl Place {
    /// Reads the option `path`.
    pub(crate) fn read(options: &OptionReader<'_>) -> Result<Self, OptionError> {
        let path = options.require("path")?;
        Self::parse(path).map_err(|expected| OptionError::new("path", format!("`{path}` given, expected {expected}")))
    }

    /// Reads a local path, `file://…` or `s3://…`; the error is what was expected.
    pub(crate) fn parse(path: &str) -> Result<Self, &'static str> {
        match path.split_once("://") {
            None => Ok(Self::Local(PathBuf::from(path))),
            Some(("file", path)) => Ok(Self::Local(PathBuf::from(path))),
            Some(("s3", rest)) => match rest.split_once('/') {
                Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() && !key.ends_with('/') => {
                    Ok(Self::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
                }
                _ => Err("one object, such as s3://bucket/folder/items.csv"),
            },
            Some(_) => Err("a local path or s3://bucket/key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::Options;

    use super::*;

    fn read(path: &str) -> Result<Place, OptionError> {
        let options: Options = [("path", path)].into_iter().collect();
        Place::read(&options.reader())
    }

    #[test]
    fn paths_are_local_or_objects() {
        let object = |key: &str| Place::S3 { bucket: "b".into(), key: key.into() };
        for (path, expected) in [
            ("in/x.csv", Place::Local("in/x.csv".into())),
            ("file:///in/x.csv", Place::Local("/in/x.csv".into())),
            ("s3://b/x.csv", object("x.csv")),
            ("s3://b/in/x.csv", object("in/x.csv")),
        ] {
            assert_eq!(read(path), Ok(expected));
        }
        for path in ["s3://b", "s3://b/", "s3:///x", "s3://b/in/", "gs://b/x", "https://b/x"] {
            let error = read(path).unwrap_err().to_string();
            assert!(error.starts_with(&format!("option 'path': `{path}` given, expected ")), "{error}");
        }
    }
}
