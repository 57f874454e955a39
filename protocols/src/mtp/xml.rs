//! The XML form of an envelope (FIPA SC00085J, fipa.md c.3).
//!
//! Read: elements in any order, unknown ones passed over, blanks around values cut off, each field from the highest
//! `params` that has it, a lone `&` as itself, as JADE does not escape. Refused: document types (nothing is ever loaded),
//! entities that XML itself does not have, and what is too long or too deep.

use super::date;
use super::{Received, TransportEnvelope};
use crate::acl::Aid;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// The longest envelope that is read, in bytes: room for hundreds of receivers.
pub const BYTES_MAX: usize = 64 * 1024;
/// How deep its elements may be nested: an agent identifier needs five levels, each resolver within a resolver two more.
pub const DEPTH_MAX: usize = 24;

/// An envelope that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Longer than [`BYTES_MAX`].
    #[error("the envelope has {length} bytes, and {BYTES_MAX} are the limit")]
    TooLong {
        /// How long it is.
        length: usize,
    },
    /// Deeper than [`DEPTH_MAX`].
    #[error("the envelope is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// No XML.
    #[error("the envelope is no XML, at byte {offset}: {what}")]
    Xml {
        /// Where.
        offset: u64,
        /// What the XML reader says.
        what: String,
    },
    /// It has a document type. None is needed, and nothing is loaded.
    #[error("the envelope has a document type, which is not taken")]
    DocumentType,
    /// An entity that XML itself does not have.
    #[error("the envelope has the unknown entity &{0};")]
    Entity(String),
    /// It is XML, but no envelope.
    #[error("the envelope has no <{0}>")]
    Missing(&'static str),
    /// An element holds what it cannot.
    #[error("<{element}> of the envelope holds {value:?}")]
    Value {
        /// Which.
        element: &'static str,
        /// What, cut short.
        value: String,
    },
}

/// An envelope that cannot be written: a value holds a character that XML does not have. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} holds a character that XML cannot")]
pub struct WriteError(pub String);

/// Reads an envelope. Bytes that are no UTF-8 are taken as ISO-8859-1.
///
/// # Errors
/// [`ReadError`].
pub fn read(bytes: &[u8]) -> Result<TransportEnvelope, ReadError> {
    if bytes.len() > BYTES_MAX {
        let length = bytes.len();
        return Err(ReadError::TooLong { length });
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    let root = tree(&text)?;
    if root.name != "envelope" {
        return Err(ReadError::Missing("envelope"));
    }
    let mut params: Vec<&Element> = root.all("params").collect();
    if params.is_empty() {
        return Err(ReadError::Missing("params"));
    }
    params.sort_by_key(|params| {
        let index = params.attribute("index");
        index.and_then(|index| index.trim().parse::<u64>().ok())
    });
    let mut envelope = TransportEnvelope::default();
    for params in params {
        take(&mut envelope, params)?;
    }
    Ok(envelope)
}

/// Lets the fields of one `params` take the place of those of the ones before. Stamps add up.
fn take(envelope: &mut TransportEnvelope, params: &Element) -> Result<(), ReadError> {
    let aids = |name: &'static str| -> Result<Option<Vec<Aid>>, ReadError> {
        let holders: Vec<&Element> = params.all(name).collect();
        if holders.is_empty() {
            return Ok(None);
        }
        let aids = holders.iter().flat_map(|to| to.all("agent-identifier"));
        aids.map(aid).collect::<Result<Vec<_>, _>>().map(Some)
    };
    if let Some(to) = aids("to")? {
        envelope.to = to;
    }
    if let Some(from) = aids("from")? {
        envelope.from = from.into_iter().next();
    }
    if let Some(intended) = aids("intended-receiver")? {
        envelope.intended_receiver = intended;
    }
    let text = |name: &str| params.first(name).map(Element::value);
    if let Some(comments) = text("comments") {
        envelope.comments = Some(comments);
    }
    if let Some(representation) = text("acl-representation") {
        envelope.acl_representation = Some(representation);
    }
    if let Some(encoding) = text("payload-encoding").filter(|encoding| !encoding.is_empty()) {
        envelope.payload_encoding = Some(encoding);
    }
    // Length and date are advisory: what cannot be read of them is passed over.
    if let Some(length) = text("payload-length") {
        envelope.payload_length = length.parse().ok();
    }
    if let Some(when) = text("date") {
        envelope.date = date::read(&when);
    }
    for stamp in params.all("received") {
        let value = |name: &str| {
            let element = stamp.first(name)?;
            let text = element.attribute("value").map(str::to_owned);
            Some(text.unwrap_or_else(|| element.value()))
        };
        envelope.received.push(Received {
            by: value("received-by"),
            from: value("received-from"),
            date: value("received-date").and_then(|when| date::read(&when)),
            id: value("received-id"),
            via: value("received-via"),
        });
    }
    Ok(())
}

fn aid(element: &Element) -> Result<Aid, ReadError> {
    let name = element.first("name").map(Element::value);
    let name = name.ok_or(ReadError::Missing("name"))?;
    if name.is_empty() {
        return Err(ReadError::Value {
            element: "name",
            value: name,
        });
    }
    let mut aid = Aid::named(name);
    if let Some(addresses) = element.first("addresses") {
        aid.addresses = addresses.all("url").map(Element::value).collect();
    }
    if let Some(resolvers) = element.first("resolvers") {
        let resolvers = resolvers.all("agent-identifier");
        aid.resolvers = resolvers.map(self::aid).collect::<Result<_, _>>()?;
    }
    Ok(aid)
}

/// An element with what is in it.
#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The children of that name, in any case.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        let is_named = move |child: &&Element| child.name.eq_ignore_ascii_case(name);
        self.children.iter().filter(is_named)
    }

    fn first<'a>(&'a self, name: &'a str) -> Option<&'a Element> {
        self.all(name).next()
    }

    fn value(&self) -> String {
        self.text.trim().to_owned()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The one root element of a document.
fn tree(text: &str) -> Result<Element, ReadError> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().allow_dangling_amp = true;
    // Elements that are open, the outermost first. The bottom one holds the root once it is closed.
    let mut open = vec![Element::default()];
    loop {
        let offset = reader.buffer_position();
        let event = reader.read_event().map_err(|error| ReadError::Xml {
            offset,
            what: error.to_string(),
        })?;
        match event {
            Event::Start(start) => {
                if open.len() > DEPTH_MAX {
                    return Err(ReadError::TooDeep);
                }
                open.push(element(&start, offset)?);
            }
            Event::Empty(start) => add(&mut open, element(&start, offset)?),
            Event::End(_) => {
                // That it closes the innermost one, the reader has checked.
                if let Some(closed) = open.pop() {
                    add(&mut open, closed);
                }
            }
            Event::Text(text) => push(&mut open, &text.xml10_content()),
            Event::CData(text) => push(&mut open, &text.xml10_content()),
            Event::GeneralRef(entity) => {
                let char = entity.resolve_char_ref().map_err(|error| ReadError::Xml {
                    offset,
                    what: error.to_string(),
                })?;
                let name = entity.xml10_content();
                match (char, name.as_ref()) {
                    (Some(char), _) => push(&mut open, char.encode_utf8(&mut [0; 4])),
                    (None, "amp") => push(&mut open, "&"),
                    (None, "lt") => push(&mut open, "<"),
                    (None, "gt") => push(&mut open, ">"),
                    (None, "quot") => push(&mut open, "\""),
                    (None, "apos") => push(&mut open, "'"),
                    (None, other) => return Err(ReadError::Entity(cut(other))),
                }
            }
            Event::DocType(_) => return Err(ReadError::DocumentType),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    let unclosed = open.len() > 1;
    let root = open.pop().filter(|_| !unclosed);
    root.and_then(|bottom| bottom.children.into_iter().next())
        .ok_or(ReadError::Missing("envelope"))
}

fn element(start: &BytesStart<'_>, offset: u64) -> Result<Element, ReadError> {
    let bad = |what: String| ReadError::Xml { offset, what };
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| bad(error.to_string()))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| bad(error.to_string()))?;
        attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(Element {
        name: start.name().as_ref().to_owned(),
        attributes,
        ..Element::default()
    })
}

fn add(open: &mut [Element], element: Element) {
    if let Some(parent) = open.last_mut() {
        parent.children.push(element);
    }
}

fn push(open: &mut [Element], text: &str) {
    if let Some(parent) = open.last_mut() {
        parent.text.push_str(text);
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Writes an envelope as JADE needs it: one `params`, on one line, without document type, without blanks inside elements,
/// and without the resolvers and user slots of agent identifiers.
///
/// # Errors
/// [`WriteError`].
pub fn write(envelope: &TransportEnvelope) -> Result<String, WriteError> {
    let mut xml = Xml("<?xml version=\"1.0\"?>\n<envelope><params index=\"1\">".to_owned());
    xml.aids("to", &envelope.to)?;
    xml.aids("from", envelope.from.as_slice())?;
    xml.text("comments", envelope.comments.as_deref())?;
    xml.text("acl-representation", envelope.acl_representation.as_deref())?;
    let length = envelope.payload_length.map(|length| length.to_string());
    xml.text("payload-length", length.as_deref())?;
    xml.text("payload-encoding", envelope.payload_encoding.as_deref())?;
    xml.text("date", envelope.date.map(date::spell).as_deref())?;
    xml.aids("intended-receiver", &envelope.intended_receiver)?;
    for stamp in &envelope.received {
        xml.0.push_str("<received>");
        xml.stamp("received-by", stamp.by.as_deref())?;
        xml.stamp("received-from", stamp.from.as_deref())?;
        xml.stamp("received-date", stamp.date.map(date::spell).as_deref())?;
        xml.stamp("received-id", stamp.id.as_deref())?;
        xml.stamp("received-via", stamp.via.as_deref())?;
        xml.0.push_str("</received>");
    }
    xml.0.push_str("</params></envelope>");
    Ok(xml.0)
}

struct Xml(String);

impl Xml {
    fn escaped(&mut self, text: &str) -> Result<(), WriteError> {
        for char in text.chars() {
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                // Bare, these would be read as blanks or line ends.
                '\t' | '\n' | '\r' => self.0.push_str(&format!("&#{};", u32::from(char))),
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                    return Err(WriteError(cut(text)));
                }
                _ => self.0.push(char),
            }
        }
        Ok(())
    }

    fn text(&mut self, element: &str, value: Option<&str>) -> Result<(), WriteError> {
        let Some(value) = value else { return Ok(()) };
        self.0.push_str(&format!("<{element}>"));
        self.escaped(value)?;
        self.0.push_str(&format!("</{element}>"));
        Ok(())
    }

    fn stamp(&mut self, element: &str, value: Option<&str>) -> Result<(), WriteError> {
        let Some(value) = value else { return Ok(()) };
        self.0.push_str(&format!("<{element} value=\""));
        self.escaped(value)?;
        self.0.push_str("\"/>");
        Ok(())
    }

    fn aids(&mut self, element: &str, aids: &[Aid]) -> Result<(), WriteError> {
        for aid in aids {
            self.0.push_str(&format!("<{element}><agent-identifier>"));
            self.text("name", Some(&aid.name))?;
            if !aid.addresses.is_empty() {
                self.0.push_str("<addresses>");
                for address in &aid.addresses {
                    self.text("url", Some(address))?;
                }
                self.0.push_str("</addresses>");
            }
            self.0.push_str(&format!("</agent-identifier></{element}>"));
        }
        Ok(())
    }
}
