//! Alarms: deadlines that nearly always pass unneeded. A tokio timer that is still registered can be moved to a later time
//! at the cost of one atomic exchange, while registering one and taking it back costs two trips to the timer wheel's lock;
//! so used alarms are kept for the next one. Each worker has a stock of its own, or they would take them out of each other's
//! caches.

use crate::sync_plain::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

/// How many stocks there are: threads beyond that share.
const STOCKS: usize = 16;

/// How many unused alarms a stock keeps; more are dropped.
const SPARE_MAX: usize = 256;

thread_local! {
    /// Where this lies tells one thread from another.
    static HERE: u8 = const { 0 };
}

/// The alarms of a system, on its runtime.
pub(crate) struct Alarms {
    runtime: Handle,
    stocks: [Stock; STOCKS],
}

#[derive(Default)]
#[repr(align(128))]
struct Stock(Mutex<Vec<Pin<Box<Sleep>>>>);

/// An alarm that is set. It goes back to the others when it is dropped.
pub(crate) struct Alarm<'a> {
    alarms: &'a Alarms,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarms {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            stocks: Default::default(),
        }
    }

    /// An alarm at `after` from `now`.
    pub(crate) fn set(&self, now: Instant, after: Duration) -> Alarm<'_> {
        // A time that cannot be expressed is taken as a year, which is as good as never.
        let at = now
            .checked_add(after)
            .unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 60 * 60));
        let spare = self.stock().0.lock().pop();
        let sleep = match spare {
            Some(mut sleep) => {
                sleep.as_mut().reset(at);
                sleep
            }
            None => {
                let _runtime = self.runtime.enter();
                Box::pin(tokio::time::sleep_until(at))
            }
        };
        Alarm {
            alarms: self,
            sleep: Some(sleep),
        }
    }
}

impl Alarms {
    /// The stock of the thread that runs now.
    fn stock(&self) -> &Stock {
        let here = HERE.with(|here| std::ptr::from_ref(here) as usize);
        // Thread-local memory is laid out in pages: the bits above those of a page differ.
        let mixed = (here >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.stocks[mixed >> (usize::BITS - STOCKS.ilog2())]
    }
}

impl Alarm<'_> {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if let Some(sleep) = self.sleep.take() {
            let mut spare = self.alarms.stock().0.lock();
            if spare.len() < SPARE_MAX {
                spare.push(sleep);
            }
        }
    }
}
