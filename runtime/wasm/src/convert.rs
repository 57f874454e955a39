//! Messages between the two sides of the contract.

use crate::bindings::swarm::agent::types as wit;
use swarm_protocols::{AclMessage, Aid, Performative, Timestamp};

/// The parameter that carries the content's type; FIPA has none of its own.
const CONTENT_TYPE: &str = "X-Content-Type";

/// A message as a guest sees it.
pub(crate) fn to_guest(message: &AclMessage) -> wit::Message {
    let stated = message
        .user_parameters
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE))
        .map(|(_, value)| value.as_str());
    // A language that looks like a media type is one.
    let media_type = message
        .language
        .as_deref()
        .filter(|text| text.contains('/'));
    wit::Message {
        performative: act_to_guest(message.performative),
        sender: message.sender.as_ref().map(aid_to_guest),
        receivers: message.receiver.iter().map(aid_to_guest).collect(),
        reply_to: message.reply_to.iter().map(aid_to_guest).collect(),
        content: message.content.clone(),
        content_type: stated.or(media_type).map(str::to_owned),
        language: message.language.clone().map(Into::into),
        encoding: message.encoding.clone().map(Into::into),
        ontology: message.ontology.clone().map(Into::into),
        protocol: message.protocol.clone().map(Into::into),
        conversation_id: message
            .conversation_id
            .as_ref()
            .map(|id| id.as_str().to_owned()),
        reply_with: message.reply_with.as_ref().map(|id| id.as_str().to_owned()),
        in_reply_to: message
            .in_reply_to
            .as_ref()
            .map(|id| id.as_str().to_owned()),
        reply_by: message.reply_by.map(i64::from),
        user_parameters: message
            .user_parameters
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case(CONTENT_TYPE))
            .cloned()
            .collect(),
    }
}

/// A message that a guest sends. Its sender is left to the runtime: a guest speaks for itself only.
///
/// # Errors
/// `invalid` for a time that no ACL message can carry.
pub(crate) fn from_guest(message: wit::Message) -> Result<AclMessage, wit::Error> {
    let reply_by = match message.reply_by.map(Timestamp::from_millis).transpose() {
        Ok(reply_by) => reply_by,
        Err(error) => return Err(wit::Error::Invalid(error.to_string())),
    };
    let mut user_parameters = message.user_parameters;
    user_parameters.retain(|(name, _)| !name.eq_ignore_ascii_case(CONTENT_TYPE));
    if let Some(content_type) = message.content_type
        && message.language.as_ref() != Some(&content_type)
    {
        user_parameters.push((CONTENT_TYPE.to_owned(), content_type));
    }
    Ok(AclMessage {
        performative: act_from_guest(message.performative),
        sender: None,
        receiver: message.receivers.into_iter().map(aid_from_guest).collect(),
        reply_to: message.reply_to.into_iter().map(aid_from_guest).collect(),
        content: message.content,
        language: message.language.map(Into::into),
        encoding: message.encoding.map(Into::into),
        ontology: message.ontology.map(Into::into),
        protocol: message.protocol.map(Into::into),
        conversation_id: message.conversation_id.map(Into::into),
        reply_with: message.reply_with.map(Into::into),
        in_reply_to: message.in_reply_to.map(Into::into),
        reply_by,
        user_parameters: user_parameters.into(),
    })
}

/// What each element of a list takes besides its texts; else very many that are empty would be free.
const ELEMENT_BYTES: usize = 64;

/// The bytes of a message that its sender chose.
pub(crate) fn bytes(message: &wit::Message) -> u64 {
    let texts = [
        &message.content_type,
        &message.language,
        &message.encoding,
        &message.ontology,
        &message.protocol,
        &message.conversation_id,
        &message.reply_with,
        &message.in_reply_to,
    ];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    let aids = message
        .sender
        .iter()
        .chain(&message.receivers)
        .chain(&message.reply_to);
    let aids: usize = aids.map(aid_bytes).sum();
    let content = message.content.as_ref().map_or(0, Vec::len);
    (texts + pair_bytes(&message.user_parameters) + aids + content) as u64
}

fn aid_bytes(aid: &wit::Aid) -> usize {
    let resolvers = aid.resolvers.iter();
    let resolvers: usize = resolvers
        .map(|resolver| resolver.name.len() + text_bytes(&resolver.addresses) + ELEMENT_BYTES)
        .sum();
    aid.name.len()
        + text_bytes(&aid.addresses)
        + resolvers
        + pair_bytes(&aid.user_slots)
        + ELEMENT_BYTES
}

fn text_bytes(texts: &[String]) -> usize {
    texts.iter().map(|text| text.len() + ELEMENT_BYTES).sum()
}

fn pair_bytes(pairs: &[(String, String)]) -> usize {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| name.len() + value.len() + ELEMENT_BYTES)
        .sum()
}

pub(crate) fn aid_to_guest(aid: &Aid) -> wit::Aid {
    wit::Aid {
        name: aid.name.clone().into(),
        addresses: aid.addresses.clone().into(),
        resolvers: aid
            .resolvers
            .iter()
            .map(|resolver| wit::Resolver {
                name: resolver.name.clone().into(),
                addresses: resolver.addresses.clone().into(),
            })
            .collect(),
        user_slots: aid.user_slots.clone().into(),
    }
}

fn aid_from_guest(aid: wit::Aid) -> Aid {
    Aid {
        name: aid.name.into(),
        addresses: aid.addresses.into(),
        resolvers: aid
            .resolvers
            .into_iter()
            .map(|resolver| Aid {
                addresses: resolver.addresses.into(),
                ..Aid::named(resolver.name)
            })
            .collect(),
        user_slots: aid.user_slots.into(),
    }
}

macro_rules! acts {
    ($($act:ident)*) => {
        fn act_to_guest(act: Performative) -> wit::Performative {
            match act { $(Performative::$act => wit::Performative::$act,)* }
        }
        fn act_from_guest(act: wit::Performative) -> Performative {
            match act { $(wit::Performative::$act => Performative::$act,)* }
        }
    };
}

acts! {
    AcceptProposal Agree Cancel Cfp Confirm Disconfirm Failure Inform InformIf InformRef NotUnderstood
    Propagate Propose Proxy QueryIf QueryRef Refuse RejectProposal Request RequestWhen RequestWhenever Subscribe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_through_a_guest_unchanged_but_for_its_sender() {
        for act in Performative::ALL {
            let mut message = AclMessage::new(act);
            message.receiver = vec![Aid::named("b@p")];
            message.reply_to = swarm_protocols::thin_vec![Aid {
                addresses: swarm_protocols::thin_vec!["http://x".to_owned()],
                resolvers: swarm_protocols::thin_vec![Aid::named("r@p")],
                user_slots: swarm_protocols::thin_vec![("X-a".to_owned(), "1".to_owned())],
                ..Aid::named("c@p")
            }];
            message.content = Some(vec![0, 255]);
            message.language = Some("fipa-sl".into());
            message.encoding = Some("e".into());
            message.ontology = Some("o".into());
            message.protocol = Some("fipa-request".into());
            message.conversation_id = Some("c".to_owned().into());
            message.reply_with = Some("w".to_owned().into());
            message.in_reply_to = Some("i".to_owned().into());
            message.reply_by = Some(Timestamp::from_millis(-1).unwrap());
            message.user_parameters = swarm_protocols::thin_vec![
                ("X-b".to_owned(), "2".to_owned()),
                (CONTENT_TYPE.to_owned(), "text/plain".to_owned()),
            ];
            let guest = to_guest(&message);
            assert_eq!(guest.content_type.as_deref(), Some("text/plain"));
            assert_eq!(from_guest(guest).unwrap(), message);
        }
    }

    #[test]
    fn a_media_type_as_language_is_the_content_type() {
        let mut message = AclMessage::new(Performative::Inform);
        message.language = Some("application/json".into());
        let guest = to_guest(&message);
        assert_eq!(guest.content_type.as_deref(), Some("application/json"));
        assert_eq!(from_guest(guest).unwrap(), message);
    }
}
