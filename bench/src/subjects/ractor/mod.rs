//! ractor: the crate underneath. It has no bounded mailbox and no restart, so its senders never wait, and where a crash
//! is part of the bench a supervisor written here starts a new actor and repeats what was lost.
//!
//! This file is compiled twice: here with this workspace's features of ractor, in `ractor-default` with its default ones.

use crate::measure::{Meter, resident_bytes};
use crate::rig::{Countdown, Histogram, block_on, paced};
use crate::sample::Sample;
use crate::subjects::figures::{growth_sample, latency_sample};
use crate::workload::{
    Bench, CLIENTS, IN_FLIGHT, OFFERED, Payload, ROUTED, SENDERS, Scale, WITHIN, Xorshift, warm_up,
};
use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

mod lives;

pub(crate) fn run(bench: Bench, scale: Scale) -> Option<Sample> {
    Some(match bench {
        Bench::PingPong1 => block_on(ping_pong(1, scale.round_trips())),
        Bench::PingPong100 => block_on(ping_pong(100, scale.round_trips())),
        Bench::FanIn => block_on(fan_in(scale.fan_in())),
        Bench::Ask => block_on(ask(scale.asks(), None)),
        Bench::AskDeadline => block_on(ask(scale.asks(), Some(WITHIN))),
        Bench::Restart => block_on(lives::restart(scale.crashes())),
        Bench::StartOnDemand | Bench::StartAtOnce => block_on(lives::start(scale.starts())),
        Bench::IdleAwake => block_on(lives::idle(scale.idle())),
        Bench::IdleAsleep | Bench::AclParse | Bench::AclEmit | Bench::FipaHttp => return None,
        Bench::Kill1000 => block_on(lives::kill(scale.kill_rounds())),
        Bench::Tree => block_on(lives::tree(scale.trees())),
        Bench::RoutingPaced => block_on(routing_paced(scale)),
        Bench::RoutingFull => block_on(routing_full(scale.hops())),
        Bench::FlatMessages => block_on(flat_messages(scale.flat())),
        Bench::FlatRestarts => block_on(lives::flat_restarts(scale.flat())),
    })
}

type Ended = Result<(), ActorProcessingErr>;

async fn spawn<A: Actor>(actor: A, args: A::Arguments) -> ActorRef<A::Msg> {
    A::spawn(None, actor, args)
        .await
        .expect("an actor without a name starts")
        .0
}

struct Player;

enum Play {
    Meet(ActorRef<Play>),
    Ball(u64),
}

impl Actor for Player {
    type Msg = Play;
    type State = (Countdown, Option<ActorRef<Play>>);
    type Arguments = Countdown;

    async fn pre_start(
        &self,
        _: ActorRef<Play>,
        done: Countdown,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok((done, None))
    }

    async fn handle(
        &self,
        _: ActorRef<Play>,
        message: Play,
        (done, peer): &mut Self::State,
    ) -> Ended {
        match (message, peer) {
            (Play::Meet(other), peer) => *peer = Some(other),
            (Play::Ball(0), _) => done.hit(),
            (Play::Ball(left), Some(peer)) => peer.send_message(Play::Ball(left - 1))?,
            (Play::Ball(_), None) => {}
        }
        Ok(())
    }
}

async fn ping_pong(pairs: u64, trips: u64) -> Sample {
    let done = Countdown::new(pairs);
    let mut players = Vec::new();
    for _ in 0..pairs {
        let first = spawn(Player, done.clone()).await;
        let second = spawn(Player, done.clone()).await;
        first
            .send_message(Play::Meet(second.clone()))
            .expect("the player lives");
        second
            .send_message(Play::Meet(first.clone()))
            .expect("the player lives");
        players.push(first);
    }
    let round = async |trips: u64| {
        done.reset(pairs);
        let meter = Meter::start();
        for first in &players {
            first
                .send_message(Play::Ball(trips / pairs * 2))
                .expect("the player lives");
        }
        done.wait().await;
        meter.stop()
    };
    round(warm_up(trips)).await;
    Sample::per_op(round(trips).await, trips)
}

struct Reader;

/// Reads `count` messages, checks their sum, says so, and begins anew.
struct Read {
    count: u64,
    left: u64,
    sum: u64,
    done: Countdown,
}

impl Read {
    fn new(count: u64, done: Countdown) -> Self {
        Self {
            count,
            left: count,
            sum: 0,
            done,
        }
    }
}

impl Actor for Reader {
    type Msg = Payload;
    type State = Read;
    type Arguments = Read;

    async fn pre_start(
        &self,
        _: ActorRef<Payload>,
        read: Read,
    ) -> Result<Read, ActorProcessingErr> {
        Ok(read)
    }

    async fn handle(&self, _: ActorRef<Payload>, message: Payload, read: &mut Read) -> Ended {
        read.sum += message.value();
        read.left -= 1;
        if read.left == 0 {
            assert_eq!(read.sum, expected_sum(read.count));
            read.done.hit();
            (read.left, read.sum) = (read.count, 0);
        }
        Ok(())
    }
}

/// What the sum of all payloads must be when each sender counts up from nought.
fn expected_sum(messages: u64) -> u64 {
    let each = messages / SENDERS;
    SENDERS * (each * (each - 1) / 2)
}

async fn fan_in(messages: u64) -> Sample {
    let round = async |messages: u64| {
        let done = Countdown::new(1);
        let reader = spawn(Reader, Read::new(messages, done.clone())).await;
        let meter = Meter::start();
        for _ in 0..SENDERS {
            let reader = reader.clone();
            tokio::spawn(async move {
                for value in 0..messages / SENDERS {
                    reader
                        .send_message(Payload::new(value))
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

/// One sender that is held back after each thousand, as there is no bound that would do it.
async fn flat_messages(messages: u64) -> Sample {
    let batch = 1000;
    let done = Countdown::new(1);
    let reader = spawn(Reader, Read::new(batch, done.clone())).await;
    let round = async |messages: u64| {
        for _ in 0..messages / batch {
            for value in 0..batch {
                reader
                    .send_message(Payload::new(value % (batch / SENDERS)))
                    .expect("the reader lives");
            }
            done.wait().await;
            done.reset(1);
        }
    };
    round(warm_up(messages)).await;
    let before = resident_bytes();
    let meter = Meter::start();
    round(messages).await;
    growth_sample(before, resident_bytes(), meter.stop(), messages)
}

struct Oracle;

struct Question(u64, RpcReplyPort<u64>);

impl Actor for Oracle {
    type Msg = Question;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Question>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Question>,
        Question(question, answer): Question,
        (): &mut (),
    ) -> Ended {
        let _ = answer.send(question + 1);
        Ok(())
    }
}

async fn ask(asks: u64, within: Option<Duration>) -> Sample {
    let oracle = spawn(Oracle, ()).await;
    let round = async |asks: u64| {
        let meter = Meter::start();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let oracle = oracle.clone();
                tokio::spawn(async move {
                    for question in 0..asks / CLIENTS {
                        let answer = oracle.call(|port| Question(question, port), within).await;
                        assert!(matches!(answer, Ok(CallResult::Success(answer)) if answer == question + 1));
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

struct Router;

#[derive(Clone)]
struct Hop {
    left: u64,
    choice: Xorshift,
}

type Routes = Arc<OnceLock<Vec<ActorRef<Hop>>>>;

impl Actor for Router {
    type Msg = Hop;
    type State = (Routes, Countdown);
    type Arguments = (Routes, Countdown);

    async fn pre_start(
        &self,
        _: ActorRef<Hop>,
        state: Self::State,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<Hop>,
        mut hop: Hop,
        (routes, done): &mut Self::State,
    ) -> Ended {
        if hop.left == 0 {
            done.hit();
            return Ok(());
        }
        hop.left -= 1;
        let routes = routes.get().expect("set before the first message");
        routes[hop.choice.index(ROUTED)].send_message(hop)?;
        Ok(())
    }
}

async fn routing_full(hops: u64) -> Sample {
    let done = Countdown::new(IN_FLIGHT);
    let routes = Routes::default();
    let mut routers = Vec::new();
    for _ in 0..ROUTED {
        routers.push(spawn(Router, (routes.clone(), done.clone())).await);
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
                .send_message(hop)
                .expect("every router lives");
        }
        done.wait().await;
        meter.stop()
    };
    round(warm_up(hops)).await;
    let spent = round(hops).await;
    Sample::per_op(spent, hops).with_rate("messages/s", spent, hops)
}

struct Timed;

impl Actor for Timed {
    type Msg = Instant;
    type State = (Arc<Histogram>, Countdown);
    type Arguments = Self::State;

    async fn pre_start(
        &self,
        _: ActorRef<Instant>,
        state: Self::State,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<Instant>,
        sent: Instant,
        (times, done): &mut Self::State,
    ) -> Ended {
        times.record(sent.elapsed());
        done.hit();
        Ok(())
    }
}

async fn routing_paced(scale: Scale) -> Sample {
    let times = Arc::new(Histogram::new());
    let done = Countdown::new((scale.paced().as_secs_f64() * OFFERED as f64) as u64);
    let mut agents = Vec::new();
    for _ in 0..ROUTED {
        agents.push(spawn(Timed, (times.clone(), done.clone())).await);
    }
    let mut choice = Xorshift::new(1);
    let meter = Meter::start();
    let sent = paced(OFFERED, scale.paced(), move |_| {
        agents[choice.index(ROUTED)]
            .send_message(Instant::now())
            .expect("every agent lives");
    })
    .await;
    done.wait().await;
    latency_sample(meter.stop(), sent, &times)
}
