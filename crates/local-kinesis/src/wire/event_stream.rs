//! Messages of an event stream (`application/vnd.amazon.eventstream`): an initial response, events, and at last perhaps
//! an exception.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use serde::Serialize;

use super::error::ApiError;
use super::format::Format;

/// The content type of the whole.
pub(super) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// What SDKs wait for before they hand the stream to their caller.
pub(super) fn initial_response(format: Format) -> Result<Bytes, ApiError> {
    event("initial-response", format, &super::Nothing {})
}

pub(super) fn event(name: &str, format: Format, content: &impl Serialize) -> Result<Bytes, ApiError> {
    let payload = format.write(content)?;
    frame(&[(":message-type", "event"), (":event-type", name), (":content-type", format.content_type())], payload)
}

pub(super) fn exception(error: &ApiError, format: Format) -> Result<Bytes, ApiError> {
    #[derive(Serialize)]
    struct Shape<'a> {
        message: &'a str,
    }
    let payload = format.write(&Shape { message: &error.message })?;
    let kind = [(":message-type", "exception"), (":exception-type", error.name)];
    frame(&[kind[0], kind[1], (":content-type", format.content_type())], payload)
}

fn frame(headers: &[(&'static str, &str)], payload: Vec<u8>) -> Result<Bytes, ApiError> {
    let mut message = Message::new(payload);
    for (name, value) in headers {
        message = message.add_header(Header::new(*name, HeaderValue::String((*value).to_owned().into())));
    }
    let mut bytes = Vec::with_capacity(message.payload().len() + HEADERS_BYTES);
    write_message_to(&message, &mut bytes)
        .map_err(|error| ApiError::internal(format!("an event could not be written: {error}")))?;
    Ok(bytes.into())
}

/// Room for the frame and its headers.
const HEADERS_BYTES: usize = 256;
