//! A child whose every move the test makes, and a record of what the supervisor did with it.

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use swarm_protocols::{Address, ExitReason, Incarnation, Name, Pid};
use swarm_supervisors::{
    Args, Child, ChildSpec, Disposition, Env, Info, Level, Link, Observer, Report, StartChild,
    StartError, Started, SupervisorFlags, SupervisorSpec,
};

/// What a start does.
#[derive(Clone)]
pub enum Act {
    Run,
    /// Runs, and has something to say.
    RunWith(u32),
    Fail(&'static str),
    Ignore,
    Panic(&'static str),
    Taken(Pid),
    /// Takes so long, then runs.
    Slow(Duration),
}

/// What happens when it is told to stop.
#[derive(Clone, Copy, PartialEq)]
pub enum Stop {
    AtOnce,
    Never,
    With(Reason),
    After(Duration),
}

#[derive(Clone, Copy, PartialEq)]
pub enum Reason {
    Normal,
    ShutdownWith,
    Error,
}

impl Reason {
    pub fn exit(self) -> ExitReason {
        match self {
            Self::Normal => ExitReason::Normal,
            Self::ShutdownWith => ExitReason::Shutdown(Some("x".into())),
            Self::Error => ExitReason::error_text("other"),
        }
    }
}

/// A puppet and its strings. Clones are the same puppet.
#[derive(Clone)]
pub struct Puppet(Arc<Inner>);

struct Inner {
    address: Address,
    acts: Mutex<Vec<Act>>,
    stop: Mutex<Stop>,
    lives: Mutex<Vec<Arc<Life>>>,
    seen: Mutex<Vec<Seen>>,
    args: Mutex<Vec<u32>>,
    /// How often a life began while another one had not ended.
    overlaps: AtomicUsize,
}

/// What the supervisor did.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Started,
    Signalled,
    Killed,
    Settled(Disposition),
}

struct Life {
    pid: Pid,
    link: Link,
    puppet: Puppet,
    ended: AtomicBool,
}

impl Life {
    fn end(&self, reason: ExitReason) {
        self.ended.store(true, Ordering::SeqCst);
        self.link.exited(self.pid, reason);
    }
}

struct Handle(Arc<Life>);

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

impl Puppet {
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            address: Address(fresh()),
            acts: Mutex::default(),
            stop: Mutex::new(Stop::AtOnce),
            lives: Mutex::default(),
            seen: Mutex::default(),
            args: Mutex::default(),
            overlaps: AtomicUsize::new(0),
        }))
    }

    /// The acts of the next starts, in turn; then it runs.
    pub fn acts(self, acts: impl IntoIterator<Item = Act>) -> Self {
        *self.0.acts.lock() = acts.into_iter().collect();
        self
    }

    pub fn stops(self, stop: Stop) -> Self {
        *self.0.stop.lock() = stop;
        self
    }

    /// A permanent worker.
    pub fn spec(&self, id: &str) -> ChildSpec {
        ChildSpec::new(name(id), Arc::new(self.clone()))
    }

    /// The life that was started last.
    pub fn pid(&self) -> Pid {
        self.0.lives.lock().last().expect("it was started").pid
    }

    pub fn lives(&self) -> usize {
        self.0.lives.lock().len()
    }

    /// What the supervisor did with it so far; forgets it.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.seen.lock())
    }

    /// How often a life began while another one had not ended; for puppets that play one child.
    pub fn overlaps(&self) -> usize {
        self.0.overlaps.load(Ordering::SeqCst)
    }

    /// The arguments of each start.
    pub fn args(&self) -> Vec<u32> {
        self.0.args.lock().clone()
    }

    /// Ends the life that was started last.
    pub fn end(&self, reason: ExitReason) {
        let life = self.0.lives.lock().last().expect("it was started").clone();
        life.end(reason);
    }

    pub fn crash(&self) {
        self.end(ExitReason::error_text("crash"));
    }

    /// Ends the n-th life.
    pub fn end_life(&self, n: usize, reason: ExitReason) {
        let life = self.0.lives.lock()[n].clone();
        life.end(reason);
    }

    fn note(&self, seen: Seen) {
        self.0.seen.lock().push(seen);
    }
}

/// An address that no other puppet has: where the puppet is.
fn fresh() -> u128 {
    let mark = Arc::new(());
    let address = Arc::as_ptr(&mark) as usize as u128;
    // Never freed, so that nobody else gets the same place; a test makes few puppets.
    std::mem::forget(mark);
    address
}

impl StartChild for Puppet {
    fn start(&self, link: Link) -> BoxFuture<'_, Result<Started, StartError>> {
        if let Some(args) = link.args() {
            let args: &u32 = args.downcast_ref().expect("puppets get numbers");
            self.0.args.lock().push(*args);
        }
        let act = {
            let mut acts = self.0.acts.lock();
            if acts.is_empty() {
                Act::Run
            } else {
                acts.remove(0)
            }
        };
        Box::pin(async move {
            let mut info = None;
            match act {
                Act::Run => {}
                Act::RunWith(n) => info = Some(Arc::new(n) as Info),
                Act::Fail(text) => return Err(StartError::Failed(ExitReason::error_text(text))),
                Act::Ignore => return Err(StartError::Ignore),
                Act::Panic(text) => panic!("{text}"),
                Act::Taken(pid) => return Err(StartError::AlreadyStarted(pid)),
                Act::Slow(time) => tokio::time::sleep(time).await,
            }
            let is_instance = link.args().is_some();
            let mut lives = self.0.lives.lock();
            let pid = match link.previous() {
                Some(previous) => Pid {
                    incarnation: previous.pid().incarnation.next(),
                    ..previous.pid()
                },
                None => Pid {
                    address: if is_instance {
                        Address(fresh())
                    } else {
                        self.0.address
                    },
                    incarnation: Incarnation(1),
                },
            };
            let life = Arc::new(Life {
                pid,
                link,
                puppet: self.clone(),
                ended: AtomicBool::new(false),
            });
            if lives.iter().any(|life| !life.ended.load(Ordering::SeqCst)) {
                self.0.overlaps.fetch_add(1, Ordering::SeqCst);
            }
            lives.push(life.clone());
            drop(lives);
            self.note(Seen::Started);
            Ok(Started {
                child: Arc::new(Handle(life)),
                info,
            })
        })
    }
}

impl Child for Handle {
    fn pid(&self) -> Pid {
        self.0.pid
    }

    fn signal(&self) {
        let life = &self.0;
        life.puppet.note(Seen::Signalled);
        let stop = *life.puppet.0.stop.lock();
        match stop {
            Stop::AtOnce => life.end(ExitReason::SHUTDOWN),
            Stop::Never => {}
            Stop::With(reason) => life.end(reason.exit()),
            Stop::After(time) => {
                let life = life.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    life.end(ExitReason::SHUTDOWN);
                });
            }
        }
    }

    fn kill(&self) {
        self.0.puppet.note(Seen::Killed);
        self.0.end(ExitReason::Killed);
    }

    fn settle(&self, disposition: Disposition) {
        self.0.puppet.note(Seen::Settled(disposition));
    }
}

/// Keeps all reports.
#[derive(Default)]
pub struct Log(Mutex<Vec<Report>>);

impl Observer for Log {
    fn report(&self, report: &Report) {
        self.0.lock().push(report.clone());
    }
}

impl Log {
    pub fn take(&self) -> Vec<Report> {
        std::mem::take(&mut *self.0.lock())
    }

    /// Failures as `context id reason`; forgets all.
    pub fn failures(&self) -> Vec<String> {
        let text = |report: Report| match report {
            Report::Supervisor(r) => {
                let context = r.context.as_str();
                Some(format!("{context} {} {}", r.offender.id, r.reason))
            }
            _ => None,
        };
        self.take().into_iter().filter_map(text).collect()
    }

    /// Starts as `level id`; forgets all.
    pub fn starts(&self) -> Vec<String> {
        let text = |report: Report| {
            let level = match report.level() {
                Level::Debug => "debug",
                Level::Info => "info",
                Level::Error => "error",
            };
            match report {
                Report::Progress(p) => Some(format!("{level} {}", p.started.id)),
                _ => None,
            }
        };
        self.take().into_iter().filter_map(text).collect()
    }
}

pub fn env() -> Env {
    Env::seeded(7)
}

pub fn logged() -> (Env, Arc<Log>) {
    let log = Arc::new(Log::default());
    (env().with_observer(log.clone()), log)
}

pub fn spec(
    flags: SupervisorFlags,
    children: impl IntoIterator<Item = ChildSpec>,
) -> SupervisorSpec {
    SupervisorSpec::new(flags, children.into_iter().collect())
}

pub fn args(n: u32) -> Option<Args> {
    Some(Arc::new(n))
}

/// Waits until everything that can happen now has happened.
pub async fn quiet() {
    // In virtual time a sleep ends when nobody has anything left to do before it.
    tokio::time::sleep(Duration::from_micros(1)).await;
}
