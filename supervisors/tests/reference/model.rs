//! A plain model of otp.md's table: supervisors written as straight-line code that waits where OTP waits, children in a
//! list, restarts in a list of seconds. Slow and simple on purpose, and independent of the crate's own core.

use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use swarm_supervisors::scenario::{
    AutoShutdownWord as Auto, CallScript, CallWord, ChildScript, ExitWord, Happening, RestartWord,
    Scenario, ShutdownWord, StartWord, Step, StepEvent, StepReason, StrategyWord, SupervisorScript,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub(crate) fn play(scenario: &Scenario) -> Vec<Step> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        let world = Rc::new(World {
            start: Instant::now(),
            steps: RefCell::default(),
            processes: RefCell::default(),
            serial: Cell::new(0),
        });
        perform(&world, scenario).await;
        world.steps.take()
    }))
}

async fn perform(world: &Rc<World>, scenario: &Scenario) {
    let script = ChildScript {
        id: String::new(),
        restart: RestartWord::Temporary,
        shutdown: None,
        significant: false,
        start: vec![StartWord::Ok],
        stop_ms: 0,
        supervisor: Some(Box::new(scenario.supervisor.clone())),
    };
    let (above, _end) = mpsc::unbounded_channel();
    let root = start_child(world, &Role::new(&script), "/".into(), above)
        .await
        .ok();
    let mut entries = scenario.script.clone();
    entries.sort_by_key(|entry| entry.at_ms);
    for entry in entries {
        sleep_until(world.start + Duration::from_millis(entry.at_ms)).await;
        match entry.what {
            Happening::Exit { id, reason } => {
                let process = world.processes.borrow().get(&id).cloned();
                match (process, reason) {
                    (Some(process), ExitWord::Kill) => process.kill(world),
                    (Some(process), _) if process.supervisor.is_some() => {}
                    (Some(process), ExitWord::Normal) => process.end(world, StepReason::Normal),
                    (Some(process), ExitWord::Shutdown) => process.end(world, StepReason::Shutdown),
                    (Some(process), ExitWord::Crash) => process.end(world, StepReason::Crash),
                    (None, _) => {}
                }
            }
            Happening::Call(call) => {
                let path = match call.call {
                    CallWord::WhichChildren | CallWord::CountChildren => call.id.clone(),
                    _ => call
                        .id
                        .rsplit_once('/')
                        .map_or("/".into(), |(path, _)| path.into()),
                };
                let process = world.processes.borrow().get(&path).cloned();
                match process.and_then(|process| process.supervisor.clone()) {
                    Some(mailbox) => {
                        let _ = mailbox.send(Mail::Call(Asked {
                            world: world.clone(),
                            call,
                            answered: Cell::new(false),
                        }));
                    }
                    None => world.result(&call.id, json!({"error": "noproc"})),
                }
            }
            Happening::Shutdown => {
                if let Some(root) = &root {
                    root.tell_to_stop(world);
                }
            }
        }
    }
    sleep(Duration::from_secs(1_000_000)).await;
}

struct World {
    start: Instant,
    steps: RefCell<Vec<Step>>,
    processes: RefCell<BTreeMap<String, Rc<Process>>>,
    serial: Cell<u64>,
}

impl World {
    fn note(
        &self,
        event: StepEvent,
        id: &str,
        life: Option<u64>,
        reason: Option<StepReason>,
        value: Option<Value>,
    ) {
        self.steps.borrow_mut().push(Step {
            t: self.start.elapsed().as_millis() as u64,
            event,
            id: id.to_owned(),
            incarnation: life,
            reason,
            value,
        });
    }

    fn result(&self, id: &str, value: Value) {
        self.note(StepEvent::Result, id, None, None, Some(value));
    }
}

enum Mail {
    Exit(u64, StepReason),
    Call(Asked),
    TryAgain(Again),
    Shutdown,
}

enum Again {
    Id(String),
    /// Which instance, and which of its starts failed.
    Instance(Rc<Role>, usize),
}

/// A call; whoever dies with it in the mailbox answers `noproc` (S112).
struct Asked {
    world: Rc<World>,
    call: CallScript,
    answered: Cell<bool>,
}

impl Asked {
    fn answer(&self, value: Value) {
        if !self.answered.replace(true) {
            self.world.result(&self.call.id, value);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.answer(json!({"error": "noproc"}));
    }
}

/// A supervisor that dies while it is starting takes what it has started with it.
struct Starting(Rc<World>, Rc<Process>);

impl Drop for Starting {
    fn drop(&mut self) {
        for slot in &*self.1.children.borrow() {
            if let Pid::Alive(process) = &slot.pid {
                process.kill(&self.0);
            }
        }
    }
}

/// What one child is over all its lives.
struct Role {
    script: ChildScript,
    starts: Cell<usize>,
    lives: Cell<u64>,
    children: Vec<Rc<Role>>,
}

impl Role {
    fn new(script: &ChildScript) -> Rc<Self> {
        Rc::new(Self {
            script: script.clone(),
            starts: Cell::new(0),
            lives: Cell::new(0),
            children: script
                .supervisor
                .iter()
                .flat_map(|nested| nested.children.iter().map(Role::new))
                .collect(),
        })
    }

    /// The child is gone for good: what comes under its name later is another one.
    fn forget(&self) {
        self.lives.set(0);
        for child in &self.children {
            child.forget();
        }
    }
}

struct Process {
    serial: u64,
    path: String,
    life: u64,
    stop: Duration,
    above: mpsc::UnboundedSender<Mail>,
    /// The mailbox, where it is a supervisor.
    supervisor: Option<mpsc::UnboundedSender<Mail>>,
    children: RefCell<Vec<Slot>>,
    task: RefCell<Option<tokio::task::AbortHandle>>,
    /// Whether its task is starting a child.
    in_start: Cell<bool>,
    dead: watch::Sender<Option<StepReason>>,
}

impl Process {
    fn is_alive(&self) -> bool {
        self.dead.borrow().is_none()
    }

    fn end(&self, world: &World, reason: StepReason) {
        if self.is_alive() {
            self.note_end(world, reason);
            let _ = self.above.send(Mail::Exit(self.serial, reason));
        }
    }

    fn note_end(&self, world: &World, reason: StepReason) {
        self.dead.send_replace(Some(reason));
        world.processes.borrow_mut().remove(&self.path);
        world.note(
            StepEvent::Exited,
            &self.path,
            Some(self.life),
            Some(reason),
            None,
        );
    }

    /// S52: no ordered shutdown; the children die with it.
    fn kill(&self, world: &World) {
        if !self.is_alive() {
            return;
        }
        if self.in_start.get() {
            // Its end is told when what is being started is gone: see `Told`.
            self.note_end(world, StepReason::Killed);
        } else {
            self.end(world, StepReason::Killed);
        }
        if let Some(task) = &*self.task.borrow() {
            task.abort();
        }
        for slot in &*self.children.borrow() {
            if let Pid::Alive(process) = &slot.pid {
                process.kill(world);
            }
        }
    }

    fn tell_to_stop(self: &Rc<Self>, world: &Rc<World>) {
        if !self.is_alive() {
            return;
        }
        world.note(StepEvent::Stopping, &self.path, Some(self.life), None, None);
        match &self.supervisor {
            Some(mailbox) => {
                let _ = mailbox.send(Mail::Shutdown);
            }
            None if self.stop.is_zero() => self.end(world, StepReason::Shutdown),
            None => {
                let (process, world) = (self.clone(), world.clone());
                tokio::task::spawn_local(async move {
                    sleep(process.stop).await;
                    process.end(&world, StepReason::Shutdown);
                });
            }
        }
    }

    async fn gone(&self) {
        let mut dead = self.dead.subscribe();
        let _ = dead.wait_for(Option::is_some).await;
    }
}

#[derive(Clone)]
enum Pid {
    Alive(Rc<Process>),
    Undefined,
    Restarting,
}

#[derive(Clone)]
struct Slot {
    name: String,
    role: Rc<Role>,
    pid: Pid,
}

impl Slot {
    fn restart(&self) -> RestartWord {
        self.role.script.restart
    }
}

enum NotStarted {
    Error,
    Ignore,
}

/// A start function: returns when init is done (S05, S12).
fn start_child<'a>(
    world: &'a Rc<World>,
    role: &'a Rc<Role>,
    path: String,
    above: mpsc::UnboundedSender<Mail>,
) -> Pin<Box<dyn Future<Output = Result<Rc<Process>, NotStarted>> + 'a>> {
    Box::pin(async move {
        let life = role.lives.get() + 1;
        let nth = role.starts.replace(role.starts.get() + 1);
        let outcomes = &role.script.start;
        world.note(StepEvent::Start, &path, Some(life), None, None);
        let failed = |reason| {
            world.note(
                StepEvent::StartFailed,
                &path,
                Some(life),
                Some(reason),
                None,
            );
        };
        match outcomes[nth.min(outcomes.len() - 1)] {
            StartWord::Error => {
                failed(StepReason::Error);
                return Err(NotStarted::Error);
            }
            StartWord::Ignore => {
                failed(StepReason::Ignore);
                return Err(NotStarted::Ignore);
            }
            StartWord::Ok => {}
        }
        let (mailbox, mail) = mpsc::unbounded_channel();
        let serial = world.serial.replace(world.serial.get() + 1);
        let process = Rc::new(Process {
            serial,
            path: path.clone(),
            life,
            stop: Duration::from_millis(role.script.stop_ms),
            above,
            supervisor: role.script.supervisor.is_some().then(|| mailbox.clone()),
            children: RefCell::default(),
            task: RefCell::default(),
            in_start: Cell::new(false),
            dead: watch::Sender::new(None),
        });
        if let Some(flags) = &role.script.supervisor {
            let supervisor = Supervisor {
                world: world.clone(),
                me: process.clone(),
                mailbox,
                mail,
                flags: (**flags).clone(),
                template: role.children.first().cloned(),
                restarts: Vec::new(),
            };
            let starting = Starting(world.clone(), process.clone());
            let Some(supervisor) = supervisor.init(&role.children).await else {
                if life == 1 {
                    role.forget();
                }
                failed(StepReason::Error);
                return Err(NotStarted::Error);
            };
            std::mem::forget(starting);
            let task = tokio::task::spawn_local(supervisor.live());
            *process.task.borrow_mut() = Some(task.abort_handle());
        }
        role.lives.set(life);
        world
            .processes
            .borrow_mut()
            .insert(path.clone(), process.clone());
        world.note(StepEvent::Started, &path, Some(life), None, None);
        Ok(process)
    })
}

/// Tells the end of a supervisor that was killed in the middle of a start when that start is gone.
struct Told(Rc<Process>);

impl Drop for Told {
    fn drop(&mut self) {
        if self.0.in_start.get() {
            let _ = self
                .0
                .above
                .send(Mail::Exit(self.0.serial, StepReason::Killed));
        }
    }
}

struct Supervisor {
    world: Rc<World>,
    me: Rc<Process>,
    mailbox: mpsc::UnboundedSender<Mail>,
    mail: mpsc::UnboundedReceiver<Mail>,
    flags: SupervisorScript,
    template: Option<Rc<Role>>,
    restarts: Vec<u64>,
}

/// Whether the supervisor goes on.
#[derive(PartialEq)]
enum Then {
    Go,
    End,
}

impl Supervisor {
    fn is_simple(&self) -> bool {
        self.flags.strategy == StrategyWord::SimpleOneForOne
    }

    fn path_of(&self, name: &str) -> String {
        match self.me.path.as_str() {
            "/" => name.to_owned(),
            path => format!("{path}/{name}"),
        }
    }

    async fn start(&self, slot: &Slot) -> Result<Rc<Process>, NotStarted> {
        self.me.in_start.set(true);
        let path = self.path_of(&slot.name);
        let result = start_child(&self.world, &slot.role, path, self.mailbox.clone()).await;
        self.me.in_start.set(false);
        result
    }

    /// S05, S06, S14, S15.
    async fn init(self, roles: &[Rc<Role>]) -> Option<Self> {
        if self.is_simple() {
            return Some(self);
        }
        for role in roles {
            let mut slot = Slot {
                name: role.script.id.clone(),
                role: role.clone(),
                pid: Pid::Undefined,
            };
            match self.start(&slot).await {
                Ok(process) => slot.pid = Pid::Alive(process),
                Err(NotStarted::Ignore) if slot.restart() == RestartWord::Temporary => {
                    role.forget();
                    continue;
                }
                Err(NotStarted::Ignore) => {}
                Err(NotStarted::Error) => {
                    let started = self.me.children.borrow().len();
                    for at in (0..started).rev() {
                        self.terminate(at).await;
                    }
                    return None;
                }
            }
            self.me.children.borrow_mut().push(slot);
        }
        Some(self)
    }

    async fn live(mut self) {
        let _told = Told(self.me.clone());
        loop {
            let Some(mail) = self.mail.recv().await else {
                return;
            };
            let then = match mail {
                Mail::Exit(serial, reason) => self.on_exit(serial, reason).await,
                Mail::TryAgain(again) => self.on_try_again(again).await,
                Mail::Call(asked) => {
                    if let Some(value) = self.on_call(&asked.call).await {
                        asked.answer(value);
                    }
                    Then::Go
                }
                Mail::Shutdown => Then::End,
            };
            if then == Then::End {
                self.terminate_all().await;
                self.me.end(&self.world, StepReason::Shutdown);
                return;
            }
        }
    }

    fn find(&self, matches: impl Fn(&Slot) -> bool) -> Option<usize> {
        self.me.children.borrow().iter().position(matches)
    }

    fn slot(&self, at: usize) -> Slot {
        self.me.children.borrow()[at].clone()
    }

    fn set(&self, at: usize, pid: Pid) {
        self.me.children.borrow_mut()[at].pid = pid;
    }

    fn remove(&self, at: usize) {
        self.me.children.borrow_mut().remove(at).role.forget();
    }

    /// S53 to S60.
    async fn on_exit(&mut self, serial: u64, reason: StepReason) -> Then {
        let mine = |slot: &Slot| matches!(&slot.pid, Pid::Alive(p) if p.serial == serial);
        let Some(at) = self.find(mine) else {
            return Then::Go;
        };
        let slot = self.slot(at);
        let clean = matches!(reason, StepReason::Normal | StepReason::Shutdown);
        match slot.restart() {
            RestartWord::Permanent => return self.restart(at).await,
            RestartWord::Transient if !clean => return self.restart(at).await,
            RestartWord::Transient | RestartWord::Temporary => {}
        }
        if self.is_simple() || slot.restart() == RestartWord::Temporary {
            self.remove(at);
        } else {
            self.set(at, Pid::Undefined);
        }
        // S134 to S146.
        if !slot.role.script.significant {
            return Then::Go;
        }
        let others =
            self.find(|slot| slot.role.script.significant && !matches!(slot.pid, Pid::Undefined));
        match self.flags.auto_shutdown {
            Auto::AnySignificant => Then::End,
            Auto::AllSignificant if others.is_none() => Then::End,
            Auto::AllSignificant | Auto::Never => Then::Go,
        }
    }

    async fn on_try_again(&mut self, again: Again) -> Then {
        let found = self.find(|slot| {
            matches!(slot.pid, Pid::Restarting)
                && match &again {
                    Again::Id(id) => slot.name == *id,
                    Again::Instance(role, start) => {
                        Rc::ptr_eq(role, &slot.role) && role.starts.get() == *start
                    }
                }
        });
        match found {
            Some(at) => self.restart(at).await,
            None => Then::Go,
        }
    }

    /// A6.
    fn add_restart(&mut self) -> bool {
        let now = self.world.start.elapsed().as_secs();
        let period = self.flags.period_ms.div_ceil(1000);
        self.restarts.retain(|t| *t + period >= now);
        self.restarts.push(now);
        self.restarts.len() <= self.flags.intensity as usize
    }

    async fn restart(&mut self, at: usize) -> Then {
        if !self.add_restart() {
            self.world.note(
                StepEvent::GaveUp,
                &self.me.path,
                Some(self.me.life),
                None,
                None,
            );
            if self.is_simple() {
                self.remove(at);
            } else {
                self.set(at, Pid::Undefined);
            }
            return Then::End;
        }
        self.set(at, Pid::Undefined);
        let first = match self.flags.strategy {
            StrategyWord::OneForOne | StrategyWord::SimpleOneForOne => {
                return self.restart_one(at).await;
            }
            StrategyWord::RestForOne => at,
            StrategyWord::OneForAll => 0,
        };
        // S87, S91: the last one first, one at a time; temporary ones do not come back (S61).
        let mut n = self.me.children.borrow().len();
        while n > first {
            n -= 1;
            self.terminate(n).await;
            if self.slot(n).restart() == RestartWord::Temporary {
                self.remove(n);
            }
        }
        let count = self.me.children.borrow().len();
        for n in first..count {
            let slot = self.slot(n);
            match self.start(&slot).await {
                Ok(process) => self.set(n, Pid::Alive(process)),
                Err(NotStarted::Ignore) => {}
                Err(NotStarted::Error) => {
                    self.set(n, Pid::Restarting);
                    let _ = self.mailbox.send(Mail::TryAgain(Again::Id(slot.name)));
                    break;
                }
            }
        }
        Then::Go
    }

    async fn restart_one(&mut self, at: usize) -> Then {
        let slot = self.slot(at);
        match self.start(&slot).await {
            Ok(process) => self.set(at, Pid::Alive(process)),
            // S102, S85.
            Err(NotStarted::Ignore) if self.is_simple() => self.remove(at),
            Err(NotStarted::Ignore) => {}
            Err(NotStarted::Error) => {
                self.set(at, Pid::Restarting);
                let again = if self.is_simple() {
                    Again::Instance(slot.role.clone(), slot.role.starts.get())
                } else {
                    Again::Id(slot.name)
                };
                let _ = self.mailbox.send(Mail::TryAgain(again));
            }
        }
        Then::Go
    }

    /// Stops one child as its spec says; its slot is undefined afterwards.
    async fn terminate(&self, at: usize) {
        let slot = self.slot(at);
        if let Pid::Alive(process) = &slot.pid {
            match shutdown_of(&slot.role.script) {
                ShutdownWord::BrutalKill => process.kill(&self.world),
                ShutdownWord::Infinity => {
                    process.tell_to_stop(&self.world);
                    process.gone().await;
                }
                ShutdownWord::Ms(ms) => {
                    process.tell_to_stop(&self.world);
                    if timeout(Duration::from_millis(ms), process.gone())
                        .await
                        .is_err()
                    {
                        process.kill(&self.world);
                    }
                }
            }
        }
        self.set(at, Pid::Undefined);
    }

    async fn terminate_all(&self) {
        let count = self.me.children.borrow().len();
        if !self.is_simple() {
            for at in (0..count).rev() {
                self.terminate(at).await;
            }
            return;
        }
        // S44: all at once, one timer.
        let mut alive: Vec<Rc<Process>> = (0..count)
            .filter_map(|at| match self.slot(at).pid {
                Pid::Alive(process) => Some(process),
                Pid::Undefined | Pid::Restarting => None,
            })
            .collect();
        alive.sort_by_key(|process| process.serial);
        let Some(template) = &self.template else {
            return;
        };
        match shutdown_of(&template.script) {
            ShutdownWord::BrutalKill => {
                for process in &alive {
                    process.kill(&self.world);
                }
            }
            ShutdownWord::Infinity => {
                for process in &alive {
                    process.tell_to_stop(&self.world);
                }
                for process in &alive {
                    process.gone().await;
                }
            }
            ShutdownWord::Ms(ms) => {
                for process in &alive {
                    process.tell_to_stop(&self.world);
                }
                let all = async {
                    for process in &alive {
                        process.gone().await;
                    }
                };
                if timeout(Duration::from_millis(ms), all).await.is_err() {
                    for process in &alive {
                        process.kill(&self.world);
                    }
                }
            }
        }
    }

    /// A9.
    async fn on_call(&mut self, call: &CallScript) -> Option<Value> {
        let name = call.id.rsplit('/').next().unwrap_or_default().to_owned();
        let found = self.find(|slot| slot.name == name);
        let error = |word: &str| Some(json!({ "error": word }));
        match call.call {
            CallWord::StartChild => self.on_start_child(call, name, found).await,
            CallWord::TerminateChild => {
                let Some(at) = found else {
                    return error("not_found");
                };
                self.terminate(at).await;
                if self.is_simple() || self.slot(at).restart() == RestartWord::Temporary {
                    self.remove(at);
                }
                Some(json!("ok"))
            }
            CallWord::RestartChild | CallWord::DeleteChild if self.is_simple() => {
                error("simple_one_for_one")
            }
            CallWord::RestartChild | CallWord::DeleteChild => {
                let Some(at) = found else {
                    return error("not_found");
                };
                let slot = self.slot(at);
                match slot.pid {
                    Pid::Alive(_) => return error("running"),
                    Pid::Restarting => return error("restarting"),
                    Pid::Undefined => {}
                }
                if call.call == CallWord::DeleteChild {
                    self.remove(at);
                    return Some(json!("ok"));
                }
                match self.start(&slot).await {
                    Ok(process) => {
                        self.set(at, Pid::Alive(process));
                        Some(json!("ok"))
                    }
                    Err(NotStarted::Ignore) => Some(json!("ignore")),
                    Err(NotStarted::Error) => error("start_failed"),
                }
            }
            CallWord::WhichChildren => {
                let children = self.me.children.borrow();
                let rows = children.iter().rev().map(|slot| {
                    let state = match &slot.pid {
                        Pid::Alive(_) => "running",
                        Pid::Undefined => "stopped",
                        Pid::Restarting => "restarting",
                    };
                    json!([slot.name, state])
                });
                Some(Value::Array(rows.collect()))
            }
            CallWord::CountChildren => {
                let children = self.me.children.borrow();
                let count = |matches: &dyn Fn(&Slot) -> bool| {
                    children.iter().filter(|slot| matches(slot)).count()
                };
                let is_supervisor = |slot: &Slot| slot.role.script.supervisor.is_some();
                Some(json!({
                    "specs": if self.is_simple() { 1 } else { children.len() },
                    "active": count(&|slot| matches!(&slot.pid, Pid::Alive(p) if p.is_alive())),
                    "supervisors": count(&is_supervisor),
                    "workers": count(&|slot| !is_supervisor(slot)),
                }))
            }
        }
    }

    async fn on_start_child(
        &mut self,
        call: &CallScript,
        name: String,
        found: Option<usize>,
    ) -> Option<Value> {
        let error = |word: &str| Some(json!({ "error": word }));
        let role = match (&call.spec, self.is_simple()) {
            (Some(_), true) | (None, false) => return error("invalid"),
            (Some(spec), false) => {
                let never = self.flags.auto_shutdown == Auto::Never;
                if spec.significant && (never || spec.restart == RestartWord::Permanent) {
                    return error("invalid");
                }
                Role::new(spec)
            }
            (None, true) => Role::new(&self.template.as_ref()?.script),
        };
        if let Some(at) = found {
            return match self.slot(at).pid {
                Pid::Alive(_) => error("already_started"),
                Pid::Undefined | Pid::Restarting => error("already_present"),
            };
        }
        let mut slot = Slot {
            name,
            role,
            pid: Pid::Undefined,
        };
        let value = match self.start(&slot).await {
            Ok(process) => {
                slot.pid = Pid::Alive(process);
                json!("ok")
            }
            Err(NotStarted::Ignore)
                if self.is_simple() || slot.restart() == RestartWord::Temporary =>
            {
                return Some(json!("ignore"));
            }
            Err(NotStarted::Ignore) => json!("ignore"),
            Err(NotStarted::Error) => return error("start_failed"),
        };
        self.me.children.borrow_mut().push(slot);
        Some(value)
    }
}

fn shutdown_of(script: &ChildScript) -> ShutdownWord {
    script.shutdown.unwrap_or(match script.supervisor {
        Some(_) => ShutdownWord::Infinity,
        None => ShutdownWord::Ms(5000),
    })
}
