//! Runs the samples: each in a fresh process, the subjects taking turns, so that a noisy minute hits them all.

use crate::sample::Sample;
use crate::subjects::Subject;
use crate::workload::{BRANCHES, Bench, LEAVES, Scale, VICTIMS, WORKERS};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The hidden first argument of a process that is to run one sample.
pub(crate) const SAMPLE: &str = "__sample";

/// Why there is no sample.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("cannot start {program}: {source}")]
    Start {
        program: String,
        source: std::io::Error,
    },
    #[error("{program} failed ({status}): {stderr}")]
    Failed {
        program: String,
        status: std::process::ExitStatus,
        stderr: String,
    },
    #[error("{program} printed no sample: {source}")]
    NoSample {
        program: String,
        source: serde_json::Error,
    },
    #[error("cannot prepare the folder for the Erlang programs: {0}")]
    Folder(std::io::Error),
}

/// What the subjects outside this program need, made once.
pub(crate) struct Runner {
    scale: Scale,
    ractor_default: Option<PathBuf>,
    erlang: Option<tempfile::TempDir>,
}

impl Runner {
    pub(crate) fn new(scale: Scale) -> Self {
        Self {
            scale,
            ractor_default: None,
            erlang: None,
        }
    }

    /// Builds the program that holds ractor with its default features.
    pub(crate) fn build_ractor_default(&mut self) -> Result<(), RunError> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = here.join("../target/ractor-default");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .args(["build", "--release", "--quiet", "--manifest-path"])
            .arg(here.join("ractor-default/Cargo.toml"));
        output(
            build
                .arg("--target-dir")
                .arg(&target)
                .stderr(Stdio::inherit()),
        )?;
        self.ractor_default = Some(target.join("release/swarm-bench-ractor-default"));
        Ok(())
    }

    /// Compiles the Erlang programs. False where there is no Erlang.
    pub(crate) fn compile_erlang(&mut self) -> Result<bool, RunError> {
        let missing = |program: &str| Command::new(program).arg("-version").output().is_err();
        // `erl -version` and `erlc -version` print and end; what they print doesn't matter.
        if missing("erl") || missing("erlc") {
            return Ok(false);
        }
        let folder = tempfile::tempdir().map_err(RunError::Folder)?;
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("erlang");
        let mut compile = Command::new("erlc");
        compile.arg("-o").arg(folder.path());
        for module in ["bench_main", "bench_sup", "bench_worker"] {
            compile.arg(sources.join(module).with_extension("erl"));
        }
        output(&mut compile)?;
        self.erlang = Some(folder);
        Ok(true)
    }

    /// One sample. `None` where the subject does not take part.
    pub(crate) fn sample(
        &self,
        bench: Bench,
        subject: Subject,
    ) -> Result<Option<Sample>, RunError> {
        let command = match subject {
            Subject::RactorDefault => self.ractor_default.as_ref().map(|program| {
                let mut command = Command::new(program);
                command.args([
                    SAMPLE,
                    bench.name(),
                    Subject::Ractor.name(),
                    self.scale.name(),
                ]);
                command
            }),
            Subject::Erlang => self
                .erlang
                .as_ref()
                .and_then(|folder| erlang(folder.path(), bench, self.scale)),
            _ => {
                let mut command = Command::new(
                    std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into()),
                );
                command.args([SAMPLE, bench.name(), subject.name(), self.scale.name()]);
                Some(command)
            }
        };
        let Some(mut command) = command else {
            return Ok(None);
        };
        let line = output(&mut command)?;
        if line.trim().is_empty() {
            return Ok(None);
        }
        let no_sample = |source| RunError::NoSample {
            program: name_of(&command),
            source,
        };
        serde_json::from_str(&line).map(Some).map_err(no_sample)
    }
}

fn erlang(modules: &Path, bench: Bench, scale: Scale) -> Option<Command> {
    let arguments = match bench {
        Bench::Kill1000 => [
            "kill".to_owned(),
            VICTIMS.to_string(),
            scale.kill_rounds().to_string(),
        ]
        .to_vec(),
        Bench::Tree => [
            "tree".to_owned(),
            BRANCHES.to_string(),
            LEAVES.to_string(),
            scale.trees().to_string(),
        ]
        .to_vec(),
        _ => return None,
    };
    let mut command = Command::new("erl");
    command
        .args([
            "-noshell",
            "-noinput",
            "+S",
            &format!("{WORKERS}:{WORKERS}"),
            "-pa",
        ])
        .arg(modules);
    command.args(["-s", "bench_main", "main"]).args(arguments);
    Some(command)
}

fn output(command: &mut Command) -> Result<String, RunError> {
    // What a failed sample says is enough; its backtrace would bury it.
    command.env("RUST_BACKTRACE", "0");
    let output = command.output().map_err(|source| RunError::Start {
        program: name_of(command),
        source,
    })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(RunError::Failed {
            program: name_of(command),
            status: output.status,
            stderr,
        })
    }
}

fn name_of(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
