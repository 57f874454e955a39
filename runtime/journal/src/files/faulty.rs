//! Files that fail on purpose, over real ones: they count, run full, refuse to sync, and lose what was not synced.

use super::{File, Files, RealFiles};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use swarm_actors::journal::JournalError;

/// Real files with a memory of what a disk would have of them after a power loss.
#[derive(Clone)]
pub struct FaultyFiles {
    real: Arc<RealFiles>,
    disk: Arc<Mutex<Disk>>,
}

/// What goes wrong, and after how many more operations of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// There is no room for that write; half of it is written.
    Full {
        /// Writes until then.
        writes: u32,
    },
    /// That sync fails.
    Sync {
        /// Syncs until then.
        syncs: u32,
    },
    /// The power goes: that change, of whatever kind, and all later ones are not made.
    Power {
        /// Changes until then: files made, written, synced, renamed, removed or made longer, and syncs of the directory.
        changes: u32,
    },
}

#[derive(Default)]
struct Disk {
    /// Every file that was synced with its directory, as the disk has it for certain.
    durable: BTreeMap<String, Vec<u8>>,
    /// Written and not synced, by file.
    pending: BTreeMap<String, Vec<(u64, Vec<u8>)>>,
    /// Synced contents whose name is not on the disk yet.
    unnamed: BTreeMap<String, Vec<u8>>,
    outage: Option<Outage>,
    syncs: u64,
    writes: u64,
    read: u64,
    is_off: bool,
}

impl FaultyFiles {
    /// Over that directory, which should be empty.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn new(directory: &Path) -> Result<Self, JournalError> {
        Ok(Self {
            real: Arc::new(RealFiles::new(directory)?),
            disk: Arc::default(),
        })
    }

    /// Lets something go wrong.
    pub fn plan(&self, outage: Option<Outage>) {
        self.disk.lock().outage = outage;
    }

    /// How many data syncs there were.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.disk.lock().syncs
    }

    /// How many writes there were.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.disk.lock().writes
    }

    /// How many bytes were read since this was last asked.
    #[must_use]
    pub fn take_read(&self) -> u64 {
        std::mem::take(&mut self.disk.lock().read)
    }

    /// The power is off: from here on nothing can be written or synced, as in a process that is dead.
    pub fn power_off(&self) {
        self.disk.lock().is_off = true;
    }

    /// Whether it went, by [`Outage::Power`] or otherwise.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.disk.lock().is_off
    }

    /// The power is back: the files are what was synced, and of each later write what `keeps` says: its sectors of 512 bytes
    /// are asked for one by one.
    ///
    /// # Errors
    /// [`JournalError`] of the real files.
    pub fn power_on(&self, mut keeps: impl FnMut() -> bool) -> Result<(), JournalError> {
        const SECTOR: usize = 512;
        let mut disk = self.disk.lock();
        let mut images = disk.durable.clone();
        for (name, content) in std::mem::take(&mut disk.unnamed) {
            if keeps() {
                images.insert(name, content);
            }
        }
        for (name, writes) in std::mem::take(&mut disk.pending) {
            let Some(image) = images.get_mut(&name) else {
                continue;
            };
            for (offset, bytes) in writes {
                for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                    if keeps() {
                        put(image, offset + (n * SECTOR) as u64, sector);
                    }
                }
            }
        }
        for name in self.real.list()? {
            if name != "LOCK" {
                self.real.remove(&name)?;
            }
        }
        for (name, image) in &images {
            self.real.create(name)?.write_at(0, image)?;
        }
        disk.durable = images;
        disk.outage = None;
        disk.is_off = false;
        Ok(())
    }
}

fn put(image: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (from, to) = (offset as usize, offset as usize + bytes.len());
    if image.len() < to {
        image.resize(to, 0);
    }
    image[from..to].copy_from_slice(bytes);
}

impl Disk {
    fn check(&mut self, path: &Path) -> Result<(), JournalError> {
        if let Some(Outage::Power { changes }) = &mut self.outage {
            match changes.checked_sub(1) {
                Some(less) => *changes = less,
                None => self.is_off = true,
            }
        }
        if self.is_off {
            Err(JournalError::Vanished {
                path: path.to_owned(),
            })
        } else {
            Ok(())
        }
    }

    fn content(&mut self, name: &str) -> &mut Vec<u8> {
        if self.durable.contains_key(name) {
            self.durable.entry(name.to_owned()).or_default()
        } else {
            self.unnamed.entry(name.to_owned()).or_default()
        }
    }

    /// What the disk is sure to have of the file, and all writes that followed.
    fn settle(&mut self, name: &str) {
        let writes = self.pending.remove(name).unwrap_or_default();
        let content = self.content(name);
        for (offset, bytes) in writes {
            put(content, offset, &bytes);
        }
    }
}

impl Files for FaultyFiles {
    fn create(&self, name: &str) -> Result<Box<dyn File>, JournalError> {
        let mut disk = self.disk.lock();
        disk.check(&self.path(name))?;
        let real = self.real.create(name)?;
        disk.unnamed.insert(name.to_owned(), Vec::new());
        Ok(Box::new(FaultyFile {
            real,
            name: name.to_owned(),
            files: self.clone(),
        }))
    }

    fn open(&self, name: &str) -> Result<Box<dyn File>, JournalError> {
        let real = self.real.open(name)?;
        let mut disk = self.disk.lock();
        if !disk.durable.contains_key(name) && !disk.unnamed.contains_key(name) {
            // It was put there past this layer.
            let mut bytes = vec![0; real.length()? as usize];
            real.read_at(0, &mut bytes)?;
            disk.durable.insert(name.to_owned(), bytes);
        }
        drop(disk);
        Ok(Box::new(FaultyFile {
            real,
            name: name.to_owned(),
            files: self.clone(),
        }))
    }

    fn list(&self) -> Result<Vec<String>, JournalError> {
        self.real.list()
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), JournalError> {
        let mut disk = self.disk.lock();
        disk.check(&self.path(from))?;
        self.real.rename(from, to)?;
        // The order of directory changes is kept by the file systems that we support; what is lost is the last of them.
        disk.settle(from);
        let content = disk.content(from).clone();
        disk.unnamed.remove(from);
        disk.unnamed.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), JournalError> {
        let mut disk = self.disk.lock();
        disk.check(&self.path(name))?;
        self.real.remove(name)?;
        disk.durable.remove(name);
        disk.unnamed.remove(name);
        disk.pending.remove(name);
        Ok(())
    }

    fn sync(&self) -> Result<(), JournalError> {
        let mut disk = self.disk.lock();
        disk.check(&self.path(""))?;
        let named = std::mem::take(&mut disk.unnamed);
        disk.durable.extend(named);
        self.real.sync()
    }

    fn lock(&self) -> Result<Box<dyn Any + Send + Sync>, JournalError> {
        self.real.lock()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.real.path(name)
    }
}

struct FaultyFile {
    real: Box<dyn File>,
    name: String,
    files: FaultyFiles,
}

impl File for FaultyFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), JournalError> {
        let path = self.files.path(&self.name);
        let mut disk = self.files.disk.lock();
        disk.check(&path)?;
        disk.writes += 1;
        let mut bytes = bytes;
        let mut is_full = false;
        if let Some(Outage::Full { writes }) = &mut disk.outage {
            match writes.checked_sub(1) {
                Some(less) => *writes = less,
                None => {
                    is_full = true;
                    bytes = &bytes[..bytes.len() / 2];
                }
            }
        }
        self.real.write_at(offset, bytes)?;
        let pending = disk.pending.entry(self.name.clone()).or_default();
        pending.push((offset, bytes.to_vec()));
        if is_full {
            return Err(JournalError::DiskFull { path });
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, JournalError> {
        let read = self.real.read_at(offset, buffer)?;
        self.files.disk.lock().read += read as u64;
        Ok(read)
    }

    fn sync_data(&self) -> Result<(), JournalError> {
        let path = self.files.path(&self.name);
        let mut disk = self.files.disk.lock();
        disk.check(&path)?;
        disk.syncs += 1;
        if let Some(Outage::Sync { syncs }) = &mut disk.outage {
            match syncs.checked_sub(1) {
                Some(less) => *syncs = less,
                None => {
                    return Err(JournalError::Io {
                        operation: "sync",
                        path,
                        message: "input/output error".to_owned(),
                    });
                }
            }
        }
        disk.settle(&self.name);
        Ok(())
    }

    fn length(&self) -> Result<u64, JournalError> {
        self.real.length()
    }

    fn set_length(&self, length: u64) -> Result<(), JournalError> {
        let mut disk = self.files.disk.lock();
        disk.check(&self.files.path(&self.name))?;
        self.real.set_length(length)?;
        // Taken as durable at once: what is cut off never held anything that was acknowledged.
        disk.settle(&self.name);
        disk.content(&self.name).resize(length as usize, 0);
        Ok(())
    }
}
