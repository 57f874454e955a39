//! This project: agents under a supervisor of their own system, with the default mailbox of 1024, turns and all.

use crate::measure::{Meter, resident_bytes};
use crate::rig::{Countdown, Histogram, block_on, paced};
use crate::sample::Sample;
use crate::subjects::figures::{growth_sample, latency_sample};
use crate::workload::{
    BOUND, Bench, CLIENTS, IN_FLIGHT, OFFERED, Payload, ROUTED, SENDERS, Scale, WITHIN, Xorshift,
    warm_up,
};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use swarm_actors::{
    Agent, AgentRef, AgentSpec, Failure, MailboxOptions, Message, ReplyTo, System, SystemOptions,
    Turn,
};
use swarm_protocols::{ExitReason, Name, Path};
use swarm_supervisors::{ChildSpec, Strategy, SupervisorFlags, SupervisorSpec};

mod acl;
mod fipa;
mod lives;

pub(crate) fn run(bench: Bench, scale: Scale) -> Sample {
    match bench {
        Bench::PingPong1 => block_on(ping_pong(1, scale.round_trips())),
        Bench::PingPong100 => block_on(ping_pong(100, scale.round_trips())),
        Bench::FanIn => block_on(fan_in(scale.fan_in())),
        Bench::Ask | Bench::AskDeadline => block_on(ask(scale.asks())),
        Bench::Restart => block_on(lives::restart(scale.crashes())),
        Bench::StartOnDemand => block_on(lives::start(scale.starts(), false)),
        Bench::StartAtOnce => block_on(lives::start(scale.starts(), true)),
        Bench::IdleAwake => block_on(lives::idle_awake(scale.idle())),
        Bench::IdleAsleep => block_on(lives::idle_asleep(scale.idle())),
        Bench::Kill1000 => block_on(lives::kill(scale.kill_rounds())),
        Bench::Tree => block_on(lives::tree(scale.trees())),
        Bench::RoutingPaced => block_on(routing_paced(scale)),
        Bench::RoutingFull => block_on(routing_full(scale.hops())),
        Bench::FlatMessages => block_on(flat_messages(scale.flat())),
        Bench::FlatRestarts => block_on(lives::flat_restarts(scale.flat())),
        Bench::AclParse => acl::parse(scale.acl_messages()),
        Bench::AclEmit => acl::emit(scale.acl_messages()),
        Bench::FipaHttp => block_on(fipa::ping_pong(scale.fipa_messages())),
    }
}

type Ended = Result<(), Failure>;

/// Far above any rate of crashes here.
fn flags() -> SupervisorFlags {
    SupervisorFlags::new(Strategy::OneForOne).intensity(1_000_000, Duration::from_secs(1))
}

/// A system of its own whose root supervises what `children` says.
async fn tree(children: impl Fn(&System) -> Vec<ChildSpec> + Send + Sync + 'static) -> System {
    let node = Name::new("bench").expect("bench is a name");
    let system = System::new(SystemOptions::new(node, 1));
    let inner = system.clone();
    let init = move || Ok::<_, ExitReason>(Some(SupervisorSpec::new(flags(), children(&inner))));
    system.start_tree(init).await.expect("the tree starts");
    system
}

/// A system with the replicas `agent-1` to `agent-count`.
async fn replicas<A: Agent>(
    count: u64,
    spec: impl Fn() -> AgentSpec<A> + Send + Sync + 'static,
) -> System {
    tree(move |system| spec().replicas(system, u32::try_from(count).expect("a count of agents")))
        .await
}

fn spec<A: Agent>(make: impl Fn() -> A + Send + Sync + 'static) -> AgentSpec<A> {
    AgentSpec::new("agent", make).expect("agent is a name")
}

fn find<M: Message>(system: &System, number: u64) -> AgentRef<M> {
    let path = Path::new(&format!("/agent-{number}")).expect("made of names");
    system
        .lookup_typed(&path)
        .expect("it was started with this type")
}

fn find_all<M: Message>(system: &System, count: u64) -> Vec<AgentRef<M>> {
    (1..=count).map(|number| find(system, number)).collect()
}

struct Player {
    done: Countdown,
    peer: Option<AgentRef<Play>>,
}

enum Play {
    Meet(AgentRef<Play>),
    Ball(u64),
}

impl Message for Play {}

impl Agent for Player {
    type Message = Play;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, message: Play) -> Ended {
        match (message, &self.peer) {
            (Play::Meet(peer), _) => self.peer = Some(peer),
            (Play::Ball(0), _) => self.done.hit(),
            (Play::Ball(left), Some(peer)) => turn.send(peer, Play::Ball(left - 1)),
            (Play::Ball(_), None) => {}
        }
        Ok(())
    }
}

async fn ping_pong(pairs: u64, trips: u64) -> Sample {
    let done = Countdown::new(pairs);
    let player = done.clone();
    let system = replicas(pairs * 2, move || {
        let done = player.clone();
        spec(move || Player {
            done: done.clone(),
            peer: None,
        })
    })
    .await;
    let players = find_all::<Play>(&system, pairs * 2);
    for pair in players.chunks(2) {
        pair[0]
            .send(Play::Meet(pair[1].clone()))
            .await
            .expect("the player lives");
        pair[1]
            .send(Play::Meet(pair[0].clone()))
            .await
            .expect("the player lives");
    }
    let round = async |trips: u64| {
        done.reset(pairs);
        let meter = Meter::start();
        for pair in players.chunks(2) {
            pair[0]
                .send(Play::Ball(trips / pairs * 2))
                .await
                .expect("the player lives");
        }
        done.wait().await;
        meter.stop()
    };
    round(warm_up(trips)).await;
    Sample::per_op(round(trips).await, trips)
}

impl Message for Payload {}

/// Reads `count` messages, checks their sum, says so, and begins anew.
struct Reader {
    count: u64,
    left: u64,
    sum: u64,
    done: Countdown,
}

impl Reader {
    fn new(count: u64, done: Countdown) -> Self {
        Self {
            count,
            left: count,
            sum: 0,
            done,
        }
    }
}

impl Agent for Reader {
    type Message = Payload;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: Payload) -> Ended {
        self.sum += message.value();
        self.left -= 1;
        if self.left == 0 {
            let each = self.count / SENDERS;
            assert_eq!(self.sum, SENDERS * (each * (each - 1) / 2));
            self.done.hit();
            (self.left, self.sum) = (self.count, 0);
        }
        Ok(())
    }
}

async fn reader(count: u64, done: &Countdown) -> (System, AgentRef<Payload>) {
    let done = done.clone();
    let system = replicas(1, move || {
        let done = done.clone();
        spec(move || Reader::new(count, done.clone()))
    })
    .await;
    let reader = find(&system, 1);
    (system, reader)
}

async fn fan_in(messages: u64) -> Sample {
    let round = async |messages: u64| {
        let done = Countdown::new(1);
        let (_system, reader) = reader(messages, &done).await;
        let meter = Meter::start();
        for _ in 0..SENDERS {
            let reader = reader.clone();
            tokio::spawn(async move {
                for value in 0..messages / SENDERS {
                    reader
                        .send(Payload::new(value))
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

/// One sender that the bound holds back.
async fn flat_messages(messages: u64) -> Sample {
    let batch = warm_up(messages);
    let done = Countdown::new(1);
    let (_system, reader) = reader(batch, &done).await;
    let round = async || {
        done.reset(1);
        for value in 0..batch {
            reader
                .send(Payload::new(value % (batch / SENDERS)))
                .await
                .expect("the reader lives");
        }
        done.wait().await;
    };
    round().await;
    let before = resident_bytes();
    let meter = Meter::start();
    for _ in 0..messages / batch {
        round().await;
    }
    growth_sample(before, resident_bytes(), meter.stop(), messages)
}

struct Oracle;

struct Question(u64, ReplyTo<u64>);

impl Message for Question {}

impl Agent for Oracle {
    type Message = Question;

    async fn handle(
        &mut self,
        turn: &mut Turn<'_, Self>,
        Question(question, answer): Question,
    ) -> Ended {
        turn.reply(answer, question + 1);
        Ok(())
    }
}

async fn ask(asks: u64) -> Sample {
    let system = replicas(1, || spec(|| Oracle)).await;
    let oracle = find::<Question>(&system, 1);
    let round = async |asks: u64| {
        let meter = Meter::start();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let oracle = oracle.clone();
                tokio::spawn(async move {
                    for question in 0..asks / CLIENTS {
                        let answer = oracle.ask(|port| Question(question, port), WITHIN).await;
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

type Routes = Arc<OnceLock<Vec<AgentRef<Hop>>>>;

struct Router(Routes, Countdown);

struct Hop {
    left: u64,
    choice: Xorshift,
}

impl Message for Hop {}

impl Agent for Router {
    type Message = Hop;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, mut hop: Hop) -> Ended {
        if hop.left == 0 {
            self.1.hit();
            return Ok(());
        }
        hop.left -= 1;
        let routes = self.0.get().expect("set before the first message");
        turn.send(&routes[hop.choice.index(ROUTED)], hop);
        Ok(())
    }
}

async fn routing_full(hops: u64) -> Sample {
    let done = Countdown::new(IN_FLIGHT);
    let routes = Routes::default();
    let shared = (routes.clone(), done.clone());
    let system = replicas(ROUTED as u64, move || {
        let (routes, done) = shared.clone();
        let capacity = IN_FLIGHT as u32;
        spec(move || Router(routes.clone(), done.clone())).mailbox(MailboxOptions {
            capacity,
            ..MailboxOptions::default()
        })
    })
    .await;
    let routers = find_all::<Hop>(&system, ROUTED as u64);
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
                .send(hop)
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

struct Sent(Instant);

impl Message for Sent {}

impl Agent for Timed {
    type Message = Sent;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, Sent(at): Sent) -> Ended {
        self.0.record(at.elapsed());
        self.1.hit();
        Ok(())
    }
}

async fn routing_paced(scale: Scale) -> Sample {
    let times = Arc::new(Histogram::new());
    let done = Countdown::new((scale.paced().as_secs_f64() * OFFERED as f64) as u64);
    let shared = (times.clone(), done.clone());
    let system = replicas(ROUTED as u64, move || {
        let (times, done) = shared.clone();
        let capacity = BOUND as u32;
        spec(move || Timed(times.clone(), done.clone())).mailbox(MailboxOptions {
            capacity,
            ..MailboxOptions::default()
        })
    })
    .await;
    let agents = find_all::<Sent>(&system, ROUTED as u64);
    let mut choice = Xorshift::new(1);
    let meter = Meter::start();
    let sent = paced(OFFERED, scale.paced(), move |_| {
        let sent = agents[choice.index(ROUTED)].try_send(Sent(Instant::now()));
        assert!(sent.is_ok(), "the load is far below the bound");
    })
    .await;
    done.wait().await;
    latency_sample(meter.stop(), sent, &times)
}
