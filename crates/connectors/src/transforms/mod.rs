//! What changes records between their source and whoever decodes them: today a Lambda function.
//!
//! A transform is a [`Source`] around another. Positions, shards and their order stay as they are; records are replaced,
//! dropped or rejected where they stand.

mod gather;
mod lambda;

use millstream_core::{OptionError, Source};

use crate::registry::Request;

/// Reads every option of transforms.
pub(crate) fn check(request: &Request<'_>) -> Result<(), OptionError> {
    lambda::read(request).map(|_| ())
}

/// The source with the transform that the table asks for, if it asks for one.
pub(crate) fn around(request: &Request<'_>, source: Box<dyn Source>) -> Result<Box<dyn Source>, OptionError> {
    let settings = lambda::read(request)?;
    // A replay holds what the stream's table reads, and calls nobody.
    if request.context.replay.is_some() {
        return Ok(source);
    }
    match settings {
        Some(settings) => Ok(Box::new(lambda::Transformed::new(request, source, settings))),
        None => Ok(source),
    }
}
