//! Alarms: deadlines that nearly always pass unneeded. A tokio timer that is still registered can be moved to a later time
//! at the cost of one atomic exchange, while registering one and taking it back costs two trips to the timer wheel's lock;
//! so used alarms are kept for the next one.

use crate::sync_plain::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

/// How many unused alarms are kept; more are dropped.
const SPARE_MAX: usize = 1024;

/// The alarms of a system, on its runtime.
pub(crate) struct Alarms {
    runtime: Handle,
    spare: Mutex<Vec<Pin<Box<Sleep>>>>,
}

/// An alarm that is set. It goes back to the others when it is dropped.
pub(crate) struct Alarm<'a> {
    alarms: &'a Alarms,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarms {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            spare: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn set(&self, after: Duration) -> Alarm<'_> {
        // A time that cannot be expressed is taken as a year, which is as good as never.
        let at = Instant::now()
            .checked_add(after)
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(365 * 24 * 60 * 60));
        let spare = self.spare.lock().pop();
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
            let mut spare = self.alarms.spare.lock();
            if spare.len() < SPARE_MAX {
                spare.push(sleep);
            }
        }
    }
}
