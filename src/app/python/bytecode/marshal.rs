//! Marshalled code objects (CPython's `Python/marshal.c`, versions 4 and 5 of the format), read and
//! written again in one canonical form.
//!
//! What CPython writes depends on more than the source: an object is marked as one that may be
//! referred to when anything else happened to hold it at that moment, a `frozenset` of strings
//! comes in the order of a random hash, and whether two equal strings are one object and interned
//! depends on what the process had compiled before. Here an object is marked when something does
//! refer to it, marks are counted anew, the elements of a set are in order, and equal strings and
//! equal sets are one object, a string interned when one of them was: the compiler merges equal
//! constants of a module itself, only not always. Other objects that are only equal stay apart.

mod order;
mod write;

use std::collections::HashMap;

use super::format::Layout;

/// As deep as CPython reads (`MAX_MARSHAL_STACK_DEPTH`).
const DEPTH_LIMIT: usize = 2000;
/// The bit of a type byte that gives the object a number by which it can be referred to.
const MARKED: u8 = 0x80;

/// Why marshalled data is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MarshalError {
    /// It ends within an object.
    #[error("it ends too early")]
    Truncated,
    /// Bytes follow the object.
    #[error("bytes follow its end")]
    Trailing,
    /// It holds what no compiler puts into code.
    #[error("it holds an object of type {0:#04x}")]
    Type(u8),
    /// Another text where only ASCII can be.
    #[error("a string that should be ASCII is not")]
    NotAscii,
    /// A reference to an object that does not come before it.
    #[error("it refers to an object that is not there")]
    Reference,
    /// Objects in objects, too deep.
    #[error("its objects are nested too deeply")]
    Depth,
    /// Something else than a code object, or a code object where none can be.
    #[error("a code object is not where one belongs")]
    Misplaced,
}

/// Reads a marshalled code object and writes it canonically to the end of `out`, with `filename`
/// (as [`text`](self::text) spells it) as the file name of all code objects in it.
pub(super) fn relocate(
    data: &[u8],
    layout: Layout,
    filename: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), MarshalError> {
    let graph = Reader::new(data, layout, filename).read()?;
    graph.write(layout, out);
    Ok(())
}

/// The bytes of a path as marshal spells text: UTF-8, in which each byte that was none is a lone
/// surrogate, as Python decodes paths (`surrogateescape`) and writes text (`surrogatepass`).
pub(super) fn text(path: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        text.extend_from_slice(chunk.valid().as_bytes());
        for byte in chunk.invalid() {
            // U+DC80 to U+DCFF.
            text.extend_from_slice(&[0xed, 0xb0 | byte >> 6, 0x80 | byte & 0x3f]);
        }
    }
    text
}

/// Objects by number. Parts come before what they are parts of.
struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    /// The parts of all nodes.
    parts: Vec<Id>,
    sets: order::Sets,
}

type Id = u32;

/// The file name of all code objects.
const FILENAME: Id = 0;

/// One object.
#[derive(Debug, Clone, Copy)]
enum Node<'a> {
    /// One of a kind, such as `None`: its type byte. It is never referred to.
    Single(u8),
    /// A number or bytes: type byte and what follows it.
    Plain { kind: u8, content: &'a [u8] },
    /// A string, in UTF-8.
    Text { bytes: &'a [u8], interned: bool },
    /// One that has parts.
    Whole { shape: Shape<'a>, parts: Parts },
}

/// What has parts.
#[derive(Debug, Clone, Copy)]
enum Shape<'a> {
    Tuple,
    FrozenSet,
    Slice,
    /// With its numbers, and that of its first line.
    Code {
        numbers: &'a [u8],
        line: &'a [u8],
    },
}

/// Where in [`Graph::parts`].
#[derive(Debug, Clone, Copy)]
struct Parts {
    start: usize,
    count: usize,
}

struct Reader<'a> {
    rest: &'a [u8],
    layout: Layout,
    graph: Graph<'a>,
    /// What the numbers of references mean; `None` while the object is being read.
    marks: Vec<Option<Id>>,
    /// Objects whose parts are being read, outermost first.
    open: Vec<Open<'a>>,
    /// Parts of these that were read.
    ready: Vec<Id>,
    texts: HashMap<&'a [u8], Id>,
}

/// An object whose parts are being read.
struct Open<'a> {
    shape: Shape<'a>,
    /// Its parts in all.
    count: usize,
    /// Where its first part is in [`Reader::ready`].
    first: usize,
    /// Its number for references.
    mark: Option<usize>,
}

impl<'a> Reader<'a> {
    fn new(data: &'a [u8], layout: Layout, filename: &'a [u8]) -> Self {
        let filename = Node::Text {
            bytes: filename,
            interned: false,
        };
        // About as many objects as code of this size has; growing the tables costs more.
        let usual = data.len() / 16;
        let mut nodes = Vec::with_capacity(usual);
        nodes.push(filename);
        Self {
            rest: data,
            layout,
            graph: Graph {
                nodes,
                parts: Vec::with_capacity(usual),
                sets: order::Sets::default(),
            },
            marks: Vec::with_capacity(usual),
            open: Vec::new(),
            ready: Vec::new(),
            texts: HashMap::with_capacity(usual / 4),
        }
    }

    /// Reads all; the last node is the whole.
    fn read(mut self) -> Result<Graph<'a>, MarshalError> {
        loop {
            let Some(mut id) = self.object()? else {
                continue;
            };
            loop {
                let Some(open) = self.open.last_mut() else {
                    return self.finish(id);
                };
                self.ready.push(id);
                let count = self.ready.len() - open.first;
                if let Shape::Code { line, .. } = &mut open.shape
                    && count == self.layout.objects
                {
                    *line = take(&mut self.rest, 4)?;
                }
                if count < open.count {
                    break;
                }
                id = self.close()?;
            }
        }
    }

    fn finish(self, id: Id) -> Result<Graph<'a>, MarshalError> {
        let is_code = matches!(
            self.graph.nodes.last(),
            Some(Node::Whole {
                shape: Shape::Code { .. },
                ..
            })
        );
        match (is_code && id == self.graph.last(), self.rest) {
            (false, _) => Err(MarshalError::Misplaced),
            (true, []) => Ok(self.graph),
            (true, _) => Err(MarshalError::Trailing),
        }
    }

    /// Reads an object; `None` when it has parts, which come next.
    fn object(&mut self) -> Result<Option<Id>, MarshalError> {
        if self.open.len() >= DEPTH_LIMIT {
            return Err(MarshalError::Depth);
        }
        let type_byte = self.byte()?;
        let start = self.rest;
        let kind = type_byte & !MARKED;
        let interned = matches!(kind, b't' | b'A' | b'Z');
        let id = match kind {
            // CPython gives these no number, marked or not.
            b'N' | b'T' | b'F' | b'S' | b'.' => {
                return self.graph.add(Node::Single(kind)).map(Some);
            }
            b'r' => {
                let number = self.length()?;
                let node = self.marks.get(number).copied().flatten();
                return node.map(Some).ok_or(MarshalError::Reference);
            }
            b'i' => self.plain(kind, 4)?,
            b'g' => self.plain(kind, 8)?,
            b'y' => self.plain(kind, 16)?,
            b's' => {
                let length = self.length()?;
                self.rest = start;
                self.plain(kind, length.saturating_add(4))?
            }
            b'l' => {
                // The sign of the count is that of the number; digits have 15 bits.
                let count = i32::from_le_bytes(self.word()?).unsigned_abs() as usize;
                self.rest = start;
                self.plain(kind, count.saturating_mul(2).saturating_add(4))?
            }
            b'u' | b't' => {
                let length = self.length()?;
                self.text(length, interned)?
            }
            b'a' | b'A' => {
                let length = self.length()?;
                self.ascii(length, interned)?
            }
            b'z' | b'Z' => {
                let length = usize::from(self.byte()?);
                self.ascii(length, interned)?
            }
            b')' => {
                let count = usize::from(self.byte()?);
                return self.open(Shape::Tuple, count, type_byte);
            }
            b'(' => {
                let count = self.length()?;
                return self.open(Shape::Tuple, count, type_byte);
            }
            b'>' => {
                let count = self.length()?;
                return self.open(Shape::FrozenSet, count, type_byte);
            }
            b':' => return self.open(Shape::Slice, 3, type_byte),
            b'c' => {
                let numbers = take(&mut self.rest, self.layout.numbers * 4)?;
                let count = self.layout.objects + self.layout.tables;
                let line = &[];
                return self.open(Shape::Code { numbers, line }, count, type_byte);
            }
            _ => return Err(MarshalError::Type(type_byte)),
        };
        if type_byte & MARKED != 0 {
            self.marks.push(Some(id));
        }
        Ok(Some(id))
    }

    fn ascii(&mut self, length: usize, interned: bool) -> Result<Id, MarshalError> {
        let bytes = self.rest.get(..length).ok_or(MarshalError::Truncated)?;
        // CPython would read it as Latin-1, but never writes such.
        if !bytes.is_ascii() {
            return Err(MarshalError::NotAscii);
        }
        self.text(length, interned)
    }

    /// The node of a string of the next `length` bytes, which is one with all that are equal.
    fn text(&mut self, length: usize, interned: bool) -> Result<Id, MarshalError> {
        let bytes = take(&mut self.rest, length)?;
        if let Some(id) = self.texts.get(bytes) {
            if let Some(Node::Text { interned: any, .. }) = self.graph.nodes.get_mut(*id as usize)
                && interned
                && !is_single(bytes)
            {
                *any = true;
            }
            return Ok(*id);
        }
        let interned = match is_single(bytes) {
            true => bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'),
            false => interned,
        };
        let id = self.graph.add(Node::Text { bytes, interned })?;
        self.texts.insert(bytes, id);
        Ok(id)
    }

    /// A node of the next `length` bytes.
    fn plain(&mut self, kind: u8, length: usize) -> Result<Id, MarshalError> {
        let content = take(&mut self.rest, length)?;
        self.graph.add(Node::Plain { kind, content })
    }

    fn open(
        &mut self,
        shape: Shape<'a>,
        count: usize,
        type_byte: u8,
    ) -> Result<Option<Id>, MarshalError> {
        let mark = (type_byte & MARKED != 0).then(|| {
            self.marks.push(None);
            self.marks.len() - 1
        });
        self.open.push(Open {
            shape,
            count,
            first: self.ready.len(),
            mark,
        });
        if count == 0 {
            return self.close().map(Some);
        }
        Ok(None)
    }

    /// Makes a node of the innermost open object, all parts of which were read.
    fn close(&mut self) -> Result<Id, MarshalError> {
        let open = self.open.pop().ok_or(MarshalError::Truncated)?;
        let start = self.graph.parts.len();
        self.graph.parts.extend(self.ready.drain(open.first..));
        let parts = Parts {
            start,
            count: open.count,
        };
        let node = Node::Whole {
            shape: open.shape,
            parts,
        };
        let id = match open.shape {
            Shape::FrozenSet => self.graph.add_set(parts)?,
            Shape::Code { .. } => {
                if let Some(part) = self.graph.parts.get_mut(start + self.layout.filename) {
                    *part = FILENAME;
                }
                self.graph.add(node)?
            }
            Shape::Tuple | Shape::Slice => self.graph.add(node)?,
        };
        if let Some(mark) = open.mark.and_then(|mark| self.marks.get_mut(mark)) {
            *mark = Some(id);
        }
        Ok(id)
    }

    fn byte(&mut self) -> Result<u8, MarshalError> {
        let (byte, rest) = self.rest.split_first().ok_or(MarshalError::Truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn word(&mut self) -> Result<[u8; 4], MarshalError> {
        let split = self.rest.split_first_chunk::<4>();
        let (word, rest) = split.ok_or(MarshalError::Truncated)?;
        self.rest = rest;
        Ok(*word)
    }

    /// A length, count or number of a reference.
    fn length(&mut self) -> Result<usize, MarshalError> {
        // One that is negative or does not fit is more than what is left.
        Ok(usize::try_from(u32::from_le_bytes(self.word()?)).unwrap_or(usize::MAX))
    }
}

/// Whether CPython has only one object for this text, of at most one character up to U+00FF.
/// Whether that is interned depends on what else the process compiled and makes no difference; here
/// it is when it could be a name in ASCII, as the compiler has it for constants.
fn is_single(text: &[u8]) -> bool {
    matches!(text, [] | [_] | [0xc2 | 0xc3, _])
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], MarshalError> {
    let (taken, left) = rest
        .split_at_checked(length)
        .ok_or(MarshalError::Truncated)?;
    *rest = left;
    Ok(taken)
}

impl<'a> Graph<'a> {
    fn add(&mut self, node: Node<'a>) -> Result<Id, MarshalError> {
        let id = Id::try_from(self.nodes.len()).map_err(|_| MarshalError::Depth)?;
        self.nodes.push(node);
        Ok(id)
    }

    fn last(&self) -> Id {
        // `add` lets no more nodes in than there are numbers.
        self.nodes.len().saturating_sub(1) as Id
    }

    fn parts(&self, parts: Parts) -> &[Id] {
        let end = parts.start + parts.count;
        self.parts.get(parts.start..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
