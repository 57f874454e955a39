//! Files of the operating system.

use super::{File, Files, failed};
use std::any::Any;
use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use swarm_actors::journal::JournalError;

const LOCK: &str = "LOCK";

/// A directory of the operating system.
pub struct RealFiles {
    directory: PathBuf,
}

impl RealFiles {
    /// That directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`JournalError`] when it can be neither found nor made.
    pub fn new(directory: &Path) -> Result<Self, JournalError> {
        fs::create_dir_all(directory).map_err(|e| failed("create", directory, &e))?;
        let files = Self {
            directory: directory.to_owned(),
        };
        if let Some(parent) = directory.parent() {
            sync_directory(parent)?;
        }
        Ok(files)
    }

    /// That directory, which must be there.
    ///
    /// # Errors
    /// [`JournalError::Vanished`].
    pub fn existing(directory: &Path) -> Result<Self, JournalError> {
        if directory.is_dir() {
            Ok(Self {
                directory: directory.to_owned(),
            })
        } else {
            Err(JournalError::Vanished {
                path: directory.to_owned(),
            })
        }
    }
}

fn sync_directory(directory: &Path) -> Result<(), JournalError> {
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    fs::File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(|e| failed("sync", directory, &e))
}

impl Files for RealFiles {
    fn create(&self, name: &str) -> Result<Box<dyn File>, JournalError> {
        let path = self.path(name);
        let handle = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|e| failed("create", &path, &e))?;
        Ok(Box::new(RealFile { handle, path }))
    }

    fn open(&self, name: &str) -> Result<Box<dyn File>, JournalError> {
        let path = self.path(name);
        let handle = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|e| failed("open", &path, &e))?;
        Ok(Box::new(RealFile { handle, path }))
    }

    fn list(&self) -> Result<Vec<String>, JournalError> {
        let failed = |e: io::Error| failed("list", &self.directory, &e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), JournalError> {
        let from = self.path(from);
        fs::rename(&from, self.path(to)).map_err(|e| failed("rename", &from, &e))
    }

    fn remove(&self, name: &str) -> Result<(), JournalError> {
        let path = self.path(name);
        fs::remove_file(&path).map_err(|e| failed("remove", &path, &e))
    }

    fn sync(&self) -> Result<(), JournalError> {
        sync_directory(&self.directory)
    }

    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, JournalError> {
        let path = self.path(LOCK);
        let handle = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| failed("open", &path, &e))?;
        match handle.try_lock() {
            Ok(()) => Ok(Box::new(handle)),
            Err(TryLockError::WouldBlock) => Err(JournalError::InUse {
                path: self.directory.clone(),
            }),
            Err(TryLockError::Error(e)) => Err(failed("lock", &path, &e)),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

struct RealFile {
    handle: fs::File,
    path: PathBuf,
}

impl File for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), JournalError> {
        self.handle
            .write_all_at(bytes, offset)
            .map_err(|e| failed("write", &self.path, &e))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, JournalError> {
        let mut read = 0;
        while read < buffer.len() {
            match self
                .handle
                .read_at(&mut buffer[read..], offset + read as u64)
            {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(failed("read", &self.path, &e)),
            }
        }
        Ok(read)
    }

    fn sync_data(&self) -> Result<(), JournalError> {
        let failed = |e: io::Error| failed("sync", &self.path, &e);
        self.handle.sync_data().map_err(failed)?;
        // A file that was removed takes writes and syncs as if nothing had happened.
        if self.handle.metadata().map_err(failed)?.nlink() == 0 {
            return Err(JournalError::Vanished {
                path: self.path.clone(),
            });
        }
        Ok(())
    }

    fn length(&self) -> Result<u64, JournalError> {
        let metadata = self.handle.metadata();
        Ok(metadata.map_err(|e| failed("read", &self.path, &e))?.len())
    }

    fn set_length(&self, length: u64) -> Result<(), JournalError> {
        self.handle
            .set_len(length)
            .map_err(|e| failed("resize", &self.path, &e))
    }
}
