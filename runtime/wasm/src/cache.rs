//! Compiled components on disk, so that a start need not compile again.
//!
//! A compiled component is machine code: loading a forged one is running it. So each file carries a code (HMAC-SHA256) under a
//! key that only this data folder has, over the content and over what it is for; a file without the right code is as good as none.

use crate::digest::Digest;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// How much the folder holds at most, in bytes; beyond it the files that were written longest ago go.
const CACHE_BYTES_MAX: u64 = 1 << 30;

const CODE_BYTES: usize = 32;
const KEY_FILE: &str = "cache.key";

/// What a compiled component is for: another component, engine setting or wasmtime version is another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey {
    pub(crate) digest: Digest,
    /// Stands for the engine's settings, the version of wasmtime and the processor.
    pub(crate) engine: u64,
}

impl CacheKey {
    fn file_name(self) -> String {
        format!("{}-{:016x}.cwasm", self.digest.hex(), self.engine)
    }
}

/// The folder of compiled components.
pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; CODE_BYTES],
    written: AtomicU64,
}

impl Cache {
    /// Opens the folder, or makes it, with a new key where it has none.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        let key = key(&folder.join(KEY_FILE))?;
        Ok(Self {
            folder,
            key,
            written: AtomicU64::new(0),
        })
    }

    /// The compiled component, if it is there and was written by this cache.
    pub(crate) fn get(&self, key: CacheKey) -> Option<Vec<u8>> {
        let file = self.folder.join(key.file_name());
        let mut bytes = fs::read(&file).ok()?;
        let body_at = bytes.len().checked_sub(CODE_BYTES)?;
        let code = bytes.split_off(body_at);
        if self.code(key, &bytes).verify_slice(&code).is_err() {
            tracing::warn!(file = %file.display(), "a compiled component has a wrong code and is not loaded");
            let _ = fs::remove_file(&file);
            return None;
        }
        Some(bytes)
    }

    /// Keeps a compiled component. What cannot be kept is compiled again next time.
    pub(crate) fn put(&self, key: CacheKey, bytes: &[u8]) {
        if let Err(error) = self.write(key, bytes) {
            tracing::warn!(folder = %self.folder.display(), %error, "a compiled component could not be kept");
        }
        self.make_room();
    }

    fn write(&self, key: CacheKey, bytes: &[u8]) -> io::Result<()> {
        let serial = self.written.fetch_add(1, Ordering::Relaxed);
        let draft = self
            .folder
            .join(format!("{}-{serial}.part", std::process::id()));
        let code = self.code(key, bytes).finalize().into_bytes();
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        let written = file.write_all(bytes).and_then(|()| file.write_all(&code));
        let kept = written.and_then(|()| fs::rename(&draft, self.folder.join(key.file_name())));
        if kept.is_err() {
            let _ = fs::remove_file(&draft);
        }
        kept
    }

    fn code(&self, key: CacheKey, bytes: &[u8]) -> Hmac<Sha256> {
        let mut code =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("a code's key may have any length");
        code.update(key.file_name().as_bytes());
        code.update(bytes);
        code
    }

    fn make_room(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let path = entry.path();
                let known = entry.metadata().ok()?;
                let is_compiled = path.extension().is_some_and(|end| end == "cwasm");
                is_compiled.then(|| {
                    let at = known.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    (at, known.len(), path)
                })
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= CACHE_BYTES_MAX {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= bytes;
            }
        }
    }
}

/// Reads the key, or makes one that only the user can read.
fn key(file: &Path) -> io::Result<[u8; CODE_BYTES]> {
    let mut key = [0; CODE_BYTES];
    match fs::File::open(file) {
        Ok(mut known) => {
            if known.metadata()?.permissions().mode() & 0o077 != 0 {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!("{} can be read by others: chmod 600 it", file.display()),
                ));
            }
            known.read_exact(&mut key)?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
            let made = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(file);
            match made {
                Ok(mut made) => made.write_all(&key).map(|()| key),
                // Another start was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    fs::File::open(file)?.read_exact(&mut key)?;
                    Ok(key)
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_cache_wrote_for_this_use_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().to_owned()).unwrap();
        let key = CacheKey {
            digest: Digest::of(b"component"),
            engine: 1,
        };
        let other = CacheKey { engine: 2, ..key };
        cache.put(key, b"code");
        assert_eq!(cache.get(key).as_deref(), Some(b"code".as_slice()));
        assert_eq!(cache.get(other), None);

        // Moved to another name, it is not what it says it is.
        let at = |key: CacheKey| folder.path().join(key.file_name());
        fs::copy(at(key), at(other)).unwrap();
        assert_eq!(cache.get(other), None);

        // One bit changed.
        let mut bytes = fs::read(at(key)).unwrap();
        bytes[0] ^= 1;
        fs::write(at(key), bytes).unwrap();
        assert_eq!(cache.get(key), None);

        // The same key next time; a key that others can read is refused.
        cache.put(key, b"code");
        let again = Cache::open(folder.path().to_owned()).unwrap();
        assert_eq!(again.get(key).as_deref(), Some(b"code".as_slice()));
        let key_file = folder.path().join(KEY_FILE);
        fs::set_permissions(key_file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Cache::open(folder.path().to_owned()).is_err());
    }
}
