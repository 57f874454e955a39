//! Dead letters of a cell, and its letters in ACL's form.

use super::*;

impl<A: Agent> Cell<A> {
    /// Makes a dead letter, and tells who asked.
    pub(crate) fn bury_letter(&self, mut letter: Letter<A::Message>, cause: DeathCause) {
        if let Some(ask) = letter.ask.take() {
            ask.fail(match &cause {
                DeathCause::TurnFailed(reason) => AskError::Crashed(reason.clone()),
                DeathCause::Overloaded | DeathCause::DroppedOldest => AskError::Full,
                DeathCause::DroppedOnCrash => AskError::Crashed(ExitReason::Killed),
                DeathCause::Refused | DeathCause::Rejected(_) => AskError::Refused,
                DeathCause::Unreachable => AskError::Unreachable,
                DeathCause::ReceiverEnded | DeathCause::NoReceiver | DeathCause::Expired => {
                    AskError::NoProc
                }
            });
        }
        let kind = letter.body.kind();
        if matches!(letter.body, Body::Signal(..) | Body::Timer(..)) {
            // Signals and timers are the system's own; nobody sent them.
            return;
        }
        let acl = match &letter.body {
            Body::Acl(acl) => Some(acl.clone()),
            _ => None,
        };
        self.core.system.bury(Corpse {
            cause,
            receiver: self.core.path.clone(),
            sender: letter.sender.address(),
            kind,
            message_type: std::any::type_name::<A::Message>(),
            priority: letter.priority,
            acl,
            kept: Some(Box::new(KeptLetter(letter))),
        });
    }

    /// Makes a dead letter of the message in whose turn a life ended.
    pub(crate) fn bury_current(&self, current: Current<A::Message>, reason: &ExitReason) {
        let kind = current.record.kind;
        if !matches!(kind, LetterKind::Message | LetterKind::Acl) {
            return;
        }
        let body = match (current.copy, &current.acl) {
            (Some(copy), _) => Some(Body::Message(*copy)),
            (None, Some(acl)) => Some(Body::Acl(acl.clone())),
            (None, None) => None,
        };
        let kept = body.map(|body| {
            let mut letter: Letter<A::Message> = Letter::new(body, current.record.at_ms);
            letter.sender = current.sender;
            letter.priority = current.record.priority;
            Box::new(KeptLetter(letter)) as Box<dyn Kept>
        });
        self.core.system.bury(Corpse {
            cause: DeathCause::TurnFailed(reason.clone()),
            receiver: self.core.path.clone(),
            sender: current.sender.address(),
            kind,
            message_type: std::any::type_name::<A::Message>(),
            priority: current.record.priority,
            acl: current.acl,
            kept,
        });
    }

    pub(super) fn from_acl(letter: AclLetter) -> Letter<A::Message> {
        let body = match letter.body {
            Body::Acl(acl) => Body::Acl(acl),
            Body::Signal(life, signal) => Body::Signal(life, signal),
            Body::Message(never) | Body::Timer(_, never) => match never {},
        };
        Letter {
            body,
            ask: letter.ask,
            sender: letter.sender,
            extra: letter.extra,
            at_ms: letter.at_ms,
            priority: letter.priority,
            deliveries: letter.deliveries,
        }
    }

    pub(super) fn to_acl(letter: Letter<A::Message>) -> Option<AclLetter> {
        let body = match letter.body {
            Body::Acl(acl) => Body::Acl(acl),
            Body::Signal(life, signal) => Body::Signal(life, signal),
            Body::Message(_) | Body::Timer(..) => return None,
        };
        Some(Letter {
            body,
            ask: letter.ask,
            sender: letter.sender,
            extra: letter.extra,
            at_ms: letter.at_ms,
            priority: letter.priority,
            deliveries: letter.deliveries,
        })
    }

    /// Does something with an ACL letter as one of this cell's own; what was not taken is put back.
    pub(super) fn as_own<R>(
        letter: &mut Option<AclLetter>,
        act: impl FnOnce(&mut Option<Letter<A::Message>>) -> R,
    ) -> R {
        let mut own = letter.take().map(Self::from_acl);
        let result = act(&mut own);
        *letter = own.and_then(Self::to_acl);
        result
    }
}

impl NotTaken {
    pub(super) fn why(self) -> NotSent {
        match self {
            Self::Full => NotSent::Full,
            Self::Refused(gate) => NotSent::at_gate(gate),
        }
    }
}

/// A dead letter's message.
struct KeptLetter<M>(Letter<M>);

impl<M: Message> Kept for KeptLetter<M> {
    fn resend(
        self: Box<Self>,
        receiver: &AnyRef,
        path: &Path,
    ) -> Result<(), (Option<Box<dyn Kept>>, ReplayError)> {
        let Some(to): Option<AgentRef<M>> = receiver.typed() else {
            return Err((Some(self), ReplayError::WrongType(path.clone())));
        };
        let mut letter = self.0;
        letter.deliveries = 0;
        letter.extra = None;
        let admitted = to.0.admit(&letter);
        let mut letter = Some(letter);
        admitted
            .and_then(|()| to.0.push(&mut letter, Some(WhenFull::Fail)))
            .map_err(|_| {
                let kept = letter.map(|letter| Box::new(KeptLetter(letter)) as Box<dyn Kept>);
                (kept, ReplayError::NotTaken(path.clone()))
            })
    }
}
