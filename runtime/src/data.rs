//! The data folder: made on first use, stamped with the version of its format, refused when it is from a newer program.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The format that this program reads and writes.
pub const FORMAT_VERSION: u32 = 1;

const STAMP: &str = "format-version";

/// Why a data folder cannot be used. What is in it was not touched.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be made, read or written.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// A newer program has written it.
    #[error("{} has format {found}, this program reads up to {FORMAT_VERSION}", path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Its stamp is no number.
    #[error("{} does not hold a format version", path.display())]
    BadStamp {
        /// The stamp's file.
        path: PathBuf,
    },
    /// It has files in it but no stamp: somebody else's folder.
    #[error("{} is not empty and is no data folder of Swarm", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
}

impl DataError {
    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Io { .. } => {
                "check the folder's owner and mode, or give another one with --data DIR".to_owned()
            }
            Self::Newer { .. } => {
                "start the newer program, or give another folder with --data DIR".to_owned()
            }
            Self::BadStamp { path } => format!(
                "look at {}; if the folder is not needed, give another one with --data DIR",
                path.display()
            ),
            Self::Foreign { .. } => "give an empty or new folder with --data DIR".to_owned(),
        }
    }
}

/// An opened data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolder {
    path: PathBuf,
}

impl DataFolder {
    /// Opens the folder, or makes it when it does not exist or is empty.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |cause| DataError::Io {
                action,
                path,
                cause,
            }
        };
        std::fs::create_dir_all(path).map_err(io("make", path))?;
        let stamp = path.join(STAMP);
        match std::fs::read_to_string(&stamp) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(found) if found > FORMAT_VERSION => {
                    return Err(DataError::Newer {
                        path: path.to_owned(),
                        found,
                    });
                }
                Ok(_) => {}
                Err(_) => return Err(DataError::BadStamp { path: stamp }),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut entries = std::fs::read_dir(path).map_err(io("list", path))?;
                // A half-made stamp is our own and does not make the folder somebody else's.
                let foreign = entries.any(|entry| {
                    entry.is_ok_and(|entry| !entry.file_name().to_string_lossy().starts_with(STAMP))
                });
                if foreign {
                    return Err(DataError::Foreign {
                        path: path.to_owned(),
                    });
                }
                write_stamp(path, &stamp).map_err(io("write", &stamp))?;
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(DataError::BadStamp { path: stamp });
            }
            Err(error) => return Err(io("read", &stamp)(error)),
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Written beside, synced and renamed: after a crash there is a whole stamp or none.
fn write_stamp(folder: &Path, stamp: &Path) -> std::io::Result<()> {
    let half = folder.join(format!("{STAMP}.{}", std::process::id()));
    let mut file = std::fs::File::create(&half)?;
    file.write_all(format!("{FORMAT_VERSION}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&half, stamp)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_stamped_and_opens_again() {
        let base = tempfile::tempdir().expect("a folder");
        let path = base.path().join("a/b");
        DataFolder::open(&path).expect("opens");
        assert_eq!(
            std::fs::read_to_string(path.join(STAMP)).expect("a stamp"),
            "1\n"
        );
        DataFolder::open(&path).expect("opens again");
    }

    #[test]
    fn a_folder_of_a_newer_program_is_refused_untouched() {
        let base = tempfile::tempdir().expect("a folder");
        std::fs::write(base.path().join(STAMP), "2\n").expect("writes");
        let error = DataFolder::open(base.path()).expect_err("newer");
        assert!(
            matches!(error, DataError::Newer { found: 2, .. }),
            "{error}"
        );
        assert_eq!(
            std::fs::read_to_string(base.path().join(STAMP)).expect("a stamp"),
            "2\n"
        );
    }

    #[test]
    fn somebody_elses_folder_is_refused() {
        let base = tempfile::tempdir().expect("a folder");
        std::fs::write(base.path().join("thesis.txt"), "").expect("writes");
        assert!(matches!(
            DataFolder::open(base.path()),
            Err(DataError::Foreign { .. })
        ));
    }

    #[test]
    fn a_stamp_that_is_no_number_is_refused() {
        let base = tempfile::tempdir().expect("a folder");
        std::fs::write(base.path().join(STAMP), [0xff, 0xfe]).expect("writes");
        assert!(matches!(
            DataFolder::open(base.path()),
            Err(DataError::BadStamp { .. })
        ));
        std::fs::write(base.path().join(STAMP), "new").expect("writes");
        assert!(matches!(
            DataFolder::open(base.path()),
            Err(DataError::BadStamp { .. })
        ));
    }
}
