//! What the subjects that run on tokio share: the runtime, ways to wait for the end of the work, the clock of a crash.

use crate::workload::WORKERS;
use std::future::Future;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Runs a future to its end on a worker thread of a fresh runtime.
///
/// The runtime is left alone afterwards, actors and all: the process ends right after its one sample, and taking down
/// a hundred thousand actors would only take time.
pub(crate) fn block_on<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_time()
        .build()
        .expect("a runtime of two threads can be built");
    let output = runtime
        .block_on(async { tokio::spawn(future).await })
        .expect("the bench itself does not panic");
    std::mem::forget(runtime);
    output
}

/// Panics are what some benches make on purpose: they print nothing, for any subject.
pub(crate) fn silence_panics() {
    panic::set_hook(Box::new(|_| {}));
}

/// Counts down as the work is done and wakes the one that waits for the end of it.
#[derive(Clone)]
pub(crate) struct Countdown(Arc<(AtomicU64, Notify)>);

impl Countdown {
    pub(crate) fn new(count: u64) -> Self {
        Self(Arc::new((AtomicU64::new(count), Notify::new())))
    }

    pub(crate) fn hit(&self) {
        if self.0.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.1.notify_one();
        }
    }

    /// Counts from `count` again. Only between two waits.
    pub(crate) fn reset(&self, count: u64) {
        self.0.0.store(count, Ordering::Release);
    }

    pub(crate) fn left(&self) -> u64 {
        self.0.0.load(Ordering::Acquire)
    }

    pub(crate) async fn wait(&self) {
        self.0.1.notified().await;
        assert_eq!(
            self.0.0.load(Ordering::Acquire),
            0,
            "more was done than was asked for"
        );
    }
}

/// Times from nought to twenty milliseconds in steps of 50 ns; what is longer counts as the longest.
pub(crate) struct Histogram {
    steps: Box<[AtomicU32]>,
}

impl Histogram {
    const STEP_NANOS: u64 = 50;
    const STEPS: usize = 400_000;

    pub(crate) fn new() -> Self {
        Self {
            steps: (0..Self::STEPS).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    pub(crate) fn record(&self, time: Duration) {
        let step = time.as_nanos() as u64 / Self::STEP_NANOS;
        let step = usize::try_from(step)
            .unwrap_or(usize::MAX)
            .min(Self::STEPS - 1);
        self.steps[step].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.steps
            .iter()
            .map(|step| u64::from(step.load(Ordering::Relaxed)))
            .sum()
    }

    /// The time, in microseconds, that `share` of all recorded ones do not exceed.
    pub(crate) fn quantile_micros(&self, share: f64) -> f64 {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, step) in self.steps.iter().enumerate() {
            seen += u64::from(step.load(Ordering::Relaxed));
            if seen >= rank {
                return ((index as u64 + 1) * Self::STEP_NANOS) as f64 / 1e3;
            }
        }
        0.0
    }
}

/// Times the way from a crash to the first message that the new life handles.
#[derive(Clone)]
pub(crate) struct CrashClock(Arc<Crash>);

struct Crash {
    base: Instant,
    at_nanos: AtomicU64,
    recoveries: Histogram,
    left: Countdown,
}

impl CrashClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Crash {
            base: Instant::now(),
            at_nanos: AtomicU64::new(0),
            recoveries: Histogram::new(),
            left: Countdown::new(0),
        }))
    }

    /// Before a round of so many crashes.
    pub(crate) fn expect(&self, crashes: u64) {
        self.0.left.reset(crashes);
    }

    /// Called by the agent, as the last thing it does.
    pub(crate) fn crash(&self) -> ! {
        let now = self.0.base.elapsed();
        self.0
            .at_nanos
            .store(now.as_nanos() as u64, Ordering::Release);
        panic!("on purpose");
    }

    /// Called by its next life with the first message.
    pub(crate) fn recovered(&self) {
        let crashed = Duration::from_nanos(self.0.at_nanos.load(Ordering::Acquire));
        let took = self.0.base.elapsed().saturating_sub(crashed);
        self.0.recoveries.record(took);
        self.0.left.hit();
    }

    /// How many crashes of the round have not been recovered from.
    pub(crate) fn left(&self) -> u64 {
        self.0.left.left()
    }

    /// Waits for the end of the round.
    pub(crate) async fn wait(&self) {
        self.0.left.wait().await;
    }

    pub(crate) fn recoveries(&self) -> &Histogram {
        &self.0.recoveries
    }
}

/// Calls `send` with the number of each message, `rate` times a second for `time`, from a thread of its own.
///
/// The thread wakes about every 50 µs and sends what has become due since. Returns how many were sent.
pub(crate) async fn paced(
    rate: u64,
    time: Duration,
    mut send: impl FnMut(u64) + Send + 'static,
) -> u64 {
    let (done, sent) = tokio::sync::oneshot::channel();
    let pacer = move || {
        let start = Instant::now();
        let total = (time.as_secs_f64() * rate as f64) as u64;
        let mut sent = 0;
        while sent < total {
            let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
            for number in sent..due.min(total) {
                send(number);
            }
            sent = due.min(total).max(sent);
            std::thread::sleep(Duration::from_micros(50));
        }
        let _ = done.send(sent);
    };
    std::thread::Builder::new()
        .name("pacer".to_owned())
        .spawn(pacer)
        .expect("one more thread can be started");
    sent.await.expect("the pacer does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_upper_ends_of_their_steps() {
        let histogram = Histogram::new();
        for micros in 1..=100 {
            histogram.record(Duration::from_micros(micros));
        }
        histogram.record(Duration::from_secs(5));
        assert_eq!(histogram.count(), 101);
        assert_eq!(histogram.quantile_micros(0.5), 51.05);
        assert_eq!(histogram.quantile_micros(1.0), 20_000.0);
        assert_eq!(Histogram::new().quantile_micros(0.5), 0.0);
    }

    #[tokio::test]
    async fn a_countdown_wakes_its_waiter_at_nought_and_counts_again() {
        let countdown = Countdown::new(2);
        countdown.hit();
        countdown.hit();
        countdown.wait().await;
        countdown.reset(1);
        countdown.hit();
        countdown.wait().await;
    }

    #[tokio::test]
    async fn the_pacer_offers_what_it_was_told_to() {
        let sent = paced(10_000, Duration::from_millis(5), |_| {}).await;
        assert_eq!(sent, 50);
    }
}
