//! What a tree of supervisors shares and gets from outside: the clock's origin, addresses, the observer, chance.

use crate::report::{Observer, TracingObserver};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use swarm_protocols::{Address, Pid};
use tokio::time::Instant;

/// What all supervisors of one tree share; inherited from parent to child. Cheap to clone. Nothing in it is process-wide.
#[derive(Clone)]
pub struct Env {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    origin: Instant,
    observer: Arc<dyn Observer>,
    addresses: Arc<dyn Fn() -> Address + Send + Sync>,
    alive: Arc<dyn Fn(Pid) -> bool + Send + Sync>,
    jitter_seed: u64,
}

impl Env {
    /// An environment whose actors get their addresses from `addresses`, and whose clock begins now. Reports go to
    /// `tracing`; nothing outside of the tree counts as alive.
    #[must_use]
    pub fn new(addresses: impl Fn() -> Address + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                origin: Instant::now(),
                observer: Arc::new(TracingObserver),
                addresses: Arc::new(addresses),
                alive: Arc::new(|_| false),
                jitter_seed: 0,
            }),
        }
    }

    /// An environment whose addresses follow from `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let next = AtomicU64::new(0);
        Self::new(move || {
            let n = next.fetch_add(2, Ordering::Relaxed);
            Address(u128::from(mix(seed, n)) << 64 | u128::from(mix(seed, n + 1)))
        })
        .with_jitter_seed(seed)
    }

    /// The same with this observer.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        Arc::make_mut(&mut self.shared).observer = observer;
        self
    }

    /// The same with a clock that begins at `origin`: whole seconds are counted from there.
    #[must_use]
    pub fn with_origin(mut self, origin: Instant) -> Self {
        Arc::make_mut(&mut self.shared).origin = origin;
        self
    }

    /// The same with a seed for the jitter of restart delays.
    #[must_use]
    pub fn with_jitter_seed(mut self, seed: u64) -> Self {
        Arc::make_mut(&mut self.shared).jitter_seed = seed;
        self
    }

    /// The same with a way to tell whether a pid is alive that no supervisor here knows. `terminate_child` of such a pid
    /// under `simple_one_for_one` answers `not_found` when it is and `ok` when it is not (S104).
    #[must_use]
    pub fn with_liveness(mut self, alive: impl Fn(Pid) -> bool + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).alive = Arc::new(alive);
        self
    }

    /// A fresh address.
    #[must_use]
    pub fn address(&self) -> Address {
        (self.shared.addresses)()
    }

    /// Where the clock begins.
    #[must_use]
    pub fn origin(&self) -> Instant {
        self.shared.origin
    }

    /// The time since the clock began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.origin.elapsed()
    }

    /// Who is told of starts, ends and failures.
    #[must_use]
    pub fn observer(&self) -> &dyn Observer {
        &*self.shared.observer
    }

    pub(crate) fn is_alive(&self, pid: Pid) -> bool {
        (self.shared.alive)(pid)
    }

    pub(crate) fn jitter_seed(&self) -> u64 {
        self.shared.jitter_seed
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env")
            .field("origin", &self.shared.origin)
            .finish_non_exhaustive()
    }
}

/// One step of splitmix64: the n-th value of the sequence that `seed` begins.
pub(crate) fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add((n.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
