//! Reading what is asked, and putting answers into messages.

use crate::acl::{AclMessage, Aid, Performative, Reading};
use crate::sl::management::{self, Action, ONTOLOGY, Reason};
use crate::sl::{self, LANGUAGE, Term};

/// The content of a message that is meant for an AMS or a DF.
///
/// # Errors
/// The [`Reason`] to answer with: another language or ontology, or content that is no SL.
pub(super) fn content(message: &AclMessage, reading: &Reading) -> Result<Vec<Term>, Reason> {
    if let Some(language) = &message.language
        && !sl::is_sl(language)
    {
        return Err(Reason::UnsupportedValue("language".to_owned()));
    }
    if let Some(ontology) = &message.ontology
        && !ontology.eq_ignore_ascii_case(ONTOLOGY)
    {
        return Err(Reason::UnsupportedValue("ontology".to_owned()));
    }
    let unrecognised = || Reason::UnrecognisedValue("content".to_owned());
    let bytes = message.content.as_deref().ok_or_else(unrecognised)?;
    sl::parse(bytes, reading).map_err(|_| unrecognised())
}

/// The one action that a request is about.
///
/// # Errors
/// The [`Reason`] to answer with.
pub(super) fn action(message: &AclMessage, reading: &Reading) -> Result<Action, Reason> {
    match content(message, reading)?.as_slice() {
        [term] => Action::read(term, reading),
        _ => Err(Reason::UnrecognisedValue("content".to_owned())),
    }
}

/// An answer with this content.
pub(super) fn answer(
    me: &Aid,
    message: &AclMessage,
    performative: Performative,
    content: &[Term],
) -> AclMessage {
    match sl::write(content) {
        Ok(text) => plain_answer(me, message, performative, text),
        // What was read can be written, short of a search that found more than a message may hold.
        Err(error) => {
            let reason = Reason::InternalError(error.to_string());
            let text = sl::write(&[reason.term()]).unwrap_or_default();
            plain_answer(me, message, Performative::Failure, text)
        }
    }
}

fn plain_answer(
    me: &Aid,
    message: &AclMessage,
    performative: Performative,
    text: String,
) -> AclMessage {
    let mut answer = message.reply(performative);
    answer.sender = Some(me.clone());
    answer.language.get_or_insert_with(|| LANGUAGE.into());
    answer.ontology.get_or_insert_with(|| ONTOLOGY.into());
    answer.content = Some(text.into_bytes());
    answer
}

/// An answer that tells a reason, with the action that it is about where one was understood. None to what must not be
/// answered so.
pub(super) fn reason(
    me: &Aid,
    message: &AclMessage,
    action: Option<&Action>,
    reason: &Reason,
) -> Option<AclMessage> {
    let performative = reason.performative();
    if performative == Performative::NotUnderstood && !message.may_be_not_understood() {
        return None;
    }
    let content = match action {
        Some(action) => management::failed(action, reason),
        None => vec![reason.term()],
    };
    Some(answer(me, message, performative, &content))
}

/// A request to another directory.
pub(super) fn request(me: &Aid, to: &Aid, action: &Action) -> Option<AclMessage> {
    let mut request = AclMessage::new(Performative::Request);
    request.sender = Some(me.clone());
    request.receiver = vec![to.clone()];
    request.protocol = Some("fipa-request".into());
    request.language = Some(LANGUAGE.into());
    request.ontology = Some(ONTOLOGY.into());
    request.content = Some(sl::write(&[action.term()]).ok()?.into_bytes());
    Some(request)
}
