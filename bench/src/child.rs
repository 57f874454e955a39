//! The inside of a sample process: `__sample BENCH SUBJECT SCALE`.

use crate::subjects::Subject;
use crate::workload::{Bench, Scale, time_limit};
use std::process::exit;

/// Runs one sample, prints it, and ends the process without taking anything down.
pub(crate) fn run(arguments: &[String]) -> ! {
    let [bench, subject, scale] = arguments else {
        exit(2)
    };
    let parsed = (
        Bench::from_name(bench),
        Subject::from_name(subject),
        Scale::from_name(scale),
    );
    let (Some(bench), Some(subject), Some(scale)) = parsed else {
        exit(2)
    };
    let limit = time_limit(bench, scale);
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        eprintln!("not done after {} s", limit.as_secs());
        exit(3);
    });
    if let Some(sample) = subject.run(bench, scale) {
        println!(
            "{}",
            serde_json::to_string(&sample).expect("a sample is plain data")
        );
    }
    exit(0)
}
