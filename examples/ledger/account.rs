//! Accounts: what they are asked as participants of a transfer.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use swarm_actors::Failure;
use swarm_actors::durable::{Decider, Decision, Form, Stored};
use swarm_actors::saga::StepTicket;

pub(crate) struct Account;

#[derive(Serialize, Deserialize)]
pub(crate) enum Order {
    Open {
        amount: u64,
    },
    /// Takes money out for a transfer, and remembers for which.
    Withdraw {
        amount: u64,
        ticket: StepTicket,
    },
    /// Puts back what was taken out for a transfer, if anything was.
    GiveBack {
        ticket: StepTicket,
    },
    Deposit {
        amount: u64,
        ticket: StepTicket,
    },
    /// The transfer has come to its end: it need not be remembered.
    Forget {
        ticket: StepTicket,
    },
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Event {
    Opened { amount: u64 },
    Withdrawn { amount: u64, transfer: String },
    GivenBack { amount: u64, transfer: String },
    Deposited { amount: u64 },
    Forgotten { transfer: String },
}

impl Stored for Event {
    fn form(&self) -> Form {
        Form {
            type_id: 1,
            version: 1,
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Balance {
    pub(crate) is_open: bool,
    pub(crate) amount: u64,
    /// What was taken out for transfers that are under way.
    pub(crate) withdrawn: BTreeMap<String, u64>,
}

impl Decider for Account {
    type State = Balance;
    type Command = Order;
    type Event = Event;
    type Answer = u64;

    fn decide(
        &self,
        balance: &Balance,
        order: Order,
        turn: &mut Decision<'_, Self>,
    ) -> Result<u64, Failure> {
        match order {
            Order::Open { amount } if !balance.is_open => turn.record(Event::Opened { amount }),
            Order::Open { .. } => {}
            Order::Withdraw { amount, ticket } if amount > balance.amount => {
                ticket.refuse(turn, &format!("there are {} only", balance.amount));
            }
            Order::Withdraw { amount, ticket } => {
                let transfer = ticket.saga.clone();
                turn.record(Event::Withdrawn { amount, transfer });
                ticket.done(turn);
            }
            Order::GiveBack { ticket } => {
                let transfer = ticket.saga.clone();
                // A withdrawal that was refused left nothing to give back.
                if let Some(amount) = balance.withdrawn.get(&transfer).copied() {
                    turn.record(Event::GivenBack { amount, transfer });
                }
                ticket.done(turn);
            }
            Order::Deposit { ticket, .. } if !balance.is_open => {
                ticket.refuse(turn, "the account is closed");
            }
            Order::Deposit { amount, ticket } => {
                turn.record(Event::Deposited { amount });
                ticket.done(turn);
            }
            Order::Forget { ticket } => {
                let transfer = ticket.saga.clone();
                turn.record(Event::Forgotten { transfer });
                ticket.done(turn);
            }
        }
        Ok(balance.amount)
    }

    fn evolve(&self, balance: &mut Balance, event: &Event) {
        match event {
            Event::Opened { amount } => {
                balance.is_open = true;
                balance.amount += amount;
            }
            Event::Withdrawn { amount, transfer } => {
                balance.amount -= amount;
                balance.withdrawn.insert(transfer.clone(), *amount);
            }
            Event::GivenBack { amount, transfer } => {
                balance.amount += amount;
                balance.withdrawn.remove(transfer);
            }
            Event::Deposited { amount } => balance.amount += amount,
            Event::Forgotten { transfer } => {
                balance.withdrawn.remove(transfer);
            }
        }
    }
}
