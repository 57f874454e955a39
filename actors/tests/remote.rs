//! Agents of two systems in one process, joined by a transport of the test's own: what crosses nodes works as it does on one.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;
use swarm_actors::testkit::TestSystem;
use swarm_actors::{
    Agent, AgentRef, AgentSpec, AnyRef, AskError, Down, Exit, Failure, MailboxOptions, Message,
    MessageCodec, NotCarried, NotSent, Parcel, ReplyTo, SystemOptions, Transport, Turn, Watchdog,
    Watched, WeakSystem, WhenFull, Window,
};
use swarm_protocols::{AclMessage, Address, ExitReason, Name, Performative};
use swarm_supervisors::Restart;
use tokio::sync::mpsc;

const SOON: Duration = Duration::from_secs(30);

fn name(text: &str) -> Name {
    Name::new(text).expect("valid")
}

/// The wires between the systems of a test. Each direction carries so many parcels at most that were not handled.
#[derive(Clone, Default)]
struct Net(Arc<Mutex<NetState>>);

#[derive(Default)]
struct NetState {
    wires: BTreeMap<(Name, Name), mpsc::UnboundedSender<Parcel>>,
    under_way: BTreeMap<(Name, Name), usize>,
    most: usize,
    wakers: Vec<Waker>,
    is_cut: bool,
    /// Taken over while it is held: neither delivered nor refused.
    is_held: bool,
    held: Vec<Parcel>,
}

struct End {
    net: Net,
    me: Name,
}

struct Room(Net, (Name, Name));

/// How many bytes were released.
#[derive(Default)]
struct Released(AtomicUsize);

impl Window for Released {
    fn release(&self, _: Address, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Window for Room {
    fn release(&self, _: Address, _: usize) {
        let wakers = {
            let mut net = self.0.0.lock();
            if let Some(count) = net.under_way.get_mut(&self.1) {
                *count -= 1;
            }
            std::mem::take(&mut net.wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }
}

impl Transport for End {
    fn carry(&self, node: &Name, parcel: Parcel, waker: Option<&Waker>) -> Result<(), NotCarried> {
        let mut net = self.net.0.lock();
        let wire = (self.me.clone(), node.clone());
        if net.is_cut || !net.wires.contains_key(&wire) {
            return Err(NotCarried::Unreachable(parcel));
        }
        if net.is_held {
            net.held.push(parcel);
            return Ok(());
        }
        let most = net.most;
        let count = net.under_way.entry(wire.clone()).or_default();
        if *count >= most {
            net.wakers.extend(waker.cloned());
            return Err(NotCarried::Full(parcel));
        }
        *count += 1;
        net.wires[&wire].send(parcel).expect("the pump runs");
        Ok(())
    }
}

impl Net {
    fn join(&self, system: &TestSystem) {
        let me = system.node().clone();
        assert!(system.attach(Arc::new(End {
            net: self.clone(),
            me,
        })));
    }

    fn connect(&self, from: &TestSystem, to: &TestSystem) {
        let wire = (from.node().clone(), to.node().clone());
        let (sender, mut parcels) = mpsc::unbounded_channel();
        self.0.lock().wires.insert(wire.clone(), sender);
        let to: WeakSystem = to.downgrade();
        let room: Arc<dyn Window> = Arc::new(Room(self.clone(), wire.clone()));
        tokio::spawn(async move {
            while let Some(parcel) = parcels.recv().await {
                let Some(system) = to.upgrade() else { return };
                // What is there already arrives together, as from a link.
                let mut together = vec![parcel];
                while let Ok(parcel) = parcels.try_recv() {
                    together.push(parcel);
                }
                system.arrive(&wire.0, together, &room);
            }
        });
    }

    fn lose(&self, a: &TestSystem, b: &TestSystem) {
        let held = {
            let mut net = self.0.lock();
            net.is_cut = true;
            std::mem::take(&mut net.held)
        };
        a.node_lost(b.node(), held);
        b.node_lost(a.node(), Vec::new());
    }
}

async fn system(called: &str, seed: u64) -> TestSystem {
    let mut options = SystemOptions::new(name(called), seed);
    options.watchdog = Watchdog::Task;
    TestSystem::start_with(options).await
}

async fn two() -> (Net, TestSystem, TestSystem) {
    two_with(1000).await
}

async fn two_with(most: usize) -> (Net, TestSystem, TestSystem) {
    let (a, b) = (system("a", 1).await, system("b", 2).await);
    let net = Net::default();
    net.0.lock().most = most;
    net.join(&a);
    net.join(&b);
    net.connect(&a, &b);
    net.connect(&b, &a);
    (net, a, b)
}

/// A reference from `here` to an agent of another system.
fn seen_from<M: Message>(
    here: &TestSystem,
    there: &TestSystem,
    agent: &AgentRef<M>,
) -> AgentRef<M> {
    any_from(here, there, &agent.any())
        .typed()
        .expect("its messages have a codec")
}

fn any_from(here: &TestSystem, there: &TestSystem, agent: &AnyRef) -> AnyRef {
    here.remote(there.node(), agent.address(), Some(agent.path()))
}

/// Adds up, and does what else a test wants.
struct Counter {
    sum: u64,
    seen: mpsc::UnboundedSender<u64>,
}

#[derive(Serialize, Deserialize)]
enum Say {
    Add(u64),
    Get(ReplyTo<u64>),
    Drop(ReplyTo<u64>),
    Crash(Option<ReplyTo<u64>>),
    Sleep(Duration),
    /// So many messages to an address, and then an end.
    TellAndEnd(Address, u64),
}

impl Message for Say {
    fn codec() -> Option<MessageCodec<Self>> {
        Some(MessageCodec::postcard("test.say", 1))
    }
}

impl Agent for Counter {
    type Message = Say;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, say: Say) -> Result<(), Failure> {
        match say {
            Say::Add(n) => {
                self.sum += n;
                let _ = self.seen.send(n);
            }
            Say::Get(reply) => turn.reply(reply, self.sum),
            Say::Drop(reply) => drop(reply),
            Say::Crash(_) => panic!("as it was told"),
            Say::Sleep(time) => tokio::time::sleep(time).await,
            Say::TellAndEnd(to, count) => {
                let to = turn.system().find(to).expect("it has sent something");
                let to = to.typed::<Report>().expect("it has a codec");
                for n in 0..count {
                    turn.send(&to, Report::Note(n));
                }
                turn.stop(ExitReason::Shutdown(Some("done".into())));
            }
        }
        Ok(())
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        let mut answer = message.reply(Performative::Inform);
        answer.content.clone_from(&message.content);
        turn.answer(answer);
        Ok(())
    }
}

struct Counting {
    agent: AgentRef<Say>,
    seen: mpsc::UnboundedReceiver<u64>,
}

async fn counter_with(system: &TestSystem, id: &str, mailbox: MailboxOptions) -> Counting {
    let (sender, seen) = mpsc::unbounded_channel();
    let spec = AgentSpec::new(id, move || Counter {
        sum: 0,
        seen: sender.clone(),
    })
    .expect("a name")
    .mailbox(mailbox)
    .turn_deadline(None)
    .restart(Restart::Transient);
    let agent = system.spawn(spec).await.expect("starts");
    Counting { agent, seen }
}

async fn counter(system: &TestSystem, id: &str) -> Counting {
    counter_with(system, id, MailboxOptions::default()).await
}

/// Bonds with others and tells the test what it hears.
struct Bonding {
    heard: mpsc::UnboundedSender<Heard>,
}

#[derive(Debug, PartialEq)]
enum Heard {
    Note(u64),
    Down(Address, ExitReason),
    Exit(Address, ExitReason),
    Watch(Address, String),
}

#[derive(Serialize, Deserialize)]
enum Report {
    Note(u64),
    #[serde(skip)]
    Monitor(AnyRef),
    #[serde(skip)]
    Link(AnyRef),
    #[serde(skip)]
    Watch(AnyRef),
    #[serde(skip)]
    Tell(AgentRef<Say>, Say),
    #[serde(skip)]
    Stop,
}

impl Message for Report {
    fn codec() -> Option<MessageCodec<Self>> {
        Some(MessageCodec::postcard("test.report", 1))
    }
}

impl Agent for Bonding {
    type Message = Report;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, report: Report) -> Result<(), Failure> {
        match report {
            Report::Note(n) => drop(self.heard.send(Heard::Note(n))),
            Report::Monitor(target) => drop(turn.monitor(&target)?),
            Report::Link(target) => turn.link(&target)?,
            Report::Watch(target) => turn.watch(&target)?,
            Report::Tell(to, say) => turn.send(&to, say),
            Report::Stop => turn.stop(ExitReason::error_text("told to")),
        }
        Ok(())
    }

    async fn on_down(&mut self, _: &mut Turn<'_, Self>, down: Down) -> Result<(), Failure> {
        drop(self.heard.send(Heard::Down(down.pid.address, down.reason)));
        Ok(())
    }

    async fn on_exit(&mut self, _: &mut Turn<'_, Self>, exit: Exit) -> Result<(), Failure> {
        drop(self.heard.send(Heard::Exit(exit.pid.address, exit.reason)));
        Ok(())
    }

    async fn on_watch(&mut self, _: &mut Turn<'_, Self>, watched: Watched) -> Result<(), Failure> {
        let event = format!("{:?}", watched.event);
        let word = event
            .split([' ', '('])
            .next()
            .unwrap_or_default()
            .to_owned();
        drop(self.heard.send(Heard::Watch(watched.address, word)));
        Ok(())
    }
}

struct Bonded {
    agent: AgentRef<Report>,
    heard: mpsc::UnboundedReceiver<Heard>,
}

impl Bonded {
    async fn start(system: &TestSystem, id: &str) -> Self {
        let (sender, heard) = mpsc::unbounded_channel();
        let spec = AgentSpec::new(id, move || Bonding {
            heard: sender.clone(),
        })
        .expect("a name")
        .restart(Restart::Temporary);
        let agent = system.spawn(spec).await.expect("starts");
        Self { agent, heard }
    }

    async fn tell(&self, report: Report) {
        self.agent.send(report).await.expect("taken");
    }

    async fn hears(&mut self) -> Heard {
        tokio::time::timeout(SOON, self.heard.recv())
            .await
            .expect("hears something")
            .expect("lives")
    }

    async fn hears_nothing_more(&mut self) {
        let more = tokio::time::timeout(SOON, self.heard.recv()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

/// Until it holds, in virtual time.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn get(agent: &AgentRef<Say>) -> Result<u64, AskError> {
    agent.ask(Say::Get, SOON).await
}

#[tokio::test(start_paused = true)]
async fn native_messages_and_asks_cross_nodes_in_order() {
    let (_net, a, b) = two_with(4).await;
    let mut counting = counter(&b, "counter").await;
    let far = seen_from(&a, &b, &counting.agent);
    for n in 0..200 {
        far.send(Say::Add(n)).await.expect("taken");
    }
    assert_eq!(get(&far).await, Ok((0..200).sum()));
    for n in 0..200 {
        assert_eq!(counting.seen.recv().await, Some(n));
    }
}

#[tokio::test(start_paused = true)]
async fn acl_asks_cross_nodes() {
    let (_net, a, b) = two().await;
    let counting = counter(&b, "counter").await;
    let far = any_from(&a, &b, &counting.agent.any());
    let mut question = AclMessage::new(Performative::QueryRef);
    question.content = Some(b"how much".to_vec());
    let answer = far.ask_acl(question, SOON).await.expect("an answer");
    assert_eq!(answer.performative, Performative::Inform);
    assert_eq!(answer.content, Some(b"how much".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_gets_no_answer_says_why() {
    let (_net, a, b) = two().await;
    let counting = counter(&b, "counter").await;
    let far = seen_from(&a, &b, &counting.agent);
    assert!(matches!(
        far.ask(|reply| Say::Crash(Some(reply)), SOON).await,
        Err(AskError::Crashed(ExitReason::Panic(_)))
    ));
    assert_eq!(far.ask(Say::Drop, SOON).await, Err(AskError::NoReply));
    let nobody = a.remote(b.node(), Address(77), None);
    assert_eq!(
        nobody
            .ask_acl(AclMessage::new(Performative::Request), SOON)
            .await
            .err(),
        Some(AskError::NoProc)
    );
    let nowhere = a.remote(&name("c"), Address(77), None);
    assert_eq!(
        nowhere
            .send_acl(AclMessage::new(Performative::Inform))
            .await,
        Err(NotSent::Unreachable)
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_monitored_agent_arrives_once_behind_what_it_sent() {
    let (_net, a, b) = two_with(3).await;
    let counting = counter(&b, "counter").await;
    let far = seen_from(&a, &b, &counting.agent);
    let mut watcher = Bonded::start(&a, "watcher").await;
    watcher.tell(Report::Monitor(far.any())).await;
    let me = watcher.agent.address();
    watcher
        .tell(Report::Tell(far.clone(), Say::TellAndEnd(me, 20)))
        .await;
    for n in 0..20 {
        assert_eq!(watcher.hears().await, Heard::Note(n));
    }
    let done = ExitReason::Shutdown(Some("done".into()));
    assert_eq!(watcher.hears().await, Heard::Down(far.address(), done));
    // Who monitors what is over is told at once.
    watcher.tell(Report::Monitor(far.any())).await;
    assert_eq!(
        watcher.hears().await,
        Heard::Down(far.address(), ExitReason::NoProc)
    );
    watcher.hears_nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn a_link_ends_both_sides_whichever_ends_first() {
    let (_net, a, b) = two().await;
    let mut left = Bonded::start(&a, "left").await;
    let mut right = Bonded::start(&b, "right").await;
    let to_right = any_from(&a, &b, &right.agent.any());
    left.tell(Report::Link(to_right.clone())).await;
    let right_ends = async {
        // The link is set when something behind it in the same pair has arrived.
        let mark = seen_from(&a, &b, &right.agent);
        mark.send(Report::Note(1)).await.expect("taken");
        assert_eq!(right.hears().await, Heard::Note(1));
        right.tell(Report::Stop).await;
        left.hears().await
    };
    assert_eq!(
        right_ends.await,
        Heard::Exit(right.agent.address(), ExitReason::error_text("told to"))
    );
    // And the other way round.
    let mut right = Bonded::start(&b, "right-2").await;
    let to_right = any_from(&a, &b, &right.agent.any());
    left.tell(Report::Link(to_right)).await;
    left.tell(Report::Stop).await;
    assert_eq!(
        right.hears().await,
        Heard::Exit(left.agent.address(), ExitReason::error_text("told to"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_of_restarts_and_of_the_end() {
    let (_net, a, b) = two().await;
    let counting = counter(&b, "counter").await;
    let far = seen_from(&a, &b, &counting.agent);
    let mut watcher = Bonded::start(&a, "watcher").await;
    watcher.tell(Report::Watch(far.any())).await;
    let mut outside = far.any().watch();
    // Both are set when something behind them has been answered.
    watcher.tell(Report::Tell(far.clone(), Say::Add(1))).await;
    assert_eq!(get(&far).await.ok().map(|sum| sum <= 1), Some(true));
    far.send(Say::Crash(None)).await.expect("taken");
    let address = far.address();
    assert_eq!(
        watcher.hears().await,
        Heard::Watch(address, "Restarted".to_owned())
    );

    b.stop(counting.agent.path()).await.expect("stops");
    b.tree()
        .delete_child(name("counter"))
        .await
        .expect("deletes");
    assert_eq!(
        watcher.hears().await,
        Heard::Watch(address, "Ended".to_owned())
    );
    assert!(outside.recv().await.is_some());
    watcher.hears_nothing_more().await;
}

#[tokio::test(start_paused = true)]
async fn exit_and_kill_reach_an_agent_of_another_node() {
    let (_net, a, b) = two().await;
    let counting = counter(&b, "counter").await;
    let far = any_from(&a, &b, &counting.agent.any());
    let end = far.monitor();
    far.kill();
    let down = tokio::time::timeout(SOON, end).await.expect("fires");
    assert_eq!(down.expect("told").reason, ExitReason::Killed);
    let end = far.monitor();
    far.exit(ExitReason::error_text("enough"));
    let down = tokio::time::timeout(SOON, end).await.expect("fires");
    assert_eq!(down.expect("told").reason, ExitReason::error_text("enough"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_fails_asks_and_fires_every_bond_once_with_unreachable() {
    let (net, a, b) = two().await;
    let counting = counter(&b, "counter").await;
    let far = seen_from(&a, &b, &counting.agent);
    let mut watcher = Bonded::start(&a, "watcher").await;
    watcher.tell(Report::Monitor(far.any())).await;
    watcher.tell(Report::Link(far.any())).await;
    watcher.tell(Report::Watch(far.any())).await;
    let outside = far.any().monitor();
    far.send(Say::Sleep(Duration::from_secs(3600)))
        .await
        .expect("taken");
    let asking = tokio::spawn({
        let far = far.clone();
        async move { far.ask(Say::Get, Duration::from_secs(7200)).await }
    });
    // Until the ask is under way, nothing is lost of it.
    until("the ask is under way", || {
        counting.agent.any().mailbox_depth() > 0
    })
    .await;
    net.0.lock().is_held = true;
    far.send(Say::Add(5)).await.expect("taken over");
    net.lose(&a, &b);
    assert_eq!(asking.await.expect("ends"), Err(AskError::Unreachable));
    assert_eq!(outside.await.expect("told").reason, ExitReason::Unreachable);
    let address = far.address();
    let mut heard = vec![
        watcher.hears().await,
        watcher.hears().await,
        watcher.hears().await,
    ];
    heard.sort_by_key(|heard| format!("{heard:?}"));
    assert_eq!(
        heard,
        [
            Heard::Down(address, ExitReason::Unreachable),
            Heard::Exit(address, ExitReason::Unreachable),
            Heard::Watch(address, "Ended".to_owned()),
        ]
    );
    net.lose(&a, &b);
    watcher.hears_nothing_more().await;
    let dead = a.dead_letters().list();
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0].cause.as_str(), "unreachable");
    assert_eq!(
        far.send(Say::Add(1)).await.map_err(|e| e.why),
        Err(NotSent::Unreachable)
    );
    // What is monitored while the node is lost has ended, as far as anybody can know.
    watcher.tell(Report::Monitor(far.any())).await;
    assert_eq!(
        watcher.hears().await,
        Heard::Down(address, ExitReason::Unreachable)
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_agent_slows_its_senders_on_other_nodes_and_order_holds() {
    let (net, a, b) = two_with(10).await;
    let small = MailboxOptions {
        capacity: 2,
        when_full: WhenFull::Wait,
        ..MailboxOptions::default()
    };
    let mut counting = counter_with(&b, "counter", small).await;
    let far = seen_from(&a, &b, &counting.agent);
    far.send(Say::Sleep(Duration::from_secs(60)))
        .await
        .expect("taken");
    let mut taken = 1;
    while far.try_send(Say::Add(taken)).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 10, "as many as the way has room for");
    let end = far.any().monitor();
    // The order to end waits behind what waits for room.
    far.any().exit(ExitReason::error_text("enough"));
    far.send(Say::Add(100)).await.expect("room after a minute");
    for n in 1..10 {
        assert_eq!(counting.seen.recv().await, Some(n));
    }
    let down = tokio::time::timeout(SOON, end).await.expect("fires");
    assert_eq!(down.expect("told").reason, ExitReason::error_text("enough"));
    assert_eq!(counting.seen.recv().await, Some(100), "the next life's");
    // All room is given back in the end.
    until("all room is given back", || {
        net.0.lock().under_way.values().all(|count| *count == 0)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_room_is_dropped_with_its_node_before_the_news_of_it() {
    let (net, a, b) = two().await;
    let watcher_mailbox = MailboxOptions {
        capacity: 1,
        when_full: WhenFull::Wait,
        ..MailboxOptions::default()
    };
    let mut counting = counter_with(&b, "counter", watcher_mailbox).await;
    let far = seen_from(&a, &b, &counting.agent);
    far.send(Say::Sleep(Duration::from_secs(60)))
        .await
        .expect("taken");
    for n in 1..10 {
        far.send(Say::Add(n)).await.expect("taken");
    }
    until("one is in the mailbox", || {
        counting.agent.any().mailbox_depth() == 1
    })
    .await;
    net.lose(&a, &b);
    assert_eq!(counting.seen.recv().await, Some(1), "it was in the mailbox");
    assert_eq!(
        tokio::time::timeout(SOON, counting.seen.recv()).await.ok(),
        None
    );
    assert_eq!(b.dead_letters().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_type_is_a_dead_letter_where_it_arrives() {
    let (_net, a, b) = two().await;
    let counting = counter(&b, "counter").await;
    let wrong: AgentRef<Report> = any_from(&a, &b, &counting.agent.any())
        .typed()
        .expect("nobody knows better here");
    wrong.send(Report::Note(1)).await.expect("taken over");
    until("a dead letter", || !b.dead_letters().is_empty()).await;
    assert_eq!(b.dead_letters().list()[0].cause.as_str(), "rejected");
    assert_eq!(get(&seen_from(&a, &b, &counting.agent)).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn nonsense_from_another_node_changes_nothing_and_takes_no_room() {
    let (_net, a, b) = two().await;
    let counting = counter(&b, "counter").await;
    let released = Arc::new(Released::default());
    let window: Arc<dyn Window> = released.clone();
    let bodies = [vec![], vec![1], vec![9, 9, 9], vec![1; 300], vec![1, 4, 0]];
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    for body in bodies {
        let parcel = Parcel {
            sender: Address(5),
            receiver: counting.agent.address(),
            body: body.into(),
        };
        b.arrive(a.node(), [parcel], &window);
    }
    assert_eq!(released.0.load(Ordering::Relaxed), bytes);
    assert_eq!(get(&seen_from(&a, &b, &counting.agent)).await, Ok(0));
}
