//! The applied manifest, kept in the data folder: a node that starts again goes on with it.
//!
//! It is taken up when the node is started with the same tree of its own as when it was applied. A node that is given another file starts
//! with that: who changes it wants it. In a cluster a later generation that others run is taken over from them anyway.

use super::Node;
use crate::manifest::{Manifest, Supervisor};
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::sync::Arc;
use swarm_cluster::placement::{Edition, digest_of};

const FILE: &str = "applied.toml";
/// What the first line begins with; the generation and the digest of the tree of before follow.
const HEAD: &str = "# swarm: applied manifest, generation";
/// The longest file that is read: what the API takes at most, and the first line.
const BYTES_MAX: u64 = 17 << 20;

/// What tells the tree apart that a node was started with.
pub(super) fn base_of(root: &Supervisor) -> u64 {
    digest_of(&format!("{root:?}"))
}

/// Keeps a manifest, whole or not at all.
pub(super) fn write(data: &Path, base: u64, generation: u64, text: &str) -> io::Result<()> {
    let (path, new) = (data.join(FILE), data.join("applied.toml.new"));
    let mut file = fs::File::create(&new)?;
    writeln!(file, "{HEAD} {generation} after {base:016x}")?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    // The new name is on the disk, too.
    fs::File::open(data)?.sync_all()
}

struct Kept {
    generation: u64,
    base: u64,
    text: String,
}

fn read(data: &Path) -> Result<Option<Kept>, String> {
    let path = data.join(FILE);
    let length = match fs::metadata(&path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if length > BYTES_MAX {
        return Err(format!("it has {length} bytes"));
    }
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    parse(&text)
        .map(Some)
        .ok_or_else(|| "its first line is not ours".to_owned())
}

fn parse(text: &str) -> Option<Kept> {
    let (head, text) = text.split_once('\n')?;
    let (generation, base) = head.strip_prefix(HEAD)?.trim().split_once(" after ")?;
    Some(Kept {
        generation: generation.parse().ok()?,
        base: u64::from_str_radix(base, 16).ok()?,
        text: text.to_owned(),
    })
}

impl Node {
    /// Keeps what was applied. A failure is told to the log: the node runs it until it ends.
    pub(super) fn keep_applied(&self, generation: u64, text: &str) {
        let Some(data) = &self.0.data else { return };
        if let Err(error) = write(data, self.0.base, generation, text) {
            tracing::error!(%error, "the applied manifest was not kept: after a restart this node begins with its file");
        }
    }

    /// Has the first start of the tree go by the manifest that was applied before the node ended, if there is one. An alarm, if it cannot
    /// be used; then the tree is the one that the node is given.
    pub(super) fn take_up_kept(&self) -> Option<String> {
        let data = self.0.data.as_deref()?;
        let kept = match read(data) {
            Ok(kept) => kept?,
            Err(why) => {
                return Some(format!(
                    "the applied manifest in {FILE} cannot be read: {why}"
                ));
            }
        };
        let Kept {
            generation,
            base,
            text,
        } = kept;
        if base != self.0.base {
            tracing::warn!(
                generation,
                "the node is given another tree than before: the manifest that was applied then is not taken up"
            );
            return None;
        }
        let edition = Edition {
            generation,
            digest: digest_of(&text),
        };
        let old = self.manifest();
        match Manifest::parse(&text, &self.0.behaviours) {
            Ok(new) => {
                let new = old.followed_by(new, edition);
                *self.0.manifest.write() = Arc::new(new);
                *self.0.applied.lock() = Some(text.into());
                tracing::info!(generation, "goes on with the applied manifest");
                None
            }
            Err(rejected) => Some(format!(
                "the applied manifest of generation {generation} cannot be used any more: {rejected}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_and_anything_else_is_not() {
        let data = tempfile::tempdir().expect("a folder");
        assert!(read(data.path()).expect("reads").is_none());
        write(data.path(), 0xabc, 7, "[node]\nname = \"x\"\n").expect("writes");
        let kept = read(data.path()).expect("reads").expect("is there");
        assert_eq!((kept.generation, kept.base), (7, 0xabc));
        assert_eq!(kept.text, "[node]\nname = \"x\"\n");
        for text in [
            "",
            "x",
            "# swarm: applied manifest, generation x after 1\n",
            HEAD,
        ] {
            fs::write(data.path().join(FILE), text).expect("writes");
            assert!(read(data.path()).is_err(), "{text:?}");
        }
    }
}
