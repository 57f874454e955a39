//! A progress bar, where there is a terminal that nothing else writes to.

use crate::output::Output;
use crate::words::{count, span};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use swarm_runtime::dispatch::Progress;

/// How often the bar is drawn.
const INTERVAL: Duration = Duration::from_millis(100);

/// Draws for as long as the future is polled; clears the line when it is dropped.
pub(super) async fn draw(progress: &Progress, output: Output, results_on_stdout: bool) {
    let is_torn = results_on_stdout && io::stdout().is_terminal();
    if output.is_quiet() || output.is_json() || is_torn || !io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let bar = Cleared(ProgressBar::with_draw_target(
        None,
        ProgressDrawTarget::stderr(),
    ));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.0.set_style(style);
    }
    let start = Instant::now();
    loop {
        let done = progress.done();
        let failed = progress.failed.load(Ordering::Relaxed);
        let attempts = progress.attempts.load(Ordering::Relaxed);
        let per_second = done as f64 / start.elapsed().as_secs_f64().max(0.001);
        bar.0.set_message(format!(
            "{} done, {per_second:.0}/s, {attempts} attempts, {failed} failed, {}",
            count(done, "job"),
            span(start.elapsed())
        ));
        bar.0.tick();
        tokio::time::sleep(INTERVAL).await;
    }
}

struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
