//! What the tests of this folder share: a counting agent and a small world around it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

pub mod puppet;

use std::future::Future;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use swarm_actors::*;
use swarm_protocols::{Name, Path};
use swarm_supervisors::{ChildSpec, Strategy, SupervisorFlags, SupervisorSpec};

pub const SECOND: Duration = Duration::from_secs(1);
pub const HOUR: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub struct Counter {
    pub total: u64,
    pub notes: Vec<u64>,
}

#[derive(Clone, Debug)]
pub enum Count {
    Add(u64),
    Get(ReplyTo<u64>),
    Note(u64),
    Notes(ReplyTo<Vec<u64>>),
    Panic,
    PanicOver(ReplyTo<u64>),
    PanicUnlessRestarted(u64),
    Fail,
    Hang,
    HangOver(ReplyTo<u64>),
    SendTo(AgentRef<Count>),
    SendThenPanic(AgentRef<Count>),
    After(Duration, u64),
    AfterCancelled(Duration, u64),
    Monitor(AnyRef),
    Link(AnyRef),
    Watch(AnyRef),
    Stop(swarm_protocols::ExitReason),
    SendNote(AgentRef<Count>, u64),
    SendNotes(AgentRef<Count>, u64),
    Join(Name),
    Leave(Name),
    Block(Duration),
    StashNote(u64),
    Unstash,
    AskSelf(ReplyTo<bool>),
    AskOther(AgentRef<Count>, ReplyTo<u64>),
}

impl Message for Count {
    fn copy(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Agent for Counter {
    type Message = Count;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, message: Count) -> Result<(), Failure> {
        match message {
            Count::Add(n) => self.total += n,
            Count::Get(reply) => turn.reply(reply, self.total),
            Count::Note(n) => self.notes.push(n),
            Count::Notes(reply) => turn.reply(reply, self.notes.clone()),
            Count::Panic | Count::PanicOver(_) => panic!("told to"),
            Count::PanicUnlessRestarted(n) => {
                assert!(turn.incarnation().0 > 1, "told to");
                self.total += n;
            }
            Count::Fail => return Err("told to".into()),
            Count::Hang | Count::HangOver(_) => std::future::pending().await,
            Count::SendTo(to) => turn.send(&to, Count::Add(1)),
            Count::SendThenPanic(to) => {
                turn.send(&to, Count::Add(1));
                panic!("told to");
            }
            Count::After(after, n) => {
                turn.schedule(after, Count::Add(n))?;
            }
            Count::AfterCancelled(after, n) => {
                let timer = turn.schedule(after, Count::Add(n))?;
                turn.cancel(timer);
            }
            Count::Monitor(target) => {
                turn.monitor(&target)?;
            }
            Count::Link(target) => turn.link(&target)?,
            Count::Watch(target) => turn.watch(&target)?,
            Count::Stop(reason) => turn.stop(reason),
            Count::SendNote(to, n) => turn.send(&to, Count::Note(n)),
            Count::SendNotes(to, count) => {
                for n in 0..count {
                    turn.send(&to, Count::Note(n));
                }
            }
            Count::Join(group) => turn.join(&group)?,
            Count::Leave(group) => turn.leave(&group),
            Count::Block(time) => std::thread::sleep(time),
            Count::StashNote(n) => turn.stash(Count::Note(n))?,
            Count::Unstash => turn.unstash_all(),
            Count::AskSelf(reply) => {
                let me = turn.me();
                let answer = turn.ask(&me, Count::Get, SECOND).await;
                turn.reply(reply, answer == Err(AskError::ToSelf));
            }
            Count::AskOther(other, reply) => {
                let answer = turn.ask(&other, Count::Get, SECOND).await?;
                turn.reply(reply, answer);
            }
        }
        Ok(())
    }

    async fn on_down(&mut self, _: &mut Turn<'_, Self>, down: Down) -> Result<(), Failure> {
        self.notes.push(10_000 + down.pid.incarnation.0);
        Ok(())
    }

    async fn on_watch(&mut self, _: &mut Turn<'_, Self>, watched: Watched) -> Result<(), Failure> {
        self.notes.push(match watched.event {
            WatchEvent::Restarted { incarnation } => 20_000 + incarnation.0,
            WatchEvent::Ended { .. } => 30_000,
        });
        Ok(())
    }
}

pub type Shape = Box<dyn FnOnce(AgentSpec<Counter>) -> AgentSpec<Counter>>;

pub fn kind(_: fn() -> Counter) -> Shape {
    Box::new(|spec| spec)
}

pub struct World {
    pub system: System,
}

impl World {
    pub async fn one(id: &'static str, _: fn() -> Counter) -> Self {
        Self::with(vec![(id, Box::new(|spec| spec))]).await
    }

    pub async fn new(agents: Vec<(&'static str, Shape)>) -> Self {
        Self::with(agents).await
    }

    pub async fn with(agents: Vec<(&'static str, Shape)>) -> Self {
        let system = system();
        let children = agents
            .into_iter()
            .map(|(id, shape)| {
                shape(AgentSpec::new(id, Counter::default).expect("a name")).child(&system)
            })
            .collect();
        Self::start(system, children).await
    }

    pub async fn start(system: System, children: Vec<ChildSpec>) -> Self {
        let flags = SupervisorFlags::new(Strategy::OneForOne).intensity(1000, SECOND);
        system
            .start_tree(SupervisorSpec::new(flags, children))
            .await
            .expect("started");
        Self { system }
    }

    pub fn agent(&self, id: &str) -> AgentRef<Count> {
        let path = Path::root().child(&Name::new(id).expect("a name"));
        self.system.lookup_typed(&path).expect("it is there")
    }
}

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub fn options() -> SystemOptions {
    let mut options = SystemOptions::new(name("test"), 1);
    options.watchdog = Watchdog::Task;
    options
}

pub fn system() -> System {
    System::new(options())
}

/// A runtime of one thread whose time passes only when nothing is left to do.
pub fn virtual_time() -> tokio::runtime::Builder {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true);
    builder
}

/// A runtime of three threads in real time.
pub fn real_time() -> tokio::runtime::Builder {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().worker_threads(3);
    builder
}

/// Runs `work` on a thread and a runtime of its own, and fails when it is not over within `limit` of real time: threads
/// that wait for each other, and tasks that never let go of theirs, cannot be cut off from within. They are left behind.
pub fn within<F>(
    limit: Duration,
    mut runtime: tokio::runtime::Builder,
    work: impl FnOnce() -> F + Send + 'static,
) where
    F: Future<Output = ()>,
{
    let (over, is_over) = mpsc::channel();
    let worker = thread::spawn(move || {
        runtime.build().expect("a runtime").block_on(work());
        let _ = over.send(());
    });
    match is_over.recv_timeout(limit) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Timeout) => {
            panic!("not over within {limit:?}: a deadlock, or a task that runs in circles")
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let panic = worker.join().expect_err("it said nothing");
            std::panic::resume_unwind(panic)
        }
    }
}

/// Waits until `condition` holds, at most a virtual minute.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("not within a minute: {what}");
}
