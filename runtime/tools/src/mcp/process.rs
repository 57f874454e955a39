//! A server in a child process, and its end.

use super::spec::Reach;
use crate::error::plain;
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use std::time::Duration;
use swarm_protocols::Name;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::task::AbortOnDropHandle;

/// What a child gets of this process's environment. Everything else may hold secrets that are none of its business.
const INHERITED: [&str; 6] = ["PATH", "HOME", "USER", "LANG", "TMPDIR", "TZ"];
/// How long a server has to end after its input was closed, and again after SIGTERM, before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// The longest line of standard error that is looked at, in bytes; longer ones are cut into pieces.
const LINE_BYTES_MAX: u64 = 4096;

/// A running child. It leads a process group of its own, and the group ends with it: what wrappers such as `npx` start is
/// the server's, too. Dropped, all of it is killed; [`Process::end`] asks first.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    _errors: Option<AbortOnDropHandle<()>>,
}

impl Process {
    /// Starts the program of a [`Reach::Command`].
    pub(super) fn start(
        server: &Name,
        reach: &Reach,
    ) -> std::io::Result<(Self, ChildStdout, ChildStdin)> {
        let Reach::Command {
            program,
            arguments,
            environment,
            folder,
        } = reach
        else {
            return Err(std::io::Error::other("this server is no program"));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(
                INHERITED
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("the child has no pipes"));
        };
        let errors = child.stderr.take().map(|errors| {
            AbortOnDropHandle::new(tokio::spawn(tell_errors(server.clone(), errors)))
        });
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let process = Self {
            child,
            group,
            _errors: errors,
        };
        Ok((process, stdout, stdin))
    }

    /// Waits for the end of a child whose input was closed; helps, if it takes too long.
    pub(super) async fn end(mut self) {
        if tokio::time::timeout(GRACE, self.child.wait())
            .await
            .is_err()
        {
            self.signal(Signal::TERM);
            // Whether it ended or not: what is left is killed now.
            let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        }
        self.signal(Signal::KILL);
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        self.group = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Nobody left to hear it is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

async fn tell_errors(server: Name, errors: ChildStderr) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut errors).take(LINE_BYTES_MAX);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = plain(String::from_utf8_lossy(&line).trim_end());
                tracing::debug!(target: "swarm_tools::mcp", %server, text, "standard error");
            }
        }
    }
}
