//! Bare tokio: a task that reads a channel. No supervision, no addresses: the floor that an actor library stands on.

use crate::measure::{Meter, resident_bytes};
use crate::rig::{Countdown, Histogram, block_on, paced};
use crate::sample::Sample;
use crate::subjects::figures::{idle_sample, latency_sample};
use crate::workload::{
    BOUND, Bench, CLIENTS, IN_FLIGHT, OFFERED, Payload, ROUTED, SENDERS, Scale, WITHIN, Xorshift,
    warm_up,
};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

pub(crate) fn run(bench: Bench, scale: Scale) -> Option<Sample> {
    Some(match bench {
        Bench::PingPong1 => block_on(ping_pong(1, scale.round_trips())),
        Bench::PingPong100 => block_on(ping_pong(100, scale.round_trips())),
        Bench::FanIn => block_on(fan_in(scale.fan_in())),
        Bench::Ask => block_on(ask(scale.asks(), None)),
        Bench::AskDeadline => block_on(ask(scale.asks(), Some(WITHIN))),
        Bench::IdleAwake => block_on(idle(scale.idle())),
        Bench::RoutingPaced => block_on(routing_paced(scale)),
        Bench::RoutingFull => block_on(routing_full(scale.hops())),
        _ => return None,
    })
}

type Ball = mpsc::UnboundedSender<u64>;

async fn player(mut balls: mpsc::UnboundedReceiver<u64>, peer: Ball, done: Countdown) {
    while let Some(left) = balls.recv().await {
        if left == 0 {
            done.hit();
        } else {
            let _ = peer.send(left - 1);
        }
    }
}

async fn ping_pong(pairs: u64, trips: u64) -> Sample {
    let done = Countdown::new(pairs);
    let mut players = Vec::new();
    for _ in 0..pairs {
        let (first, first_balls) = mpsc::unbounded_channel();
        let (second, second_balls) = mpsc::unbounded_channel();
        tokio::spawn(player(first_balls, second, done.clone()));
        tokio::spawn(player(second_balls, first.clone(), done.clone()));
        players.push(first);
    }
    let round = async |trips: u64| {
        done.reset(pairs);
        let meter = Meter::start();
        for first in &players {
            let _ = first.send(trips / pairs * 2);
        }
        done.wait().await;
        meter.stop()
    };
    round(warm_up(trips)).await;
    Sample::per_op(round(trips).await, trips)
}

async fn fan_in(messages: u64) -> Sample {
    let round = async |messages: u64| {
        let (sender, mut receiver) = mpsc::channel::<Payload>(BOUND);
        let meter = Meter::start();
        let reader = tokio::spawn(async move {
            let (mut count, mut sum) = (0_u64, 0_u64);
            while let Some(payload) = receiver.recv().await {
                count += 1;
                sum += payload.value();
            }
            (count, sum)
        });
        for _ in 0..SENDERS {
            let sender = sender.clone();
            tokio::spawn(async move {
                for value in 0..messages / SENDERS {
                    sender
                        .send(Payload::new(value))
                        .await
                        .expect("the reader lives as long as its senders");
                }
            });
        }
        drop(sender);
        let read = reader.await.expect("the reader does not panic");
        let each = messages / SENDERS;
        assert_eq!(read, (messages, SENDERS * (each * (each - 1) / 2)));
        meter.stop()
    };
    round(warm_up(messages)).await;
    let spent = round(messages).await;
    Sample::per_op(spent, messages).with_rate("messages/s", spent, messages)
}

async fn ask(asks: u64, within: Option<Duration>) -> Sample {
    let (sender, mut receiver) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(BOUND);
    tokio::spawn(async move {
        while let Some((question, answer)) = receiver.recv().await {
            let _ = answer.send(question + 1);
        }
    });
    let round = async |asks: u64| {
        let meter = Meter::start();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    for question in 0..asks / CLIENTS {
                        let (answer, answered) = oneshot::channel();
                        sender
                            .send((question, answer))
                            .await
                            .expect("the callee lives");
                        let answered = match within {
                            None => answered.await,
                            Some(within) => tokio::time::timeout(within, answered)
                                .await
                                .expect("in time"),
                        };
                        assert_eq!(answered, Ok(question + 1));
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

async fn idle(agents: u64) -> Sample {
    let start = async |count: u64| {
        let done = Countdown::new(count);
        let mut senders = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let (sender, mut receiver) = mpsc::channel::<u64>(BOUND);
            let done = done.clone();
            tokio::spawn(async move {
                while receiver.recv().await.is_some() {
                    done.hit();
                }
            });
            senders.push(sender);
        }
        for sender in &senders {
            sender.send(1).await.expect("the task lives");
        }
        done.wait().await;
        senders
    };
    let warm = start(warm_up(agents)).await;
    let before = resident_bytes();
    let all = start(agents).await;
    idle_sample(before, resident_bytes(), agents, (warm, all))
}

#[derive(Clone, Copy)]
struct Hop {
    left: u64,
    choice: Xorshift,
}

async fn routing_full(hops: u64) -> Sample {
    let done = Countdown::new(IN_FLIGHT);
    let routes: Arc<OnceLock<Vec<mpsc::Sender<Hop>>>> = Arc::default();
    let mut senders = Vec::new();
    for _ in 0..ROUTED {
        let (sender, mut receiver) = mpsc::channel::<Hop>(IN_FLIGHT as usize);
        let (routes, done) = (routes.clone(), done.clone());
        tokio::spawn(async move {
            while let Some(mut hop) = receiver.recv().await {
                if hop.left == 0 {
                    done.hit();
                    continue;
                }
                hop.left -= 1;
                let routes = routes.get().expect("set before the first message");
                let next = &routes[hop.choice.index(ROUTED)];
                next.send(hop).await.expect("every task lives");
            }
        });
        senders.push(sender);
    }
    routes.set(senders).expect("set once");
    let round = async |hops: u64| {
        done.reset(IN_FLIGHT);
        let meter = Meter::start();
        for token in 0..IN_FLIGHT {
            let hop = Hop {
                left: hops / IN_FLIGHT - 1,
                choice: Xorshift::new(token + 1),
            };
            let first = &routes.get().expect("set above")[token as usize % ROUTED];
            first.send(hop).await.expect("every task lives");
        }
        done.wait().await;
        meter.stop()
    };
    round(warm_up(hops)).await;
    let spent = round(hops).await;
    Sample::per_op(spent, hops).with_rate("messages/s", spent, hops)
}

async fn routing_paced(scale: Scale) -> Sample {
    let times = Arc::new(Histogram::new());
    let expected = (scale.paced().as_secs_f64() * OFFERED as f64) as u64;
    let done = Countdown::new(expected);
    let mut senders = Vec::new();
    for _ in 0..ROUTED {
        let (sender, mut receiver) = mpsc::channel::<Instant>(BOUND);
        let (times, done) = (times.clone(), done.clone());
        tokio::spawn(async move {
            while let Some(sent) = receiver.recv().await {
                times.record(sent.elapsed());
                done.hit();
            }
        });
        senders.push(sender);
    }
    let mut choice = Xorshift::new(1);
    let meter = Meter::start();
    let sent = paced(OFFERED, scale.paced(), move |_| {
        senders[choice.index(ROUTED)]
            .try_send(Instant::now())
            .expect("the load is far below the bound");
    })
    .await;
    done.wait().await;
    latency_sample(meter.stop(), sent, &times)
}
