//! What a member keeps over restarts.

use super::ledger::Ledger;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use swarm_cluster::security::{Vault, VaultError};
use swarm_protocols::Name;

/// Why what a member keeps cannot be read or written. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The file system said no.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The file is damaged, or its key is another one.
    #[error("{}: {cause}", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why it does not open.
        #[source]
        cause: VaultError,
    },
}

/// All of it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) cluster: u128,
    pub(super) cluster_name: Name,
    pub(super) node: Name,
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) key: Vec<u8>,
    pub(super) roots: Vec<Vec<u8>>,
    /// Sealed with the same vault.
    pub(super) authority: Option<Vec<u8>>,
    /// What every member keeps a copy of, the gossip keys among it.
    pub(super) ledger: Ledger,
    /// Names and addresses of the members when this was written: whom to ask after a restart.
    pub(super) members: Vec<(Name, String)>,
}

/// The place where it is kept; nowhere, for a node without a data folder.
pub(super) struct Safe {
    folder: Option<PathBuf>,
    pub(super) vault: Vault,
}

impl Safe {
    pub(super) fn open(data: Option<&Path>) -> Result<Self, KeptError> {
        let folder = data.map(|data| data.join("cluster"));
        let fresh = || {
            let mut key = [0; 32];
            let filled = SystemRandom::new().fill(&mut key);
            filled.map(|()| key).map_err(|_| KeptError::Sealed {
                path: PathBuf::from("cluster"),
                cause: VaultError::NoRandomness,
            })
        };
        let key: [u8; 32] = match &folder {
            None => fresh()?,
            Some(folder) => {
                fs::create_dir_all(folder).map_err(io("make", folder))?;
                let path = folder.join("vault.key");
                match fs::read(&path) {
                    Ok(bytes) => bytes.try_into().map_err(|_| KeptError::Sealed {
                        path,
                        cause: VaultError::Damaged,
                    })?,
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        let key = fresh()?;
                        write_private(&path, &key).map_err(io("write", &path))?;
                        key
                    }
                    Err(error) => return Err(io("read", &path)(error)),
                }
            }
        };
        Ok(Self {
            folder,
            vault: Vault::with_key(&key),
        })
    }

    pub(super) fn load(&self) -> Result<Option<Kept>, KeptError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let path = folder.join("member");
        let sealed = match fs::read(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("read", &path)(error)),
        };
        let opened = self.vault.open(&sealed);
        let kept =
            opened.and_then(|plain| postcard::from_bytes(&plain).map_err(|_| VaultError::Damaged));
        kept.map(Some)
            .map_err(|cause| KeptError::Sealed { path, cause })
    }

    pub(super) fn store(&self, kept: &Kept) -> Result<(), KeptError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let path = folder.join("member");
        let plain = postcard::to_allocvec(kept).map_err(|_| VaultError::Damaged);
        let sealed = plain
            .and_then(|plain| self.vault.seal(&plain))
            .map_err(|cause| KeptError::Sealed {
                path: path.clone(),
                cause,
            })?;
        let half = folder.join("member.half");
        write_private(&half, &sealed).map_err(io("write", &half))?;
        fs::rename(&half, &path).map_err(io("rename", &half))
    }
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> KeptError {
    let path = path.to_owned();
    move |cause| KeptError::Io {
        action,
        path,
        cause,
    }
}

/// Whole or not at all after a crash is the caller's, who renames it.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt as _;
        let base = tempfile::tempdir().expect("a folder");
        let safe = Safe::open(Some(base.path())).expect("opens");
        assert!(safe.load().expect("loads").is_none());
        let name = Name::new("n1").expect("valid");
        let kept = Kept {
            cluster: 7,
            cluster_name: name.clone(),
            node: name,
            chain: vec![vec![1]],
            key: b"a secret key".to_vec(),
            roots: Vec::new(),
            authority: None,
            ledger: Ledger::of(vec![[9; 32]]),
            members: Vec::new(),
        };
        safe.store(&kept).expect("stores");
        let again = Safe::open(Some(base.path())).expect("opens again");
        let loaded = again.load().expect("loads").expect("is there");
        assert_eq!((loaded.cluster, loaded.key), (7, kept.key));
        for file in ["member", "vault.key"] {
            let path = base.path().join("cluster").join(file);
            let mode = fs::metadata(&path).expect("is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
            let bytes = fs::read(&path).expect("reads");
            assert!(!bytes.windows(12).any(|w| w == b"a secret key"));
        }
    }
}
