//! A market: a painting goes under the hammer in an English auction, in which the bidder who leads crashes; then a buyer has its
//! purchase delivered by contract net, and the cheapest carrier crashes on the way. The seller and the buyer only answer
//! questions: nobody waits for a deadline, and the next best takes over.
//!
//! `cargo run -p swarm-examples --example market`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm_actors::conversation::{
    Answers, ConversationBook, ConversationView, Negotiator, ProtocolRef, ProtocolSpec,
};
use swarm_actors::{Failure, System, SystemOptions, install_panic_hook};
use swarm_protocols::interaction::{About, Ascending, Decision, Opening, Outcome, Question, Rules};
use swarm_protocols::{AclMessage, Aid, Name, Path};
use swarm_supervisors::{ChildSpec, SupervisorFlags, SupervisorSpec};

/// How long each waits at most: crashes are known long before.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bids as long as the price is not above its purse.
struct Bidder {
    purse: i64,
    /// Falls over its own feet when this price is called.
    crashes_at: Option<i64>,
}

impl Negotiator for Bidder {
    async fn bid(&mut self, _: &AclMessage, price: Option<i64>) -> Result<Decision, Failure> {
        let Some(price) = price else {
            return Ok(Decision::NotUnderstood(b"(no-price)".to_vec()));
        };
        assert!(self.crashes_at.is_none_or(|at| price < at), "out of breath");
        if price > self.purse {
            return Ok(Decision::Silent);
        }
        Ok(Decision::Propose {
            content: Vec::new(),
            price: Some(price),
            holds_for: None,
        })
    }

    async fn perform(&mut self, _: &AclMessage) -> Result<Decision, Failure> {
        Ok(Decision::Done(b"(paid)".to_vec()))
    }
}

/// Carries a parcel for a price.
struct Carrier {
    price: i64,
    is_clumsy: bool,
}

impl Negotiator for Carrier {
    async fn bid(&mut self, _: &AclMessage, _: Option<i64>) -> Result<Decision, Failure> {
        Ok(Decision::Propose {
            content: self.price.to_string().into_bytes(),
            price: None,
            holds_for: None,
        })
    }

    async fn perform(&mut self, _: &AclMessage) -> Result<Decision, Failure> {
        assert!(!self.is_clumsy, "dropped it");
        Ok(Decision::Done(b"(delivered)".to_vec()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Crashes are the point here: they are told below, not on standard error.
    install_panic_hook();
    let book = ConversationBook::default();
    let system = System::new(SystemOptions::new(Name::new("market")?, 1));
    let children = traders(&system, &book)?;
    let flags = SupervisorFlags::default().intensity(10, Duration::from_secs(1));
    system
        .start_tree(SupervisorSpec::new(flags, children))
        .await?;

    auction(&system, &book).await?;
    delivery(&system, &book).await?;
    Ok(())
}

fn traders(system: &System, book: &ConversationBook) -> Result<Vec<ChildSpec>, Box<dyn Error>> {
    let mut children = Vec::new();
    for (name, purse, crashes_at) in [
        ("ada", 35, None),
        ("bert", 60, None),
        ("cleo", 90, Some(50)),
    ] {
        let make = move || Bidder { purse, crashes_at };
        children.extend(Bidder::children(system, name, book, make)?);
    }
    for (name, price, is_clumsy) in [("dora", 7, true), ("emil", 9, false), ("fay", 12, false)] {
        let make = move || Carrier { price, is_clumsy };
        children.extend(Carrier::children(system, name, book, make)?);
    }
    // The seller and the buyer ask and never are asked: protocol actors without an agent.
    for name in ["seller", "buyer"] {
        children.push(ProtocolSpec::alone(name, book)?.child(system));
    }
    Ok(children)
}

async fn auction(system: &System, book: &ConversationBook) -> Result<(), Box<dyn Error>> {
    let rules = Rules::EnglishAuction(Ascending {
        start: 20,
        step: 10,
        reserve: 30,
        rounds_max: 20,
    });
    let mut opening = opening("auction", &["ada", "bert", "cleo"], rules, "a painting");
    // A round of an auction takes its time: silence is an answer.
    opening.reply_within = Some(Duration::from_millis(100));
    let outcome = run(system, "seller", opening, Arc::new(|_| None)).await?;
    tell("English auction", &outcome, book);
    Ok(())
}

async fn delivery(system: &System, book: &ConversationBook) -> Result<(), Box<dyn Error>> {
    let opening = opening(
        "delivery",
        &["dora", "emil", "fay"],
        Rules::ContractNet,
        "deliver the painting",
    );
    let started = Instant::now();
    let outcome = run(system, "buyer", opening, Arc::new(cheapest)).await?;
    tell("contract net", &outcome, book);
    println!(
        "the crash cost {:?}; the deadline was {PATIENCE:?}",
        started.elapsed()
    );
    Ok(())
}

fn opening(id: &str, with: &[&str], rules: Rules, about: &str) -> Opening {
    let with = with.iter().map(|name| aid(name)).collect();
    Opening {
        reply_within: Some(PATIENCE),
        result_within: Some(PATIENCE),
        expires_in: Some(4 * PATIENCE),
        ..Opening::new(id, Aid::named(""), with, rules, About::text(about))
    }
}

fn aid(name: &str) -> Aid {
    Aid::named(format!("{name}@market"))
}

async fn run(
    system: &System,
    who: &str,
    opening: Opening,
    answers: Answers,
) -> Result<Outcome, Box<dyn Error>> {
    let agent = system
        .lookup(&Path::new(&format!("/{who}"))?)
        .ok_or("nobody there")?;
    let protocol = ProtocolRef::of(&agent).ok_or("no protocol actor")?;
    Ok(protocol
        .run(opening, Vec::new(), answers, 8 * PATIENCE)
        .await?)
}

/// Accepts the lowest price, and keeps the others in reserve.
fn cheapest(question: &Question) -> Option<Decision> {
    let Question::Evaluate(proposals) = question else {
        return None;
    };
    let mut order: Vec<(i64, usize)> = proposals
        .iter()
        .filter_map(|bid| Some((bid.message.text()?.parse().ok()?, bid.bidder)))
        .collect();
    order.sort_unstable();
    let mut order = order.into_iter().map(|(_, bidder)| bidder);
    Some(Decision::Award {
        accept: order.next().into_iter().collect(),
        reserve: order.collect(),
        content: Vec::new(),
    })
}

fn tell(what: &str, outcome: &Outcome, book: &ConversationBook) {
    println!("{what}: {}", outcome.end);
    for part in &outcome.parts {
        println!("  {}: {}", part.participant.name, part.end);
    }
    let id = if what == "contract net" {
        "delivery"
    } else {
        "auction"
    };
    let sides = book.get(&id.into());
    for said in sides.first().map(lines).unwrap_or_default() {
        println!("    {said}");
    }
}

/// What was said, as the one who asked has seen it.
fn lines(side: &ConversationView) -> Vec<String> {
    side.messages
        .iter()
        .map(|said| {
            let price = said.price.as_ref().map(|price| format!(" at {price}"));
            format!(
                "{} -> {}: {}{} {}",
                said.from,
                said.to.join(" "),
                said.act,
                price.unwrap_or_default(),
                said.content
            )
        })
        .collect()
}
