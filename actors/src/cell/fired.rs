//! What becomes of a cell's timers when they fire.

use super::*;

impl<A: Agent> TimerTarget for Cell<A> {
    fn fired(&self, id: TimerId) {
        let Some(message) = self.take_fired(id) else {
            return;
        };
        let letter = self.core.plain_letter(Body::Timer(id, message));
        if let Ok(wake) = self.mailbox().push(letter) {
            self.wake(wake);
        }
    }
}

impl<A: Agent> Cell<A> {
    /// What a fired timer brings. A repeated one makes its message by the agent's own code, without any lock; a panic there
    /// ends the life.
    fn take_fired(&self, id: TimerId) -> Option<A::Message> {
        let (life, mut make) = {
            let mut seat = self.seat.lock();
            let rare = seat.rare.as_mut()?;
            let armed = rare.timers.get_mut(&id)?;
            match &mut armed.what {
                Scheduled::Once(_) => {
                    let Scheduled::Once(message) = rare.timers.remove(&id)?.what else {
                        return None;
                    };
                    rare.fired.insert(id);
                    return Some(message);
                }
                Scheduled::Every(period, make) => {
                    armed.at = (armed.at + *period).max(tokio::time::Instant::now());
                    self.core
                        .system
                        .timers()
                        .arm(armed.at, id, self.this.clone());
                    if rare.fired.contains(&id) {
                        return None;
                    }
                    (self.core.pid().incarnation, make.take()?)
                }
            }
        };
        let made = {
            let _guard = crate::panics::Guard::enter();
            catch_unwind(AssertUnwindSafe(&mut make)).map_err(crate::panics::reason)
        };
        let mut seat = self.seat.lock();
        if self.core.pid().incarnation != life || !self.core.is_alive() {
            return None;
        }
        match made {
            Ok(message) => {
                let rare = seat.rare.as_mut()?;
                if let Some(Scheduled::Every(_, place)) =
                    rare.timers.get_mut(&id).map(|armed| &mut armed.what)
                {
                    *place = Some(make);
                    rare.fired.insert(id);
                    return Some(message);
                }
                // Cancelled meanwhile.
                None
            }
            Err(reason) => {
                let remains = self.cut(&mut seat, reason.clone());
                drop(seat);
                self.report(remains, reason);
                None
            }
        }
    }
}
