//! `.note.dlopen` (UAPI.12): what an object says it opens by `dlopen`.

use std::ffi::OsString;

use serde::Deserialize;

use super::DlopenNote;
use crate::elf::{ByteOrder, Priority};

const OWNER: &[u8] = b"FDO\0";
const TYPE: u32 = 0x407c_0c0a;

/// One entry as it stands in the JSON.
#[derive(Deserialize)]
struct Entry {
    soname: Sonames,
    feature: Option<String>,
    description: Option<String>,
    priority: Option<String>,
}

/// `soname` is an array; in the form before version 1.0, a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sonames {
    Many(Vec<String>),
    One(String),
}

/// A note holds an array of entries; in the form before version 1.0, one entry.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Many(Vec<Entry>),
    One(Entry),
}

/// The notes in `segment`, the content of a `PT_NOTE`, with each note aligned to `align` bytes.
/// Notes of other kinds are passed over; malformed ones are told in `warnings`.
pub(super) fn dlopen_notes(
    segment: &[u8],
    align: u64,
    order: ByteOrder,
    warnings: &mut Vec<String>,
) -> Vec<DlopenNote> {
    // gABI: 4, or 8 in segments that say so. Anything else is read as 4, as others do.
    let align = if align == 8 { 8 } else { 4 };
    let mut found = Vec::new();
    let mut at = 0_usize;
    while let Some(note) = Note::parse(segment, at, align, order) {
        if note.owner == OWNER && note.kind == TYPE {
            match entries(note.body) {
                Ok(entries) => found.extend(entries),
                Err(why) => warnings.push(format!(".note.dlopen is ignored: {why}")),
            }
        }
        at = note.next;
    }
    found
}

struct Note<'a> {
    owner: &'a [u8],
    kind: u32,
    body: &'a [u8],
    next: usize,
}

impl<'a> Note<'a> {
    /// The note at `at`; `None` at the end, or when it reaches past it. Each is 12 bytes at
    /// least, so a walk ends.
    fn parse(segment: &'a [u8], at: usize, align: usize, order: ByteOrder) -> Option<Self> {
        let word = |at: usize| {
            let bytes = *segment.get(at..)?.first_chunk::<4>()?;
            Some(match order {
                ByteOrder::Little => u32::from_le_bytes(bytes),
                ByteOrder::Big => u32::from_be_bytes(bytes),
            })
        };
        let owner_size = usize::try_from(word(at)?).ok()?;
        let body_size = usize::try_from(word(at.checked_add(4)?)?).ok()?;
        let kind = word(at.checked_add(8)?)?;
        let owner = at.checked_add(12)?;
        let owner_end = owner.checked_add(owner_size)?;
        let body = owner_end.checked_next_multiple_of(align)?;
        let body_end = body.checked_add(body_size)?;
        Some(Self {
            owner: segment.get(owner..owner_end)?,
            kind,
            body: segment.get(body..body_end)?,
            next: body_end.checked_next_multiple_of(align)?,
        })
    }
}

fn entries(body: &[u8]) -> Result<Vec<DlopenNote>, String> {
    // The text ends at the first NUL; padding may follow.
    let text = body.split(|byte| *byte == 0).next().unwrap_or_default();
    let body: Body = serde_json::from_slice(text)
        .map_err(|_| "it is no JSON array of objects that have a soname".to_string())?;
    let entries = match body {
        Body::Many(entries) => entries,
        Body::One(entry) => vec![entry],
    };
    entries.into_iter().map(entry).collect()
}

fn entry(entry: Entry) -> Result<DlopenNote, String> {
    let sonames = match entry.soname {
        Sonames::Many(sonames) => sonames,
        Sonames::One(soname) => vec![soname],
    };
    if sonames.is_empty()
        || sonames
            .iter()
            .any(|name| name.is_empty() || name.contains('\0'))
    {
        return Err("an entry names no library".to_string());
    }
    let priority = match entry.priority.as_deref() {
        Some("required") => Priority::Required,
        Some("suggested") => Priority::Suggested,
        // The default; and the careful reading of a word that a later version may bring.
        _ => Priority::Recommended,
    };
    Ok(DlopenNote {
        sonames: sonames.into_iter().map(OsString::from).collect(),
        feature: entry.feature,
        description: entry.description,
        priority,
    })
}
