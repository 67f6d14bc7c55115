//! The one thread that writes: takes everything that waits, commits it as a group, and does changes between commits.
//!
//! There is no timer to tune: while one group is synced to disk the next one gathers. The only place of this crate
//! that starts a thread.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::append::PutRequest;
use crate::limits::COMMIT_BYTES_MAX;
use crate::writer::Writer;

/// What the writer is asked to do.
pub(crate) enum Command {
    Put(PutRequest),
    Change(Box<dyn FnOnce(&mut Writer) + Send>),
}

/// Runs until all senders are gone, then finishes what is queued.
pub(crate) fn start(
    writer: Writer,
    commands: Receiver<Command>,
    trim_every_ms: u64,
) -> Result<JoinHandle<()>, std::io::Error> {
    std::thread::Builder::new()
        .name("stream-committer".into())
        .spawn(move || run(writer, &commands, Duration::from_millis(trim_every_ms)))
}

fn run(mut writer: Writer, commands: &Receiver<Command>, trim_every: Duration) {
    let mut trimmed_ms = writer.now_ms();
    loop {
        match commands.recv_timeout(trim_every) {
            Ok(Command::Put(first)) => {
                let (group, change) = gather(first, commands);
                writer.append(group);
                if let Some(change) = change {
                    change(&mut writer);
                }
            }
            Ok(Command::Change(change)) => change(&mut writer),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now_ms = writer.now_ms();
        if u128::from(now_ms.abs_diff(trimmed_ms)) >= trim_every.as_millis() {
            match writer.trim_some() {
                // The rest is deleted after the next commit.
                Ok(trimmed) if trimmed.is_partial => {}
                Ok(_) => trimmed_ms = now_ms,
                Err(error) => {
                    tracing::error!(%error, "expired records could not be deleted");
                    trimmed_ms = now_ms;
                }
            }
        }
    }
}

type Change = Box<dyn FnOnce(&mut Writer) + Send>;

/// The puts that wait, up to a size, and the change that ends the group, if one does.
fn gather(first: PutRequest, commands: &Receiver<Command>) -> (Vec<PutRequest>, Option<Change>) {
    let (mut bytes, mut group) = (first.bytes(), vec![first]);
    while bytes < COMMIT_BYTES_MAX {
        match commands.try_recv() {
            Ok(Command::Put(next)) => {
                bytes += next.bytes();
                group.push(next);
            }
            Ok(Command::Change(change)) => return (group, Some(change)),
            Err(_) => break,
        }
    }
    (group, None)
}
