//! Compiling a component that nobody vouches for.
//!
//! A compiler is a large program that reads what an attacker wrote. So it runs in a process of its own with little memory and
//! little time ([`Isolation::Process`]), or at least where its panic is caught ([`Isolation::Thread`]).

use crate::class::Class;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use wasmtime::Engine;

/// Where components are compiled.
#[derive(Clone, Debug, Default)]
pub enum Isolation {
    /// In this process; a panic of the compiler is caught, its memory and time are not bounded. For tests and for components
    /// that are trusted.
    #[default]
    Thread,
    /// In a process of this program with these arguments, which calls [`compile_stdin`].
    Process {
        /// The program.
        program: PathBuf,
        /// Its arguments; the class and `metered` or `plain` are added.
        arguments: Vec<String>,
    },
}

/// Why a component was not compiled. Nothing was changed; `Failed` may be tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The compiler does not accept it.
    #[error("it cannot be compiled: {0}")]
    Refused(String),
    /// Compiling took more time or memory than it may.
    #[error("compiling it takes more than {seconds} s of computing time or {megabytes} MiB")]
    TooMuch {
        /// The time.
        seconds: u64,
        /// The memory.
        megabytes: u64,
    },
    /// The compiler could not be run.
    #[error("the compiler could not be run: {0}")]
    Failed(String),
}

/// What compiling may take: computing time over all threads, and memory.
#[derive(Clone, Copy)]
struct Budget {
    seconds: u64,
    megabytes: u64,
}

/// An artifact is a few times as long as its component.
const ARTIFACT_BYTES_MAX: u64 = 1 << 30;
/// How much of what the compiler complains about is kept.
const COMPLAINT_BYTES_MAX: u64 = 16 << 10;

impl Budget {
    fn of(class: Class) -> Self {
        match class {
            Class::Default | Class::Compact => Self {
                seconds: 10,
                megabytes: 512,
            },
            // An interpreter of 18 MB takes 10 s of computing time on a slow machine.
            Class::Interpreter => Self {
                seconds: 120,
                megabytes: 4096,
            },
        }
    }

    fn exceeded(self) -> CompileError {
        CompileError::TooMuch {
            seconds: self.seconds,
            megabytes: self.megabytes,
        }
    }
}

impl Isolation {
    /// Compiles for engines of this class. Blocks.
    pub(crate) fn compile(
        &self,
        bytes: &[u8],
        class: Class,
        is_metered: bool,
    ) -> Result<Vec<u8>, CompileError> {
        match self {
            Self::Thread => compile_here(bytes, class, is_metered),
            Self::Process { program, arguments } => {
                let mut command = Command::new(program);
                command
                    .args(arguments)
                    .arg(class.as_str())
                    .arg(if is_metered { "metered" } else { "plain" });
                compile_there(command, bytes, Budget::of(class))
            }
        }
    }
}

fn compile_here(bytes: &[u8], class: Class, is_metered: bool) -> Result<Vec<u8>, CompileError> {
    let compiled = catch_unwind(AssertUnwindSafe(|| {
        Engine::new(&class.code_config(is_metered))?.precompile_component(bytes)
    }));
    match compiled {
        Ok(Ok(artifact)) => Ok(artifact),
        Ok(Err(error)) => Err(CompileError::Refused(one_line(&format!("{error:#}")))),
        Err(_) => Err(CompileError::Refused("the compiler panicked".to_owned())),
    }
}

fn one_line(text: &str) -> String {
    let text: String = text.chars().take(500).collect();
    text.replace('\n', "; ").escape_debug().to_string()
}

fn compile_there(
    mut command: Command,
    bytes: &[u8],
    budget: Budget,
) -> Result<Vec<u8>, CompileError> {
    let failed = |error: io::Error| CompileError::Failed(error.to_string());
    let mut child = command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (Some(mut input), Some(output), Some(complaints)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(CompileError::Failed("it has no pipes".to_owned()));
    };
    let (done, is_done) = mpsc::channel::<()>();
    let pid = rustix::process::Pid::from_child(&child);
    let (artifact, complaint, is_late) = std::thread::scope(|scope| {
        // It may end without having read everything.
        scope.spawn(move || drop(input.write_all(bytes)));
        let complaint = scope.spawn(move || read_some(complaints, COMPLAINT_BYTES_MAX));
        // The kernel bounds its computing time; this bounds one that waits.
        let watch = scope.spawn(move || {
            let wait = Duration::from_secs(budget.seconds.saturating_mul(2));
            let is_late = is_done.recv_timeout(wait) == Err(mpsc::RecvTimeoutError::Timeout);
            if is_late {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            is_late
        });
        let artifact = read_some(output, ARTIFACT_BYTES_MAX);
        let complaint = complaint.join().unwrap_or_default();
        drop(done);
        (artifact, complaint, watch.join().unwrap_or(false))
    });
    let status = child.wait().map_err(failed)?;
    if is_late {
        return Err(budget.exceeded());
    }
    match status.code() {
        Some(0) => Ok(artifact),
        Some(1) => Err(CompileError::Refused(one_line(
            String::from_utf8_lossy(&complaint).trim(),
        ))),
        // Ended by a signal (the kernel's bound on time, an allocation that failed), or a panic.
        _ => Err(budget.exceeded()),
    }
}

fn read_some(pipe: impl Read, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A pipe that breaks gives what came through; the exit status tells the rest.
    let _ = pipe.take(most).read_to_end(&mut bytes);
    bytes
}

/// The other end of [`Isolation::Process`]: bounds this process, compiles what comes in on stdin and writes the artifact to
/// stdout. Returns the exit status: 0, or 1 with a complaint on stderr.
///
/// The program must have done nothing else yet and do nothing else after.
pub fn compile_stdin(class: Class, is_metered: bool) -> u8 {
    match compile_stdin_bounded(class, is_metered) {
        Ok(()) => 0,
        Err(CompileError::Refused(what) | CompileError::Failed(what)) => {
            let _ = writeln!(io::stderr(), "{what}");
            1
        }
        Err(error @ CompileError::TooMuch { .. }) => {
            let _ = writeln!(io::stderr(), "{error}");
            1
        }
    }
}

fn compile_stdin_bounded(class: Class, is_metered: bool) -> Result<(), CompileError> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let failed = |error: io::Error| CompileError::Failed(error.to_string());
    let budget = Budget::of(class);
    // It ends with the node that wants it: the thread that started it waits for it.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| failed(error.into()))?;
    let exactly = |bound: u64| Rlimit {
        current: Some(bound),
        maximum: Some(bound),
    };
    let bounds = [
        (Resource::Cpu, budget.seconds),
        (Resource::Data, budget.megabytes << 20),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ];
    for (resource, bound) in bounds {
        setrlimit(resource, exactly(bound)).map_err(|error| failed(error.into()))?;
    }
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(crate::inspect::COMPONENT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let artifact = compile_here(&bytes, class, is_metered)?;
    let mut out = io::stdout().lock();
    out.write_all(&artifact)
        .and_then(|()| out.flush())
        .map_err(failed)
}
