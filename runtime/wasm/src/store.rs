//! The components that a node keeps by their digest: a file each, `components/DIGITS.wasm` in the host's folder.

use crate::digest::Digest;
use crate::host::LoadError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How many components a store holds at most. The next one is refused until one is discarded.
pub(crate) const STORED_MAX: usize = 256;
/// How many bytes they may have together.
pub(crate) const STORE_BYTES_MAX: u64 = 4 << 30;

/// A component that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name by content. Whether the file still has that content is checked when it is loaded.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
    /// When it was kept.
    pub at: SystemTime,
}

/// Where a component lies.
pub(crate) fn file(folder: &Path, digest: Digest) -> PathBuf {
    components(folder).join(format!("{}.wasm", digest.hex()))
}

fn components(folder: &Path) -> PathBuf {
    folder.join("components")
}

/// Keeps a component. One that is there already is written again: the old file may be damaged.
pub(crate) fn keep(folder: &Path, digest: Digest, bytes: &[u8]) -> Result<(), LoadError> {
    let others = list(folder)
        .into_iter()
        .filter(|kept| kept.digest != digest);
    let (count, total) = others.fold((0, 0), |(count, total), kept| {
        (count + 1, kept.bytes.saturating_add(total))
    });
    if count >= STORED_MAX || total + bytes.len() as u64 > STORE_BYTES_MAX {
        return Err(LoadError::Full);
    }
    let write = || {
        fs::create_dir_all(components(folder))?;
        let file = file(folder, digest);
        let draft = file.with_extension("part");
        fs::write(&draft, bytes)?;
        fs::File::open(&draft)?.sync_all()?;
        fs::rename(&draft, &file)
    };
    write().map_err(|error: io::Error| LoadError::NotKept(error.to_string()))
}

/// What is kept, by digest. Files of other names are not looked at.
pub(crate) fn list(folder: &Path) -> Vec<Kept> {
    let Ok(entries) = fs::read_dir(components(folder)) else {
        return Vec::new();
    };
    let mut kept: Vec<Kept> = entries.filter_map(|entry| kept(&entry.ok()?)).collect();
    kept.sort_by_key(|kept| kept.digest);
    kept
}

fn kept(entry: &fs::DirEntry) -> Option<Kept> {
    let name = entry.file_name();
    let digits = name.to_str()?.strip_suffix(".wasm")?;
    let digest = format!("sha256:{digits}").parse().ok()?;
    let about = entry.metadata().ok().filter(fs::Metadata::is_file)?;
    Some(Kept {
        digest,
        bytes: about.len(),
        at: about.modified().unwrap_or(SystemTime::UNIX_EPOCH),
    })
}

/// Removes a component; false if it was not there.
pub(crate) fn discard(folder: &Path, digest: Digest) -> Result<bool, LoadError> {
    match fs::remove_file(file(folder, digest)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LoadError::NotKept(error.to_string())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn a_full_store_takes_what_it_has_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let named = |n: usize| Digest::of(&n.to_le_bytes());
        for n in 0..STORED_MAX {
            keep(folder.path(), named(n), b"x").unwrap();
        }
        fs::write(components(folder.path()).join("other.txt"), "x").unwrap();
        assert_eq!(list(folder.path()).len(), STORED_MAX);
        let more = keep(folder.path(), named(STORED_MAX), b"x");
        assert!(matches!(more, Err(LoadError::Full)));
        keep(folder.path(), named(0), b"longer").unwrap();
        assert!(discard(folder.path(), named(1)).unwrap());
        assert!(!discard(folder.path(), named(1)).unwrap());
        keep(folder.path(), named(STORED_MAX), b"x").unwrap();
    }
}
