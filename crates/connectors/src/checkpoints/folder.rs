//! A store in a folder: for one process at a time, or for several that share a stream.
//!
//! `object_store` has local folders too, but makes an object visible before it is on disk: after a power cut there
//! could be half of one. Here an object is written under a name of the store's own, synced, linked to its path (which
//! fails where there is one) and the folders above it are synced, in this order.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream_core::{BoxFuture, CheckpointStore, OptionError, StoreError};
use object_store::path::Path as ObjectPath;

use super::{KEY, failed, parse, parse_object};
use crate::durable::{make_folder, sync_folder};

const LOCK: &str = ".lock";
/// How the name of an object begins that is being written.
const FRESH: &str = ".fresh-";

pub(super) struct Folder {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    /// Locked as long as it is open; the lock goes also when the process dies. `None`: others use it too.
    _lock: Option<File>,
    /// Tells what this process is writing from what others are.
    writer: String,
    /// Tells objects apart that are being written at the same time.
    fresh: AtomicU64,
}

impl Folder {
    /// Makes the folder if need be, takes it for this process, and removes what another one was writing when it died.
    pub(super) fn open(root: &Path) -> Result<Self, OptionError> {
        let shown = root.display();
        let wrong = |what: &str, error: std::io::Error| {
            let remedy = "give a folder that this process may write to";
            OptionError::new(KEY, format!("the folder `{shown}` cannot be {what}: {error}; {remedy}"))
        };
        make_folder(root).map_err(|error| wrong("made", error))?;
        let lock = File::options().create(true).truncate(false).write(true).open(root.join(LOCK));
        let lock = lock.map_err(|error| wrong("written", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message =
                    format!("the folder `{shown}` is in use by another process: stop that one, or give another folder");
                return Err(OptionError::new(KEY, message));
            }
            Err(TryLockError::Error(error)) => return Err(wrong("locked", error)),
        }
        remove_fresh(root).map_err(|error| wrong("cleaned", error))?;
        Ok(Self::new(root, Some(lock), String::new()))
    }

    /// The same for several processes at a time. What one was writing when it died stays: nobody else knows that it did.
    pub(super) fn share(root: &Path, writer: &str) -> Result<Self, OptionError> {
        make_folder(root).map_err(|error| {
            let message = format!("the folder `{}` cannot be made: {error}", root.display());
            OptionError::new(KEY, message)
        })?;
        Ok(Self::new(root, None, format!("{writer}-")))
    }

    fn new(root: &Path, lock: Option<File>, writer: String) -> Self {
        let inner = Inner { root: root.to_owned(), _lock: lock, writer, fresh: AtomicU64::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// Runs what waits for the disk where it holds up no other task.
    fn blocking<'a, T: Send + 'static>(
        &'a self,
        path: &'a str,
        work: impl FnOnce(&Inner, &str) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        let (inner, owned) = (Arc::clone(&self.inner), path.to_owned());
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&inner, &owned)).await;
            done.unwrap_or_else(|error| Err(failed(path, error)))
        })
    }
}

impl CheckpointStore for Folder {
    fn create<'a>(&'a self, path: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), StoreError>> {
        self.blocking(path, move |inner, path| inner.create(path, &bytes))
    }

    fn read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<u8>, StoreError>> {
        self.blocking(path, Inner::read)
    }

    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        self.blocking(folder, Inner::list)
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.blocking(path, Inner::delete)
    }

    fn location(&self) -> String {
        self.inner.root.display().to_string()
    }
}

impl Inner {
    fn place(&self, path: &ObjectPath) -> PathBuf {
        let mut place = self.root.clone();
        place.extend(path.as_ref().split('/').filter(|name| !name.is_empty()));
        place
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let place = self.place(&parse_object(path)?);
        let fresh = self.root.join(format!("{FRESH}{}{}", self.writer, self.fresh.fetch_add(1, Ordering::Relaxed)));
        let written = write(&fresh, bytes).map_err(|error| failed(path, error));
        let created = written.and_then(|()| self.link(&fresh, &place, path));
        if let Err(error) = std::fs::remove_file(&fresh)
            && error.kind() != ErrorKind::NotFound
        {
            // Nobody sees it, and the next opening removes it.
            tracing::warn!(file = %fresh.display(), %error, "the first name of a checkpoint's file cannot be removed");
        }
        created
    }

    fn link(&self, fresh: &Path, place: &Path, path: &str) -> Result<(), StoreError> {
        let failed = |error| failed(path, error);
        let folder = place.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(folder).map_err(failed)?;
        match std::fs::hard_link(fresh, place) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(StoreError::Exists(path.to_owned()));
            }
            linked => linked.map_err(failed)?,
        }
        // Also those that another call made a moment ago: it may not have come to syncing them.
        let mut folders = folder.ancestors().take_while(|above| above.starts_with(&self.root));
        folders.try_for_each(sync_folder).map_err(failed)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        match std::fs::read(self.place(&parse_object(path)?)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(StoreError::NotFound(path.to_owned())),
            read => read.map_err(|error| failed(path, error)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let parsed = parse(folder)?;
        let mut paths = Vec::new();
        let mut folders = vec![(self.place(&parsed), parsed.as_ref().to_owned())];
        while let Some((place, above)) = folders.pop() {
            let entries = match std::fs::read_dir(&place) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries.map_err(|error| failed(&above, error))?,
            };
            for entry in entries {
                let entry = entry.map_err(|error| failed(&above, error))?;
                let name = entry.file_name();
                // Nothing but the store writes here, and all its names are text.
                let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
                let path = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
                if entry.file_type().map_err(|error| failed(&path, error))?.is_dir() {
                    folders.push((entry.path(), path));
                } else {
                    paths.push(path);
                }
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        match std::fs::remove_file(self.place(&parse_object(path)?)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|error| failed(path, error)),
        }
    }
}

fn write(fresh: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::options().create_new(true).write(true).open(fresh)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn remove_fresh(root: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(FRESH)) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
