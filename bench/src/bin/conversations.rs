//! Conversations: contract nets per second, ACL messages per second between two agents, and what an idle conversation costs.
//!
//! `cargo run --release -p swarm-bench --bin conversations`. The peer's figures were recorded on such a machine with JADE 4.6.5
//! (1 569 contract nets per second with 10 responders, 202 with 100, 70 000 messages per second between two agents of one
//! container); no JADE runs here.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm_actors::conversation::{
    Answers, ConversationBook, ConversationLimits, Negotiator, ProtocolRef, ProtocolSpec,
};
use swarm_actors::{Agent, AgentSpec, Failure, Message, ReplyTo, System, SystemOptions, Turn};
use swarm_protocols::interaction::{About, Decision, Opening, Question, Rules};
use swarm_protocols::{AclMessage, Aid, Name, Path, Performative};
use swarm_supervisors::{ChildSpec, SupervisorFlags, SupervisorSpec};
use tokio::task::JoinSet;

const WITHIN: Duration = Duration::from_secs(60);
/// How many contract nets the initiator has open at once.
const NETS_OPEN: usize = 16;
/// How many messages the two agents have between them.
const BALLS: usize = 256;

/// Bids at once and does at once what it is told.
struct Responder;

impl Negotiator for Responder {
    async fn bid(&mut self, _: &AclMessage, _: Option<i64>) -> Result<Decision, Failure> {
        Ok(Decision::Propose {
            content: b"42".to_vec(),
            price: None,
            holds_for: None,
        })
    }

    async fn perform(&mut self, _: &AclMessage) -> Result<Decision, Failure> {
        Ok(Decision::Done(b"done".to_vec()))
    }

    async fn decide(&mut self, _: &AclMessage) -> Result<Decision, Failure> {
        Ok(Decision::Agree(Vec::new()))
    }
}

/// Returns whatever it is sent, until it has done so often enough.
struct Player {
    left: u64,
    done: Option<ReplyTo<()>>,
}

enum Play {
    Until(u64, ReplyTo<()>),
}

impl Message for Play {}

impl Agent for Player {
    type Message = Play;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, play: Play) -> Result<(), Failure> {
        let Play::Until(count, done) = play;
        self.left = count;
        self.done = Some(done);
        Ok(())
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        if self.left == 0
            && let Some(done) = self.done.take()
        {
            turn.reply(done, ());
        }
        turn.answer(message.reply(Performative::Inform));
        Ok(())
    }
}

async fn tree(
    children: impl FnOnce(&System) -> Result<Vec<ChildSpec>, Box<dyn Error>>,
) -> Result<System, Box<dyn Error>> {
    let system = System::new(SystemOptions::new(Name::new("bench")?, 1));
    let children = children(&system)?;
    system
        .start_tree(SupervisorSpec::new(SupervisorFlags::default(), children))
        .await?;
    Ok(system)
}

fn responders(
    system: &System,
    book: &ConversationBook,
    count: usize,
) -> Result<Vec<ChildSpec>, Box<dyn Error>> {
    let mut children = Vec::new();
    for n in 0..count {
        children.extend(Responder::children(system, &format!("r{n}"), book, || {
            Responder
        })?);
    }
    children.push(ProtocolSpec::alone("caller", book)?.child(system));
    Ok(children)
}

fn caller(system: &System) -> Result<ProtocolRef, Box<dyn Error>> {
    let caller = system.lookup(&Path::new("/caller")?).ok_or("no caller")?;
    Ok(ProtocolRef::of(&caller).ok_or("no protocol actor")?)
}

fn first_bid() -> Answers {
    Arc::new(|question| match question {
        Question::Evaluate(proposals) => Some(Decision::Award {
            accept: proposals.first().map(|p| p.bidder).into_iter().collect(),
            reserve: Vec::new(),
            content: Vec::new(),
        }),
        _ => None,
    })
}

/// A rate, by the clock and for each core that worked for it: on a busy machine the second says more.
struct Rate {
    per_second: f64,
    per_core_second: f64,
}

/// Begins to measure.
struct Meter {
    at: Instant,
    cpu: Duration,
}

impl Meter {
    fn start() -> Self {
        Self {
            at: Instant::now(),
            cpu: cpu_time(),
        }
    }

    fn rate(&self, count: f64) -> Rate {
        Rate {
            per_second: count / self.at.elapsed().as_secs_f64(),
            per_core_second: count / (cpu_time() - self.cpu).as_secs_f64(),
        }
    }
}

/// What all threads of this process have used, in user code and in the kernel.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

async fn contract_nets(count: usize, nets: usize) -> Result<Rate, Box<dyn Error>> {
    let book = ConversationBook::new(ConversationLimits {
        ended_per_agent: 64,
        ..ConversationLimits::default()
    });
    let inner = book.clone();
    let system = tree(move |system| responders(system, &inner, count)).await?;
    let caller = caller(&system)?;
    let participants: Vec<Aid> = (0..count)
        .map(|n| Aid::named(format!("r{n}@bench")))
        .collect();
    let run = async |nets: usize| -> Result<Rate, Box<dyn Error>> {
        let meter = Meter::start();
        let mut open = JoinSet::new();
        for n in 0..nets.min(NETS_OPEN) {
            let (caller, participants) = (caller.clone(), participants.clone());
            let share = (n..nets).step_by(NETS_OPEN).count();
            open.spawn(async move {
                for _ in 0..share {
                    let mut opening = Opening::new(
                        "",
                        Aid::named(""),
                        participants.clone(),
                        Rules::ContractNet,
                        About::text("((action (any ?x) (deliver box)))"),
                    );
                    opening.reply_within = Some(WITHIN);
                    opening.result_within = Some(WITHIN);
                    let outcome = caller.run(opening, Vec::new(), first_bid(), WITHIN).await;
                    assert!(outcome.is_ok_and(|outcome| outcome.end.is_success()));
                }
            });
        }
        while let Some(done) = open.join_next().await {
            done?;
        }
        Ok(meter.rate(nets as f64))
    };
    run(nets / 10).await?;
    let rate = run(nets).await?;
    system.stop_tree(Duration::from_secs(10)).await;
    Ok(rate)
}

async fn messages(count: u64) -> Result<Rate, Box<dyn Error>> {
    let player = || Player {
        left: 0,
        done: None,
    };
    let system = tree(move |system| {
        let spec = |name: &str| -> Result<ChildSpec, Box<dyn Error>> {
            Ok(AgentSpec::new(name, player)?
                .registered(Name::new(name)?)
                .child(system))
        };
        Ok(vec![spec("a")?, spec("b")?])
    })
    .await?;
    let find = |path: &str| -> Result<_, Box<dyn Error>> {
        Ok(system
            .lookup_typed::<Play>(&Path::new(path)?)
            .ok_or("no player")?)
    };
    let (a, b) = (find("/a")?, find("/b")?);
    let meter = Meter::start();
    let (to_a, to_b) = (a.clone(), b.any());
    // Each returns half of all messages. `b` has no end of its own: it has returned what `a` counts.
    b.ask(|done| Play::Until(u64::MAX, done), Duration::from_millis(1))
        .await
        .ok();
    let mut played = std::pin::pin!(to_a.ask(|done| Play::Until(count / 2, done), WITHIN));
    // Its question is in the mailbox before the first ball.
    tokio::select! {
        biased;
        ended = &mut played => ended?,
        () = std::future::ready(()) => {}
    }
    for _ in 0..BALLS {
        let mut ball = AclMessage::new(Performative::Inform);
        ball.sender = Some(Aid::named("a@bench"));
        ball.content = Some(b"((= (iota ?x (price box ?x)) 42))".to_vec());
        to_b.send_acl(ball).await?;
    }
    played.await?;
    let rate = meter.rate(count as f64);
    system.stop_tree(Duration::from_secs(10)).await;
    Ok(rate)
}

fn resident_bytes() -> Result<u64, Box<dyn Error>> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).ok_or("no resident size")?.parse()?;
    Ok(pages * 4096)
}

/// Subscriptions that were agreed to and say nothing: both sides of each.
async fn idle(count: usize) -> Result<f64, Box<dyn Error>> {
    let book = ConversationBook::new(ConversationLimits {
        open_per_agent: count,
        open_per_node: 2 * count,
        ..ConversationLimits::default()
    });
    let inner = book.clone();
    let system = tree(move |system| responders(system, &inner, 1)).await?;
    let caller = caller(&system)?;
    let before = resident_bytes()?;
    for n in 0..count {
        let opening = Opening::new(
            "",
            Aid::named(""),
            vec![Aid::named("r0@bench")],
            Rules::Subscribe,
            About::text("((iota ?x (price box ?x)))"),
        );
        caller.open(opening).await?;
        // As many as fit the mailboxes at once.
        while n.saturating_sub(book.counts().open / 2) > 500 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    while book.list().iter().filter(|c| c.state == "active").count() < 2 * count {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let bytes = resident_bytes()?.saturating_sub(before);
    system.stop_tree(Duration::from_secs(10)).await;
    Ok(bytes as f64 / (2 * count) as f64)
}

fn show(what: &str, rate: &Rate, peer: f64) {
    println!(
        "{what:<34}{:>10.0} /s {:>10.0} /s of CPU   (JADE {peer}: {:.1} x)",
        rate.per_second,
        rate.per_core_second,
        rate.per_second / peer
    );
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let idle = idle(50_000).await?;
    println!("idle conversation, one side       {idle:>10.0} bytes   (bar: 2000)");
    for (responders, nets, peer) in [(10, 20_000, 1_569.0), (100, 3_000, 202.0)] {
        let rate = contract_nets(responders, nets).await?;
        show(
            &format!("contract nets, {responders} responders"),
            &rate,
            peer,
        );
    }
    show(
        "ACL messages between two agents",
        &messages(2_000_000).await?,
        70_000.0,
    );
    Ok(())
}
