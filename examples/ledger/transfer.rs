//! A transfer: three steps, the first of which can be undone.

use crate::account::{Account, Order};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use swarm_actors::saga::{Saga, StepRequest};
use swarm_protocols::Path;

pub(crate) struct Transfers;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) from: Path,
    pub(crate) to: Path,
    pub(crate) amount: u64,
}

/// How long a withdrawal may take. One that is given up is given back, even if it is done later.
const WITHDRAWN_WITHIN: Duration = Duration::from_secs(2);

const WITHDRAW: u32 = 0;
const DEPOSIT: u32 = 1;
const FORGET: u32 = 2;

impl Saga for Transfers {
    type Input = Transfer;

    fn steps(&self, _: &Transfer) -> u32 {
        3
    }

    fn perform(&self, transfer: &Transfer, step: u32, request: &mut StepRequest) {
        let (amount, ticket) = (transfer.amount, request.ticket());
        match step {
            WITHDRAW => {
                request.ask::<Account>(&transfer.from, &Order::Withdraw { amount, ticket });
            }
            DEPOSIT => request.ask::<Account>(&transfer.to, &Order::Deposit { amount, ticket }),
            FORGET => request.ask::<Account>(&transfer.from, &Order::Forget { ticket }),
            _ => {}
        }
    }

    fn compensate(&self, transfer: &Transfer, step: u32, request: &mut StepRequest) {
        if step == WITHDRAW {
            let ticket = request.ticket();
            request.ask::<Account>(&transfer.from, &Order::GiveBack { ticket });
        }
    }

    fn deadline(&self, _: &Transfer, step: u32) -> Option<Duration> {
        // A deposit either is done or is refused, however long that takes.
        (step == WITHDRAW).then_some(WITHDRAWN_WITHIN)
    }
}
