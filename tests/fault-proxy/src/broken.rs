//! Bodies that end before they are complete.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame};

/// What a reply is made of.
pub(crate) type ReplyBody = BoxBody<Bytes, BoxError>;
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The connection is to be reset.
#[derive(Debug)]
pub(crate) struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reset on purpose")
    }
}

impl std::error::Error for Reset {}

/// A body that breaks after so many bytes.
pub(crate) struct CutBody<Inner> {
    pub(crate) inner: Inner,
    pub(crate) bytes_left: usize,
}

impl<Inner: Body<Data = Bytes, Error = BoxError> + Unpin> Body for CutBody<Inner> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.bytes_left == 0 {
            return Poll::Ready(Some(Err(Reset.into())));
        }
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame.map_data(|mut data| {
                data.truncate(self.bytes_left);
                self.bytes_left -= data.len();
                data
            })))),
            other => other,
        }
    }
}
