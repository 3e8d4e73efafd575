//! Paragraphs of fields, as Debian's control files and indices have them (deb822(5)).

use std::io::BufRead;

/// Fields of one paragraph at the most: a package of the archive has some thirty. Looking for
/// repeated ones takes time with the square.
const FIELD_LIMIT: usize = 1_000;

/// Text that is no paragraph of fields. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A line without a colon that continues nothing.
    #[error("line {line}: {text:?} is no field: NAME: VALUE is expected")]
    NoField {
        /// The line.
        line: usize,
        /// How it starts.
        text: String,
    },
    /// A continuation line that no field is before.
    #[error(
        "line {line} starts with a blank, as if it continued a field, but there is none before it"
    )]
    Orphan {
        /// The line.
        line: usize,
    },
    /// One field twice in a paragraph: readers would disagree which one counts.
    #[error("line {line}: the field {field} is there a second time in its paragraph")]
    Repeated {
        /// The line of the second.
        line: usize,
        /// Its name.
        field: String,
    },
    /// More fields in a paragraph than anything real has.
    #[error("line {line}: the paragraph has more than {FIELD_LIMIT} fields")]
    TooMany {
        /// The line at which it was given up.
        line: usize,
    },
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// It separates paragraphs.
    Blank,
    /// It starts with `#`.
    Comment,
    /// It continues the field before it; with its leading blanks.
    More(&'a [u8]),
    /// It starts a field.
    Field {
        /// The name, as it is written.
        name: &'a [u8],
        /// What follows the colon on this line, without blanks around it.
        value: &'a [u8],
    },
}

/// The lines of a control file. A file of a whole archive passes here: nothing is allocated.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    /// The lines of `text`.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text,
            number: 0,
        }
    }

    /// The number of the line that came last; 0 before the first.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// How many bytes are left.
    fn left(&self) -> usize {
        self.rest.len()
    }

    fn cut(&mut self) -> Option<&'a [u8]> {
        let all = self.rest;
        // Reading from memory cannot fail. The standard library searches by whole words here,
        // which an iterator over bytes would not.
        let length = self.rest.skip_until(b'\n').unwrap_or(0);
        if length == 0 {
            return None;
        }
        self.number += 1;
        let line = all.get(..length).unwrap_or(all);
        Some(line.strip_suffix(b"\n").unwrap_or(line))
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, ControlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.cut()?;
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
        Some(Ok(match line.first() {
            None => Line::Blank,
            // Policy 5.1 lets a parser take lines of blanks alone for separators.
            Some(first) if blank(first) => {
                if line.iter().all(blank) {
                    Line::Blank
                } else {
                    Line::More(line.trim_ascii_end())
                }
            }
            Some(b'#') => Line::Comment,
            Some(_) => match field(line) {
                Some((name, value)) => Line::Field { name, value },
                None => {
                    return Some(Err(ControlError::NoField {
                        line: self.number,
                        text: String::from_utf8_lossy(line).chars().take(60).collect(),
                    }));
                }
            },
        }))
    }
}

/// Splits `NAME: VALUE`. A name is printable ASCII without blanks and does not start with `-`
/// (Policy 5.1).
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let named = !name.is_empty()
        && !name.starts_with(b"-")
        && name.iter().all(|byte| byte.is_ascii_graphic());
    named.then(|| (name, value.get(1..).unwrap_or_default().trim_ascii()))
}

/// A paragraph: fields, each once, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paragraph<'a> {
    text: &'a str,
    line: usize,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Paragraph<'a> {
    /// The value of a field, whatever the case of its name, without blanks around it. A value of
    /// several lines has them as they are in the file: with the blank that each starts with, and
    /// with comments in between, if there are any.
    pub fn get(&self, field: &str) -> Option<&'a str> {
        self.fields()
            .find(|(name, _)| name.eq_ignore_ascii_case(field))
            .map(|(_, value)| value)
    }

    /// The lines of a field's value, without blanks around them, less empty ones and comments.
    pub fn lines(&self, field: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.get(field)
            .unwrap_or_default()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::trim)
            .filter(|line| !line.is_empty())
    }

    /// The paragraph as it is in the file, from its first field to the end of its last.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The number of its first line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Names and values, in the order of the file.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.fields.iter().copied()
    }
}

/// The paragraphs of a control file. The first error is the last item.
///
/// Lines that start with `#` are comments, which only some of these files may have; in one that
/// may not, no field starts so either.
pub fn paragraphs(text: &str) -> impl Iterator<Item = Result<Paragraph<'_>, ControlError>> {
    Paragraphs {
        text,
        lines: Lines::new(text.as_bytes()),
        failed: false,
    }
}

struct Paragraphs<'a> {
    text: &'a str,
    lines: Lines<'a>,
    failed: bool,
}

/// A paragraph that is being read, by offsets into the text.
struct Open<'a> {
    start: usize,
    end: usize,
    line: usize,
    /// Name, and where its value starts and ends.
    fields: Vec<(&'a str, usize, usize)>,
}

impl<'a> Open<'a> {
    fn close(self, text: &'a str) -> Paragraph<'a> {
        let slice = |start, end| text.get(start..end).unwrap_or_default();
        Paragraph {
            text: slice(self.start, self.end).trim_end(),
            line: self.line,
            fields: self
                .fields
                .into_iter()
                .map(|(name, start, end)| (name, slice(start, end).trim()))
                .collect(),
        }
    }
}

impl<'a> Paragraphs<'a> {
    fn paragraph(&mut self) -> Result<Option<Paragraph<'a>>, ControlError> {
        let mut open: Option<Open<'a>> = None;
        loop {
            let start = self.text.len() - self.lines.left();
            let Some(line) = self.lines.next() else {
                break;
            };
            let end = self.text.len() - self.lines.left();
            let number = self.lines.number();
            match line? {
                Line::Comment => {}
                Line::Blank if open.is_none() => {}
                Line::Blank => break,
                Line::More(_) => {
                    let paragraph = open.as_mut().ok_or(ControlError::Orphan { line: number })?;
                    paragraph.end = end;
                    if let Some((.., value_end)) = paragraph.fields.last_mut() {
                        *value_end = end;
                    }
                }
                Line::Field { name, .. } => {
                    let name = self.text.get(start..start + name.len()).unwrap_or_default();
                    let paragraph = open.get_or_insert_with(|| Open {
                        start,
                        end,
                        line: number,
                        fields: Vec::new(),
                    });
                    paragraph.end = end;
                    let is_same =
                        |(other, ..): &(&str, usize, usize)| other.eq_ignore_ascii_case(name);
                    if paragraph.fields.iter().any(is_same) {
                        return Err(ControlError::Repeated {
                            line: number,
                            field: name.to_owned(),
                        });
                    }
                    if paragraph.fields.len() == FIELD_LIMIT {
                        return Err(ControlError::TooMany { line: number });
                    }
                    paragraph.fields.push((name, start + name.len() + 1, end));
                }
            }
        }
        Ok(open.map(|open| open.close(self.text)))
    }
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Result<Paragraph<'a>, ControlError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.paragraph();
        self.failed = next.is_err();
        next.transpose()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Paragraph<'_>>, ControlError> {
        paragraphs(text).collect()
    }

    #[test]
    fn fields_are_found_whatever_their_case() {
        let text = "\n\nPackage: a\nDEPENDS:  b,\n c \nEmpty:\n\n \t\nPackage:x\n";
        let both = all(text).unwrap();
        assert_eq!(both.len(), 2);
        assert_eq!(both[0].get("package"), Some("a"));
        assert_eq!(both[0].get("Depends"), Some("b,\n c"));
        assert_eq!(both[0].get("empty"), Some(""));
        assert_eq!(both[0].get("absent"), None);
        assert_eq!(both[0].text(), "Package: a\nDEPENDS:  b,\n c \nEmpty:");
        assert_eq!((both[0].line(), both[1].line()), (3, 9));
        assert_eq!(both[1].fields().collect::<Vec<_>>(), [("Package", "x")]);
    }

    #[test]
    fn comments_are_no_part_of_a_field() {
        let text = "# first\nTypes: deb\n# between\nURIs: a\n  b\n# within\n  c\n#\n";
        let one = &all(text).unwrap()[0];
        assert_eq!(one.get("Types"), Some("deb"));
        assert_eq!(one.lines("URIs").collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn a_file_with_carriage_returns_reads_the_same() {
        let text = "A: 1\nB: 2\n 3\n\nA: 4\n";
        let dos = text.replace('\n', "\r\n");
        let values = |text: &str| -> Vec<String> {
            let all = all(text).unwrap();
            let values = all
                .iter()
                .flat_map(|it| it.fields().map(|(_, value)| value.to_owned()));
            values.map(|value| value.replace('\r', "")).collect()
        };
        assert_eq!(values(text), ["1", "2\n 3", "4"]);
        assert_eq!(values(text), values(&dos));
    }

    #[test]
    fn errors_name_the_line_and_end_the_list() {
        let read = |text: &str| paragraphs(text).last().unwrap().unwrap_err();
        assert_eq!(read(" x\n"), ControlError::Orphan { line: 1 });
        assert_eq!(
            read("A: 1\n\nB: 1\nb: 2\n\nC: 3\n"),
            ControlError::Repeated {
                line: 4,
                field: "b".to_owned()
            }
        );
        assert!(matches!(
            read("A: 1\nwhat is this\n"),
            ControlError::NoField { line: 2, .. }
        ));
        for name in ["-a", "a b", "", "é"] {
            assert!(matches!(
                read(&format!("{name}: 1\n")),
                ControlError::NoField { line: 1, .. }
            ));
        }
        let many: String = (0..=FIELD_LIMIT)
            .map(|number| format!("F{number}: x\n"))
            .collect();
        assert_eq!(
            read(&many),
            ControlError::TooMany {
                line: FIELD_LIMIT + 1
            }
        );
    }

    #[test]
    fn text_of_any_kind_is_read_or_refused() {
        use proptest::prelude::*;
        proptest!(|(text in "([A-Za-z-]{1,5}:[ a-z\u{e9}\r]{0,4}\n|[ \t#]?[a-z\u{e9}]{0,3}\n|\n)*")| {
            let mut rest = text.as_str();
            for paragraph in paragraphs(&text) {
                let Ok(paragraph) = paragraph else { break };
                // In order, each a part of the text, with fields that are parts of it.
                let at = rest.find(paragraph.text()).unwrap();
                rest = &rest[at + paragraph.text().len()..];
                prop_assert!(paragraph.fields().count() > 0);
                for (name, value) in paragraph.fields() {
                    prop_assert!(paragraph.text().contains(name) && paragraph.text().contains(value));
                    prop_assert_eq!(paragraph.get(name), Some(value));
                }
            }
        });
    }
}
