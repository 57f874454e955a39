//! parking_lot's lock, also under loom: for what loom does not model.

pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};
