//! What a sample reads off the machine: the clock, the CPU time and the resident memory of its own process.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// Running measurement of wall time and of CPU time (user and system, all threads).
pub(crate) struct Meter {
    wall: Instant,
    cpu: Duration,
}

/// What passed between the start of a [`Meter`] and its stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: process_cpu(),
        }
    }

    pub(crate) fn stop(self) -> Spent {
        Spent {
            wall: self.wall.elapsed(),
            cpu: process_cpu().saturating_sub(self.cpu),
        }
    }
}

/// CPU time that this process has used so far.
fn process_cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}

/// Resident bytes of this process, as the kernel counts them.
pub(crate) fn resident_bytes() -> u64 {
    let status =
        std::fs::read_to_string("/proc/self/status").expect("Linux keeps /proc/self/status");
    parse_resident(&status).expect("every process with memory has a VmRSS line")
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status_file() {
        assert_eq!(
            parse_resident("Name:\tx\nVmRSS:\t   12 kB\nVmSwap:\t 0 kB\n"),
            Some(12 * 1024)
        );
        assert_eq!(parse_resident("Name:\tx\n"), None);
    }

    #[test]
    fn a_meter_counts_the_work_between_start_and_stop() {
        let meter = Meter::start();
        let mut state = 1_u64;
        while meter.wall.elapsed() < Duration::from_millis(5) {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
        }
        std::hint::black_box(state);
        let spent = meter.stop();
        assert!(spent.wall >= Duration::from_millis(5));
        assert!(spent.cpu > Duration::ZERO);
    }
}
