//! Asking before something is destroyed.

use crate::cli::Global;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::table::printable;
use std::io::{self, BufRead, IsTerminal, Write};

/// Says what would be done and asks whether to. Where nobody can answer, `--yes` must have been given.
pub(crate) fn confirm(global: &Global, what: &str) -> Result<(), Failure> {
    if global.yes {
        return Ok(());
    }
    let what = printable(what);
    let refused = |why: &str| {
        Failure::new(
            ExitStatus::Refused,
            "not-confirmed",
            format!("{why}: {what}"),
            "the same command with --yes",
        )
    };
    if global.no_input || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(refused("this has to be confirmed"));
    }
    let mut stderr = io::stderr().lock();
    let mut answer = String::new();
    let asked = write!(stderr, "{what}. Do it? [y/N] ").and_then(|()| stderr.flush());
    drop(stderr);
    if asked.is_ok() && io::stdin().lock().read_line(&mut answer).is_ok() {
        let answer = answer.trim().to_lowercase();
        if answer == "y" || answer == "yes" {
            return Ok(());
        }
    }
    Err(refused("not done, as answered"))
}
