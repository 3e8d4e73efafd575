//! Writing objects in the canonical form.

use super::{Graph, Id, Layout, MARKED, Node, Shape};

/// What is left to write, the next last.
enum Work<'a> {
    Object(Id),
    Bytes(&'a [u8]),
}

impl Graph<'_> {
    /// How often each node is part of another, as far as it is part of the whole: no more than
    /// twice.
    fn uses(&self) -> Vec<u8> {
        let mut uses = vec![0_u8; self.nodes.len()];
        if let Some(whole) = uses.last_mut() {
            *whole = 1;
        }
        for (at, node) in self.nodes.iter().enumerate().rev() {
            if let Node::Whole { parts, .. } = node
                && uses.get(at).is_some_and(|uses| *uses > 0)
            {
                for part in self.parts(*parts) {
                    if let Some(uses) = uses.get_mut(*part as usize) {
                        *uses = uses.saturating_add(1).min(2);
                    }
                }
            }
        }
        uses
    }

    /// Writes the whole to the end of `out`.
    pub(super) fn write(&self, layout: Layout, out: &mut Vec<u8>) {
        let uses = self.uses();
        let mut numbers: Vec<Option<u32>> = vec![None; self.nodes.len()];
        let mut next = 0_u32;
        let mut work = vec![Work::Object(self.last())];
        while let Some(item) = work.pop() {
            let id = match item {
                Work::Bytes(bytes) => {
                    out.extend_from_slice(bytes);
                    continue;
                }
                Work::Object(id) => id as usize,
            };
            let (Some(node), Some(number)) = (self.nodes.get(id), numbers.get_mut(id)) else {
                continue;
            };
            if let Some(number) = number {
                out.push(b'r');
                out.extend_from_slice(&number.to_le_bytes());
                continue;
            }
            let mut mark = 0;
            if uses.get(id).is_some_and(|uses| *uses > 1) && !matches!(node, Node::Single(_)) {
                mark = MARKED;
                *number = Some(next);
                next += 1;
            }
            match node {
                Node::Single(kind) => out.push(*kind),
                Node::Plain { kind, content } => {
                    out.push(kind | mark);
                    out.extend_from_slice(content);
                }
                Node::Text { bytes, interned } => write_text(bytes, *interned, mark, out),
                Node::Whole { shape, parts } => {
                    write_head(shape, parts.count, mark, out);
                    let parts = self.parts(*parts);
                    let before = match shape {
                        Shape::Code { .. } => layout.objects,
                        _ => parts.len(),
                    };
                    let (before, behind) = parts.split_at_checked(before).unwrap_or((parts, &[]));
                    work.extend(behind.iter().rev().map(|part| Work::Object(*part)));
                    if let Shape::Code { line, .. } = shape {
                        work.push(Work::Bytes(line));
                    }
                    work.extend(before.iter().rev().map(|part| Work::Object(*part)));
                }
            }
        }
    }
}

/// As CPython writes it: short where it can be, with a type of its own when it is ASCII.
fn write_text(bytes: &[u8], interned: bool, mark: u8, out: &mut Vec<u8>) {
    let is_ascii = bytes.is_ascii();
    let short = u8::try_from(bytes.len()).ok().filter(|_| is_ascii);
    let kind = match (short, is_ascii, interned) {
        (Some(_), _, false) => b'z',
        (Some(_), _, true) => b'Z',
        (None, true, false) => b'a',
        (None, true, true) => b'A',
        (None, false, false) => b'u',
        (None, false, true) => b't',
    };
    out.push(kind | mark);
    match short {
        Some(length) => out.push(length),
        None => out.extend_from_slice(&count(bytes.len())),
    }
    out.extend_from_slice(bytes);
}

fn write_head(shape: &Shape<'_>, parts: usize, mark: u8, out: &mut Vec<u8>) {
    match shape {
        Shape::Tuple => match u8::try_from(parts) {
            Ok(parts) => out.extend_from_slice(&[b')' | mark, parts]),
            Err(_) => {
                out.push(b'(' | mark);
                out.extend_from_slice(&count(parts));
            }
        },
        Shape::FrozenSet => {
            out.push(b'>' | mark);
            out.extend_from_slice(&count(parts));
        }
        Shape::Slice => out.push(b':' | mark),
        Shape::Code { numbers, .. } => {
            out.push(b'c' | mark);
            out.extend_from_slice(numbers);
        }
    }
}

/// A length. All were read as numbers of this size, but for the file name's, and paths are short.
fn count(count: usize) -> [u8; 4] {
    (count as u32).to_le_bytes()
}
