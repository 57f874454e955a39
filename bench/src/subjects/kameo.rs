//! kameo: another actor library on tokio, with bounded mailboxes, and with supervision that keeps a mailbox over a restart.

use crate::measure::{Meter, resident_bytes};
use crate::rig::{Countdown, CrashClock, Histogram, block_on, paced, silence_panics};
use crate::sample::Sample;
use crate::subjects::figures::{
    idle_sample, latency_sample, restart_sample, rounds_sample, start_sample,
};
use crate::workload::{
    BOUND, Bench, CLIENTS, IN_FLIGHT, OFFERED, Payload, ROUTED, SENDERS, Scale, VICTIMS, WITHIN,
    Xorshift, warm_up,
};
use kameo::actor::{Actor, ActorRef, Spawn};
use kameo::error::Infallible;
use kameo::mailbox;
use kameo::message::{Context, Message};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub(crate) fn run(bench: Bench, scale: Scale) -> Option<Sample> {
    Some(match bench {
        Bench::PingPong1 => block_on(ping_pong(1, scale.round_trips())),
        Bench::PingPong100 => block_on(ping_pong(100, scale.round_trips())),
        Bench::FanIn => block_on(fan_in(scale.fan_in())),
        Bench::Ask => block_on(ask(scale.asks(), None)),
        Bench::AskDeadline => block_on(ask(scale.asks(), Some(WITHIN))),
        Bench::Restart => block_on(restart(scale.crashes())),
        Bench::StartOnDemand | Bench::StartAtOnce => block_on(start(scale.starts())),
        Bench::IdleAwake => block_on(idle(scale.idle())),
        Bench::Kill1000 => block_on(kill(scale.kill_rounds())),
        Bench::RoutingPaced => block_on(routing_paced(scale)),
        Bench::RoutingFull => block_on(routing_full(scale.hops())),
        Bench::IdleAsleep
        | Bench::Tree
        | Bench::FlatMessages
        | Bench::FlatRestarts
        | Bench::AclParse
        | Bench::AclEmit
        | Bench::FipaHttp => return None,
    })
}

/// An actor whose arguments are itself.
macro_rules! actor {
    ($name:ident) => {
        impl Actor for $name {
            type Args = Self;
            type Error = Infallible;

            async fn on_start(state: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
                Ok(state)
            }
        }
    };
}

struct Player {
    done: Countdown,
    peer: Option<ActorRef<Player>>,
}

actor!(Player);

struct Meet(ActorRef<Player>);

struct Ball(u64);

impl Message<Meet> for Player {
    type Reply = ();

    async fn handle(&mut self, Meet(peer): Meet, _: &mut Context<Self, ()>) {
        self.peer = Some(peer);
    }
}

impl Message<Ball> for Player {
    type Reply = ();

    async fn handle(&mut self, Ball(left): Ball, _: &mut Context<Self, ()>) {
        match &self.peer {
            _ if left == 0 => self.done.hit(),
            Some(peer) => peer
                .tell(Ball(left - 1))
                .send()
                .await
                .expect("the player lives"),
            None => {}
        }
    }
}

async fn ping_pong(pairs: u64, trips: u64) -> Sample {
    let done = Countdown::new(pairs);
    let mut players = Vec::new();
    for _ in 0..pairs {
        let player = || Player {
            done: done.clone(),
            peer: None,
        };
        let first = Player::spawn_with_mailbox(player(), mailbox::unbounded());
        let second = Player::spawn_with_mailbox(player(), mailbox::unbounded());
        first
            .tell(Meet(second.clone()))
            .send()
            .await
            .expect("the player lives");
        second
            .tell(Meet(first.clone()))
            .send()
            .await
            .expect("the player lives");
        players.push(first);
    }
    let round = async |trips: u64| {
        done.reset(pairs);
        let meter = Meter::start();
        for first in &players {
            first
                .tell(Ball(trips / pairs * 2))
                .send()
                .await
                .expect("the player lives");
        }
        done.wait().await;
        meter.stop()
    };
    round(warm_up(trips)).await;
    Sample::per_op(round(trips).await, trips)
}

struct Reader {
    left: u64,
    sum: u64,
    expected: u64,
    done: Countdown,
}

actor!(Reader);

impl Message<Payload> for Reader {
    type Reply = ();

    async fn handle(&mut self, message: Payload, _: &mut Context<Self, ()>) {
        self.sum += message.value();
        self.left -= 1;
        if self.left == 0 {
            assert_eq!(self.sum, self.expected);
            self.done.hit();
        }
    }
}

async fn fan_in(messages: u64) -> Sample {
    let round = async |messages: u64| {
        let done = Countdown::new(1);
        let each = messages / SENDERS;
        let expected = SENDERS * (each * (each - 1) / 2);
        let reader = Reader {
            left: messages,
            sum: 0,
            expected,
            done: done.clone(),
        };
        let reader = Reader::spawn_with_mailbox(reader, mailbox::bounded(BOUND));
        let meter = Meter::start();
        for _ in 0..SENDERS {
            let reader = reader.clone();
            tokio::spawn(async move {
                for value in 0..each {
                    reader
                        .tell(Payload::new(value))
                        .send()
                        .await
                        .expect("the reader lives");
                }
            });
        }
        done.wait().await;
        meter.stop()
    };
    round(warm_up(messages)).await;
    let spent = round(messages).await;
    Sample::per_op(spent, messages).with_rate("messages/s", spent, messages)
}

struct Oracle;

actor!(Oracle);

struct Question(u64);

impl Message<Question> for Oracle {
    type Reply = u64;

    async fn handle(&mut self, Question(question): Question, _: &mut Context<Self, u64>) -> u64 {
        question + 1
    }
}

async fn ask(asks: u64, within: Option<Duration>) -> Sample {
    let oracle = Oracle::spawn_with_mailbox(Oracle, mailbox::bounded(BOUND));
    let round = async |asks: u64| {
        let meter = Meter::start();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let oracle = oracle.clone();
                tokio::spawn(async move {
                    for question in 0..asks / CLIENTS {
                        let answer = match within {
                            None => oracle.ask(Question(question)).send().await,
                            Some(within) => {
                                oracle
                                    .ask(Question(question))
                                    .reply_timeout(within)
                                    .send()
                                    .await
                            }
                        };
                        assert!(matches!(answer, Ok(answer) if answer == question + 1));
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.expect("every answer is right");
        }
        meter.stop()
    };
    round(warm_up(asks)).await;
    let spent = round(asks).await;
    Sample::per_op(spent, asks).with_rate("asks/s", spent, asks)
}

/// Only supervises.
struct Supervisor;

actor!(Supervisor);

#[derive(Clone)]
struct Fragile(CrashClock);

actor!(Fragile);

struct Crash;

struct Probe;

impl Message<Crash> for Fragile {
    type Reply = ();

    async fn handle(&mut self, _: Crash, _: &mut Context<Self, ()>) {
        self.0.crash()
    }
}

impl Message<Probe> for Fragile {
    type Reply = ();

    async fn handle(&mut self, _: Probe, _: &mut Context<Self, ()>) {
        self.0.recovered();
    }
}

async fn restart(crashes: u64) -> Sample {
    silence_panics();
    let clock = CrashClock::new();
    let supervisor = Supervisor::spawn(Supervisor);
    let fragile = Fragile::supervise(&supervisor, Fragile(clock.clone()))
        .restart_limit(u32::MAX, Duration::from_secs(1))
        .spawn_with_mailbox(mailbox::bounded(BOUND))
        .await;
    // Of what arrives before a start is done, all that comes after a crash is lost: so one crash at a time.
    fragile.wait_for_startup().await;
    let round = async |crashes: u64| {
        let meter = Meter::start();
        for _ in 0..crashes {
            clock.expect(1);
            fragile
                .tell(Crash)
                .send()
                .await
                .expect("the mailbox outlives a crash");
            fragile
                .tell(Probe)
                .send()
                .await
                .expect("the mailbox outlives a crash");
            clock.wait().await;
        }
        meter.stop()
    };
    round(warm_up(crashes)).await;
    let spent = round(crashes).await;
    restart_sample(spent, crashes, clock.recoveries())
}

#[derive(Clone)]
struct Idle(Countdown);

actor!(Idle);

impl Message<u64> for Idle {
    type Reply = ();

    async fn handle(&mut self, _: u64, _: &mut Context<Self, ()>) {
        self.0.hit();
    }
}

async fn start(agents: u64) -> Sample {
    let round = async |agents: u64| {
        let supervisor = Supervisor::spawn(Supervisor);
        let meter = Meter::start();
        let mut children = Vec::with_capacity(agents as usize);
        for _ in 0..agents {
            children.push(
                Idle::supervise(&supervisor, Idle(Countdown::new(0)))
                    .spawn()
                    .await,
            );
        }
        for child in &children {
            child.wait_for_startup().await;
        }
        let spent = meter.stop();
        std::mem::forget((supervisor, children));
        spent
    };
    round(warm_up(agents)).await;
    start_sample(round(agents).await, agents)
}

async fn idle(agents: u64) -> Sample {
    let supervisor = Supervisor::spawn(Supervisor);
    let start = async |count: u64| {
        let done = Countdown::new(count);
        let mut children = Vec::with_capacity(count as usize);
        for _ in 0..count {
            children.push(
                Idle::supervise(&supervisor, Idle(done.clone()))
                    .spawn()
                    .await,
            );
        }
        for child in &children {
            child.tell(1_u64).send().await.expect("the child lives");
        }
        done.wait().await;
        children
    };
    let warm = start(warm_up(agents)).await;
    let before = resident_bytes();
    let all = start(agents).await;
    idle_sample(before, resident_bytes(), agents, (warm, all))
}

#[derive(Clone)]
struct Victim(Countdown);

impl Actor for Victim {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(state: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        state.0.hit();
        Ok(state)
    }
}

async fn kill(rounds: usize) -> Sample {
    let mut spent = Vec::new();
    for round in 0..=rounds {
        let up = Countdown::new(VICTIMS as u64);
        let supervisor = Supervisor::spawn(Supervisor);
        let mut children = Vec::new();
        for _ in 0..VICTIMS {
            let child = Victim::supervise(&supervisor, Victim(up.clone()));
            children.push(
                child
                    .restart_limit(u32::MAX, Duration::from_secs(1))
                    .spawn()
                    .await,
            );
        }
        up.wait().await;
        up.reset(VICTIMS as u64);
        let meter = Meter::start();
        for child in &children {
            child.kill();
        }
        up.wait().await;
        let took = meter.stop();
        supervisor.kill();
        if round > 0 {
            spent.push(took);
        }
    }
    rounds_sample(Sample::default(), "all-back", &spent)
}

type Routes = Arc<OnceLock<Vec<ActorRef<Router>>>>;

struct Router(Routes, Countdown);

actor!(Router);

struct Hop {
    left: u64,
    choice: Xorshift,
}

impl Message<Hop> for Router {
    type Reply = ();

    async fn handle(&mut self, mut hop: Hop, _: &mut Context<Self, ()>) {
        if hop.left == 0 {
            self.1.hit();
            return;
        }
        hop.left -= 1;
        let routes = self.0.get().expect("set before the first message");
        routes[hop.choice.index(ROUTED)]
            .tell(hop)
            .send()
            .await
            .expect("every router lives");
    }
}

async fn routing_full(hops: u64) -> Sample {
    let done = Countdown::new(IN_FLIGHT);
    let routes = Routes::default();
    let mut routers = Vec::new();
    for _ in 0..ROUTED {
        let router = Router(routes.clone(), done.clone());
        routers.push(Router::spawn_with_mailbox(
            router,
            mailbox::bounded(IN_FLIGHT as usize),
        ));
    }
    assert!(routes.set(routers.clone()).is_ok());
    let round = async |hops: u64| {
        done.reset(IN_FLIGHT);
        let meter = Meter::start();
        for token in 0..IN_FLIGHT {
            let hop = Hop {
                left: hops / IN_FLIGHT - 1,
                choice: Xorshift::new(token + 1),
            };
            routers[token as usize % ROUTED]
                .tell(hop)
                .send()
                .await
                .expect("every router lives");
        }
        done.wait().await;
        meter.stop()
    };
    round(warm_up(hops)).await;
    let spent = round(hops).await;
    Sample::per_op(spent, hops).with_rate("messages/s", spent, hops)
}

struct Timed(Arc<Histogram>, Countdown);

actor!(Timed);

impl Message<Instant> for Timed {
    type Reply = ();

    async fn handle(&mut self, sent: Instant, _: &mut Context<Self, ()>) {
        self.0.record(sent.elapsed());
        self.1.hit();
    }
}

async fn routing_paced(scale: Scale) -> Sample {
    let times = Arc::new(Histogram::new());
    let done = Countdown::new((scale.paced().as_secs_f64() * OFFERED as f64) as u64);
    let agents: Vec<_> = (0..ROUTED)
        .map(|_| {
            Timed::spawn_with_mailbox(Timed(times.clone(), done.clone()), mailbox::bounded(BOUND))
        })
        .collect();
    let mut choice = Xorshift::new(1);
    let meter = Meter::start();
    let sent = paced(OFFERED, scale.paced(), move |_| {
        let agent = &agents[choice.index(ROUTED)];
        agent
            .tell(Instant::now())
            .try_send()
            .expect("the load is far below the bound");
    })
    .await;
    done.wait().await;
    latency_sample(meter.stop(), sent, &times)
}
