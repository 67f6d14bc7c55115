//! A writer that takes everything: what does not go to the disk waits in memory, in order.
//!
//! Encoders cannot go on from the middle of what they were writing when the disk was full. With this between, their
//! writes never fail, a file is never torn in memory, and nothing new is taken before the backlog is gone. So it holds
//! no more than one emission and what the encoder had in its buffers: for Parquet, a row group.

use std::io::{ErrorKind, Result, Write};

pub(super) struct Backlog<W> {
    to: W,
    waiting: Vec<u8>,
}

impl<W: Write> Backlog<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, waiting: Vec::new() }
    }

    /// Writes what waits. After an error the rest still waits.
    pub(super) fn drain(&mut self) -> Result<()> {
        let (written, result) = write_what_goes(&mut self.to, &self.waiting);
        self.waiting.drain(..written);
        result
    }

    /// What is written to, with all that was taken.
    pub(super) fn drained(&mut self) -> Result<&mut W> {
        self.drain()?;
        Ok(&mut self.to)
    }
}

impl<W: Write> Write for Backlog<W> {
    /// The error of a write that fails is that of the next [`Backlog::drain`], which tries again.
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = if self.waiting.is_empty() { write_what_goes(&mut self.to, bytes).0 } else { 0 };
        self.waiting.extend_from_slice(&bytes[written..]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How much was written before the error, if there was one.
fn write_what_goes(to: &mut impl Write, bytes: &[u8]) -> (usize, Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes and then none.
    struct Small(Vec<u8>, usize);

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            match bytes.len().min(self.1 - self.0.len()) {
                0 => Err(ErrorKind::StorageFull.into()),
                room => {
                    self.0.extend_from_slice(&bytes[..room]);
                    Ok(room)
                }
            }
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_is_lost_or_written_twice_when_there_is_room_again() {
        let mut backlog = Backlog::new(Small(Vec::new(), 4));
        for word in ["ab", "cdef", "gh"] {
            backlog.write_all(word.as_bytes()).unwrap();
        }
        assert_eq!(backlog.drain().unwrap_err().kind(), ErrorKind::StorageFull);
        backlog.to.1 = 7;
        assert_eq!(backlog.drain().unwrap_err().kind(), ErrorKind::StorageFull);
        backlog.to.1 = 9;
        assert_eq!(backlog.drained().unwrap().0, b"abcdefgh");
        backlog.write_all(b"i").unwrap();
        backlog.drain().unwrap();
        assert_eq!(backlog.to.0, b"abcdefghi");
    }
}
