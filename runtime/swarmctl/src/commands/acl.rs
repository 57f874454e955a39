//! `acl convert`: one ACL message from one of its forms into another.

use crate::cli::{Acl, AclForm};
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::write_bytes;
use serde_json::json;
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};
use swarm_protocols::acl::string::Writing;
use swarm_protocols::acl::{
    AclMessage, EmitError, Fault, ParseError, Reading, Timestamp, bit_efficient, json, string,
};

pub(crate) fn run(acl: &Acl) -> Result<ExitStatus, Stop> {
    let Acl::Convert { from, to } = *acl;
    let reading = Reading::at(now());
    let bytes = read(reading.limits.bytes_max)?;
    let parsed = match from {
        AclForm::String => string::parse(&bytes, &reading),
        AclForm::Json => json::parse(&bytes, &reading),
        AclForm::BitEfficient => bit_efficient::parse(&bytes, &reading),
    };
    let message = parsed.map_err(|error| unreadable(from, &error))?;
    let written = write(to, &message).map_err(|error| unwritable(to, &error))?;
    write_bytes(&written)?;
    Ok(ExitStatus::Done)
}

fn write(to: AclForm, message: &AclMessage) -> Result<Vec<u8>, EmitError> {
    match to {
        AclForm::String => string::emit(message, Writing::default()),
        AclForm::Json => Ok(json::emit(message)),
        AclForm::BitEfficient => bit_efficient::emit(message),
    }
}

/// What a relative reply-by counts from.
fn now() -> Timestamp {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::UNIX_EPOCH.saturating_add(since_1970)
}

/// The whole of stdin, and no more than one byte beyond what a message may have.
fn read(bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            Failure::new(
                ExitStatus::Failed,
                "stdin-failed",
                format!("cannot read from stdin: {error}"),
                "swarmctl acl convert --from string --to json < message.acl",
            )
        })?;
    Ok(bytes)
}

fn unreadable(from: AclForm, error: &ParseError) -> Failure {
    let text = match &error.fault {
        // The rest was not read.
        Fault::TooLong { limit, .. } => format!("more than {limit} bytes"),
        _ => error.to_string(),
    };
    let mut place = json!({ "offset": error.place.offset, "message": error.fault.to_string() });
    if error.place.line > 0 {
        place["line"] = error.place.line.into();
        place["column"] = error.place.column.into();
    }
    Failure {
        problems: vec![place],
        ..Failure::new(
            ExitStatus::CheckFailed,
            "bad-acl",
            format!("this is no message in the {from} form: {text}"),
            "mend that place; docs/fipa.md describes the forms",
        )
    }
}

fn unwritable(to: AclForm, error: &EmitError) -> Failure {
    Failure::new(
        ExitStatus::CheckFailed,
        "unwritable-acl",
        format!("this message has no {to} form: {error}"),
        "change what it names, or choose another form",
    )
}
