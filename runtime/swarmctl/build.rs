//! Finds out from which commit the program is built, for `swarmctl version`. A build outside a repository has none.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Grows with every commit and checkout; HEAD itself names the branch only.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    println!("cargo::rustc-env=SWARM_COMMIT={commit}");
    // TARGET is set for every build script.
    println!(
        "cargo::rustc-env=SWARM_TARGET={}",
        std::env::var("TARGET").unwrap_or_default()
    );
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
