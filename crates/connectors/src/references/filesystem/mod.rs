//! The reference table `filesystem`: a file, the files of a folder, or an object of S3, read whole at each load.
//!
//! The bytes are read first, all of one version (`local`, `object`), and decoded afterwards (`lines`, `parquet`), both
//! away from the threads that run tasks. Nothing is kept between loads: whoever loads holds the rows.

mod content;
mod lines;
mod local;
mod object;
mod parquet;

use std::path::PathBuf;

use millstream_core::{BoxFuture, Duration, Loaded, OptionError, Reference, ReferenceError, TableDecl, Version};

use crate::place::Place;
use crate::registry::Request;
use crate::s3::S3Access;
use crate::sinks::filesystem::is_parquet;
use content::{Content, Gathered};
use lines::LineReader;
use object::S3Object;

/// A larger table is refused: it is read into memory. KDA's reference tables have the same limit.
const CONTENT_BYTES_MAX: u64 = 1 << 30;
/// Late enough for disks and servers, early enough for people.
const RELOAD_INTERVAL: Duration = Duration::from_secs(60);
/// Who reads more often does little else.
const RELOAD_INTERVAL_MIN: Duration = Duration(100);
const RELOAD_KEY: &str = "lookup.full-cache.periodic-reload.interval";

/// Checks the options that are those of a reference table.
pub(crate) fn check(request: &Request<'_>) -> Result<(), OptionError> {
    read(request).map(drop)
}

/// A reader of the whole table.
pub(crate) fn reference(request: &Request<'_>) -> Result<Box<dyn Reference>, OptionError> {
    Ok(Box::new(read(request)?))
}

fn read(request: &Request<'_>) -> Result<FileReference, OptionError> {
    let options = request.options;
    let origin = match Place::read(options)? {
        Place::Local(path) => Origin::Local(path),
        Place::S3 { bucket, key } => {
            Origin::S3(S3Object::new(bucket, &key, S3Access::read(options, &request.context.aws)?)?)
        }
    };
    if !is_parquet(options) {
        LineReader::new(request.table, options)?;
    }
    if let Some(other) = options.get("lookup.cache").filter(|cache| !cache.eq_ignore_ascii_case("FULL")) {
        let message = format!("`{other}` given, expected FULL: files are held whole and read again from time to time");
        return Err(OptionError::new("lookup.cache", message));
    }
    let interval = options.duration(RELOAD_KEY)?.unwrap_or(RELOAD_INTERVAL);
    if interval < RELOAD_INTERVAL_MIN {
        let message = format!("{} ms given, expected at least {} ms", interval.0, RELOAD_INTERVAL_MIN.0);
        return Err(OptionError::new(RELOAD_KEY, message));
    }
    Ok(FileReference { table: request.table.clone(), origin, interval })
}

struct FileReference {
    table: TableDecl,
    origin: Origin,
    interval: Duration,
}

enum Origin {
    Local(PathBuf),
    S3(S3Object),
}

impl Reference for FileReference {
    fn load<'a>(&'a mut self, known: Option<&'a Version>) -> BoxFuture<'a, Result<Option<Loaded>, ReferenceError>> {
        Box::pin(async move {
            let content = match &mut self.origin {
                Origin::Local(path) => {
                    let path = path.clone();
                    blocking(move || local::read(&path, CONTENT_BYTES_MAX)).await?
                }
                Origin::S3(object) => match object.read(known, CONTENT_BYTES_MAX).await? {
                    Some(content) => content,
                    None => return Ok(None),
                },
            };
            if Some(&content.version) == known {
                return Ok(None);
            }
            let table = self.table.clone();
            blocking(move || decode(&table, content)).await.map(Some)
        })
    }

    fn reload_interval(&self) -> Duration {
        self.interval
    }
}

/// Runs what takes long where it holds up no other task.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReferenceError> + Send + 'static,
) -> Result<T, ReferenceError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(ReferenceError::Failed { what: "a reference table".to_owned(), reason: error.to_string() })
    })
}

fn decode(table: &TableDecl, content: Content) -> Result<Loaded, ReferenceError> {
    let options = table.options.reader();
    let mut gathered = Gathered::default();
    for file in content.files {
        let unusable = |error: OptionError| file.unusable(error.to_string());
        if is_parquet(&options) {
            parquet::read(&file, &table.schema, &mut gathered)?;
        } else {
            LineReader::new(table, &options).map_err(unusable)?.read(&file, &mut gathered)?;
        }
    }
    gathered.finish(content.version)
}

#[cfg(test)]
mod tests;
