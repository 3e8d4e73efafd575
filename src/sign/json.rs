//! JSON that every reader reads alike.
//!
//! What is signed is read by programs that differ: of two members of one name some take the first
//! and some the last, and Go's `encoding/json` takes `Critical` for `critical`. A document that is
//! open to this could be verified as one thing and used as another, so it is refused.

use std::cell::{Cell, RefCell};
use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::DocumentError;

/// How large a document may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In bytes.
    pub(super) bytes: usize,
    /// In values, each of which takes some memory: a few bytes of JSON become hundreds.
    pub(super) values: usize,
}

/// Reads a document of which no object has two members of one name. Nested deeper than 127 levels
/// it is refused by `serde_json` itself.
///
/// # Errors
/// When it is larger than `limits`, no JSON, or has a member twice.
pub(super) fn read(
    what: &'static str,
    bytes: &[u8],
    limits: Limits,
) -> Result<Value, DocumentError> {
    if bytes.len() > limits.bytes {
        return Err(DocumentError::TooLarge {
            what,
            size: bytes.len(),
            most: limits.bytes,
        });
    }
    let state = State {
        left: Cell::new(limits.values),
        problem: RefCell::new(None),
    };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Unique(&state)
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| match state.problem.take() {
        Some(Problem::Twice(member)) => DocumentError::Twice { what, member },
        Some(Problem::TooMany) => DocumentError::TooManyValues {
            what,
            most: limits.values,
        },
        None => DocumentError::Shape {
            what,
            problem: error.to_string(),
        },
    })
}

/// What was met so far.
struct State {
    left: Cell<usize>,
    problem: RefCell<Option<Problem>>,
}

/// What `serde_json` cannot tell apart.
enum Problem {
    Twice(String),
    TooMany,
}

impl State {
    fn stop<E: Error>(&self, problem: Problem) -> E {
        self.problem.replace(Some(problem));
        E::custom("stopped")
    }

    fn count<E: Error>(&self) -> Result<(), E> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(self.stop(Problem::TooMany)),
        }
    }
}

/// A value whose objects have each member once.
#[derive(Clone, Copy)]
struct Unique<'a>(&'a State);

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            found.push(item);
        }
        Ok(Value::Array(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut found = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if found.contains_key(&name) {
                return Err(self.0.stop(Problem::Twice(shown(&name))));
            }
            let value = members.next_value_seed(self)?;
            found.insert(name, value);
        }
        Ok(Value::Object(found))
    }
}

/// An object of a document, from which the members that are known are taken.
#[derive(Debug)]
pub(super) struct Object {
    what: &'static str,
    /// Where in the document, with a dot behind: `critical.image.`
    place: String,
    members: Map<String, Value>,
}

impl Object {
    /// The object that a document is.
    ///
    /// # Errors
    /// When it is none, or has a member that some readers take for one of `known`.
    pub(super) fn new(
        what: &'static str,
        value: Value,
        known: &[&str],
    ) -> Result<Self, DocumentError> {
        Self::at(what, String::new(), value, known)
    }

    /// The object at a place of a document, which ends with a dot.
    ///
    /// # Errors
    /// As [`Object::new`].
    pub(super) fn at(
        what: &'static str,
        place: String,
        value: Value,
        known: &[&str],
    ) -> Result<Self, DocumentError> {
        let Value::Object(members) = value else {
            let at = place.trim_end_matches('.');
            let at = if at.is_empty() { "it" } else { at };
            return Err(DocumentError::Shape {
                what,
                problem: format!("{at} is no object"),
            });
        };
        for name in members.keys() {
            if known.contains(&name.as_str()) {
                continue;
            }
            if let Some(meant) = known.iter().find(|meant| is_alike(name, meant)) {
                return Err(DocumentError::Alike {
                    what,
                    member: format!("{place}{}", shown(name)),
                    meant: (*meant).to_owned(),
                });
            }
        }
        Ok(Self {
            what,
            place,
            members,
        })
    }

    /// Whether it has a member, which is not `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|value| !value.is_null())
    }

    /// A member. `null` is as good as none, as it is to Go and in the JSON of Protocol Buffers.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, name: &str) -> Result<String, DocumentError> {
        self.optional_text(name)?
            .ok_or_else(|| self.missing(name, "text"))
    }

    /// A text that may be there.
    pub(super) fn optional_text(&mut self, name: &str) -> Result<Option<String>, DocumentError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.other(name, "text")),
        }
    }

    /// A text that must be there, and is base64 of either alphabet, with padding or without: the
    /// DSSE protocol and Protocol Buffers let writers choose. Bits that say nothing must be zero.
    pub(super) fn base64(&mut self, name: &str) -> Result<Vec<u8>, DocumentError> {
        let text = self.text(name)?;
        let engine = if text.contains(['-', '_']) {
            &URL_SAFE
        } else {
            &STANDARD
        };
        engine.decode(text).map_err(|_| DocumentError::Base64 {
            what: self.what,
            member: self.path(name),
        })
    }

    /// An object that must be there.
    pub(super) fn object(&mut self, name: &str, known: &[&str]) -> Result<Self, DocumentError> {
        match self.take(name) {
            None => Err(self.missing(name, "object")),
            Some(value) => Self::at(self.what, self.path(name) + ".", value, known),
        }
    }

    /// The members of an object that may be there, whatever they are called.
    pub(super) fn map(&mut self, name: &str) -> Result<Map<String, Value>, DocumentError> {
        match self.take(name) {
            None => Ok(Map::new()),
            Some(Value::Object(members)) => Ok(members),
            Some(_) => Err(self.other(name, "object")),
        }
    }

    /// A list that may be there.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, DocumentError> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.other(name, "list")),
        }
    }

    /// Refuses members that were not taken, other than `null`.
    pub(super) fn nothing_else(&self) -> Result<(), DocumentError> {
        match self.members.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, _)) => Err(DocumentError::Shape {
                what: self.what,
                problem: format!("{} is no member of it", self.path(&shown(name))),
            }),
        }
    }

    /// Where a member is: `critical.image.docker-manifest-digest`.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    fn missing(&self, name: &str, kind: &str) -> DocumentError {
        DocumentError::Shape {
            what: self.what,
            problem: format!("there is no {kind} {}", self.path(name)),
        }
    }

    fn other(&self, name: &str, kind: &str) -> DocumentError {
        DocumentError::Shape {
            what: self.what,
            problem: format!("{} is no {kind}", self.path(name)),
        }
    }
}

const EITHER_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER_PADDING);

/// Whether some reader takes `name` for `known`: Go's `encoding/json` folds case, of the long s and
/// the Kelvin sign, too, and Protocol Buffers have a name with underscores for each.
fn is_alike(name: &str, known: &str) -> bool {
    let folded = name.chars().map(|letter| match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(known.chars().map(|letter| letter.to_ascii_lowercase())) || name == snake(known)
}

/// `predicateType` as `predicate_type`.
fn snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// A text of a document for an error: not longer than what helps, without control characters.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// The JSON of what has texts for keys.
pub(super) fn written(value: &impl serde::Serialize) -> Vec<u8> {
    // Nothing that is written here can fail: no key is other than a text, and memory has no
    // errors.
    serde_json::to_vec(value).unwrap_or_default()
}

/// The same as Go's `encoding/json` writes it: safe inside HTML. These characters stand in
/// nothing but texts.
pub(super) fn written_for_html(value: &impl serde::Serialize) -> Vec<u8> {
    let json = written(value);
    let mut safe = Vec::with_capacity(json.len());
    let mut rest = json.as_slice();
    while let Some((&byte, behind)) = rest.split_first() {
        let (escaped, length): (&[u8], usize) = match (byte, behind) {
            (b'<', _) => (b"\\u003c", 1),
            (b'>', _) => (b"\\u003e", 1),
            (b'&', _) => (b"\\u0026", 1),
            // The line and the paragraph separator, U+2028 and U+2029.
            (0xe2, [0x80, 0xa8, ..]) => (b"\\u2028", 3),
            (0xe2, [0x80, 0xa9, ..]) => (b"\\u2029", 3),
            _ => (rest.get(..1).unwrap_or_default(), 1),
        };
        safe.extend_from_slice(escaped);
        rest = rest.get(length..).unwrap_or_default();
    }
    safe
}

#[cfg(test)]
pub(super) mod tests;
