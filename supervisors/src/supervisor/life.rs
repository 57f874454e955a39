//! One life of a supervisor as its handles see it, and what outlasts it.

use crate::child::Disposition;
use crate::contain::HeldChild;
use crate::env::Env;
use crate::report::Report;
use crate::supervisor::actor::{CALLS_MAX, Input};
use crate::supervisor::link::{Above, Link, Target};
use parking_lot::Mutex;
use ractor::ActorCell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use swarm_protocols::{Address, ExitReason, Incarnation, Name, Path, Pid};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

/// What belongs to a supervisor over all its lives.
pub(crate) struct Home {
    address: Address,
    /// How many lives began.
    lives: AtomicU64,
    /// The static children of the last life, until the next life or the parent says what becomes of them.
    held: Mutex<Vec<(Path, HeldChild)>>,
}

impl Home {
    pub(crate) fn new(address: Address) -> Self {
        Self {
            address,
            lives: AtomicU64::new(0),
            held: Mutex::new(Vec::new()),
        }
    }

    /// The pid of the life that is about to begin.
    pub(crate) fn next_pid(&self) -> Pid {
        Pid {
            address: self.address,
            incarnation: Incarnation(self.lives.load(Ordering::Acquire) + 1),
        }
    }

    pub(crate) fn begin_life(&self) {
        self.lives.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn take_held(&self) -> Vec<(Path, HeldChild)> {
        std::mem::take(&mut *self.held.lock())
    }

    pub(crate) fn hold(&self, children: Vec<(Path, HeldChild)>) {
        self.held.lock().extend(children);
    }

    fn settle(&self, disposition: Disposition) {
        match disposition {
            Disposition::Restarting | Disposition::SupervisorEnded => {}
            Disposition::Stopped | Disposition::Ended => {
                let held: Vec<_> = self.held.lock().clone();
                for (_, child) in held {
                    child.settle(disposition);
                }
            }
            Disposition::Removed => {
                for (_, child) in self.take_held() {
                    child.settle(Disposition::Removed);
                }
            }
        }
    }
}

/// A child as the supervisor's task left it.
pub(crate) struct Kept {
    pub(crate) path: Path,
    /// Its place in the start order.
    pub(crate) place: u64,
    /// Named by init: it may come back with the next life.
    pub(crate) is_static: bool,
    /// The last life.
    pub(crate) child: Option<HeldChild>,
    /// What was said about it since it was started.
    pub(crate) settled: Option<Disposition>,
}

impl Kept {
    /// Whether the last part of its path is one of these.
    pub(crate) fn is_named(&self, named: &HashSet<Name>) -> bool {
        let name = self.path.as_str().rsplit('/').next();
        name.is_some_and(|name| named.contains(name))
    }
}

/// One life. The children are here, not in the task, so that a kill takes effect at once and not when the task is next
/// polled (S52).
pub(crate) struct Life {
    pid: Pid,
    link: Link,
    queue: mpsc::UnboundedSender<Input>,
    /// What the links of its children share.
    above_children: Arc<Above>,
    calls: Arc<Semaphore>,
    home: Arc<Home>,
    books: Mutex<Books>,
    actor: OnceLock<ActorCell>,
    runtime: Handle,
}

struct Books {
    phase: Phase,
    children: Children,
    /// A start function is at work. Should this life end meanwhile, its end is told when that one is gone: otherwise the next
    /// life might start the same child while the old start is still about to learn that it is over.
    in_start: bool,
    /// The end that waits for that.
    ending: Option<Ending>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Init and the start of its children are under way; nobody outside knows this life yet.
    Starting,
    Running,
    Ended,
}

struct Ending {
    reason: ExitReason,
    had_begun: bool,
    held: Vec<(Path, HeldChild)>,
}

/// How long the end of a killed supervisor waits for a start function to notice. One that runs gives way at its next
/// await, which is far sooner; one that never yields must not hold up those who wait for the end.
const START_GIVES_WAY: Duration = Duration::from_millis(200);

/// By slot.
type Children = Vec<Option<Kept>>;

impl Life {
    pub(crate) fn new(home: Arc<Home>, link: Link, queue: mpsc::UnboundedSender<Input>) -> Self {
        let pid = home.next_pid();
        let above_children = Arc::new(Above {
            supervisor: pid,
            env: link.env().clone(),
            to: Target::Queue(queue.clone()),
        });
        Self {
            pid,
            link,
            queue,
            above_children,
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            home,
            books: Mutex::new(Books {
                phase: Phase::Starting,
                children: Vec::new(),
                in_start: false,
                ending: None,
            }),
            actor: OnceLock::new(),
            runtime: Handle::current(),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn path(&self) -> &Path {
        self.link.path()
    }

    pub(crate) fn env(&self) -> &Env {
        self.link.env()
    }

    pub(crate) fn calls(&self) -> &Arc<Semaphore> {
        &self.calls
    }

    pub(crate) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    pub(crate) fn queue(&self) -> &mpsc::UnboundedSender<Input> {
        &self.queue
    }

    pub(crate) fn above_children(&self) -> &Arc<Above> {
        &self.above_children
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.books.lock().phase != Phase::Ended
    }

    /// Puts something into the queue; what comes after the end is dropped.
    pub(crate) fn post(&self, input: Input) {
        if self.is_alive() {
            let _ = self.queue.send(input);
        }
    }

    /// The start is over and went well: from here on an end is reported.
    pub(crate) fn begin(&self) {
        let mut books = self.books.lock();
        if books.phase == Phase::Starting {
            books.phase = Phase::Running;
            self.home.begin_life();
        }
    }

    pub(crate) fn set_actor(&self, actor: ActorCell) {
        // Set once, by the start; a second value could not come.
        let _ = self.actor.set(actor);
    }

    /// Looks at or changes the children, while this life lasts. Short: it holds a lock.
    pub(crate) fn with_children<T>(&self, look: impl FnOnce(&mut Children) -> T) -> Option<T> {
        let mut books = self.books.lock();
        match books.phase {
            Phase::Starting | Phase::Running => Some(look(&mut books.children)),
            Phase::Ended => None,
        }
    }

    /// The same, and from here on a start function is at work.
    pub(crate) fn enter_start<T>(&self, look: impl FnOnce(&mut Children) -> T) -> Option<T> {
        let mut books = self.books.lock();
        match books.phase {
            Phase::Starting | Phase::Running => {
                books.in_start = true;
                Some(look(&mut books.children))
            }
            Phase::Ended => None,
        }
    }

    /// No start function is at work any more. An end that had to wait for this is told now.
    pub(crate) fn leave_start(&self) {
        let ending = {
            let mut books = self.books.lock();
            books.in_start = false;
            books.ending.take()
        };
        if let Some(ending) = ending {
            self.tell(ending);
        }
    }

    /// Ends this life now: all children are killed.
    pub(crate) fn kill(self: &Arc<Self>) {
        self.finish(ExitReason::Killed, true);
        if let Some(actor) = self.actor.get() {
            actor.kill();
        }
    }

    /// Ends this life. Its children are gone, unless it did not come to that: then they are killed.
    pub(crate) fn end(self: &Arc<Self>, reason: ExitReason) {
        let kill = !matches!(reason, ExitReason::Shutdown(_));
        self.finish(reason, kill);
    }

    /// The children that init named did not all start; the others were stopped again.
    pub(crate) fn abandon_start(self: &Arc<Self>) {
        self.finish(ExitReason::SHUTDOWN, false);
    }

    fn finish(self: &Arc<Self>, reason: ExitReason, kill: bool) {
        let (children, had_begun) = {
            let mut books = self.books.lock();
            let had_begun = match books.phase {
                Phase::Starting => false,
                Phase::Running => true,
                Phase::Ended => return,
            };
            books.phase = Phase::Ended;
            (std::mem::take(&mut books.children), had_begun)
        };
        self.calls.close();
        let mut children: Vec<Kept> = children.into_iter().flatten().collect();
        children.sort_by_key(|kept| kept.place);
        if had_begun {
            self.env().observer().report(&Report::SupervisorEnded {
                supervisor: self.path().clone(),
                pid: self.pid,
                reason: reason.clone(),
            });
        }
        if kill {
            for kept in &children {
                if let (Some(child), None) = (&kept.child, kept.settled) {
                    child.kill();
                }
            }
        }
        let ending = Ending {
            reason,
            had_begun,
            held: settle_all(children),
        };
        {
            let mut books = self.books.lock();
            if books.in_start {
                books.ending = Some(ending);
                drop(books);
                self.lose_patience_later();
                return;
            }
        }
        self.tell(ending);
    }

    /// Tells the end, should the start function at work not give way.
    fn lose_patience_later(self: &Arc<Self>) {
        let life = self.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(START_GIVES_WAY).await;
            life.leave_start();
        });
    }

    fn tell(&self, ending: Ending) {
        self.home.hold(ending.held);
        let first = self.home.next_pid().incarnation == Incarnation(1);
        if first || (ending.had_begun && self.link.is_root()) {
            // Nobody above will say what becomes of them.
            self.home.settle(Disposition::Removed);
        }
        if ending.had_begun {
            self.link.exited(self.pid, ending.reason);
        }
    }

    pub(crate) fn settle(&self, disposition: Disposition) {
        self.home.settle(disposition);
    }

    /// Keeps a child that started just when this life was ended by somebody else: it dies with it.
    pub(crate) fn too_late(&self, path: Path, child: HeldChild, is_static: bool) {
        child.kill();
        if is_static {
            child.settle(Disposition::SupervisorEnded);
            self.home.hold(vec![(path, child)]);
        } else {
            child.settle(Disposition::Removed);
        }
    }
}

/// Tells the children of an ended life what becomes of them, and returns those that may come back.
fn settle_all(children: Vec<Kept>) -> Vec<(Path, HeldChild)> {
    let mut held = Vec::new();
    for kept in children {
        let Some(child) = kept.child else { continue };
        if !kept.is_static {
            child.settle(Disposition::Removed);
            continue;
        }
        match kept.settled {
            None | Some(Disposition::Restarting) => child.settle(Disposition::SupervisorEnded),
            Some(
                Disposition::Stopped
                | Disposition::Ended
                | Disposition::SupervisorEnded
                | Disposition::Removed,
            ) => {}
        }
        held.push((kept.path, child));
    }
    held
}
