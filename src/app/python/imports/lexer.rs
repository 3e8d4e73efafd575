//! The words of a Python source, by the language reference's chapter on lexical analysis, as far as
//! they are needed to tell code from strings and comments, and where statements begin.

/// How deep f-strings may nest, as in CPython (`MAXFSTRINGLEVEL`), in their texts and fields.
const NESTING_LIMIT: usize = 300;
/// Columns between tab stops.
const TAB: usize = 8;

/// A part of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A logical line that is not blank begins, in this column.
    Line {
        /// The column that its indentation leads to.
        column: usize,
    },
    /// A name, keyword or number.
    Word(&'a [u8]),
    /// A string; what is between its quotes, when it is that as it stands: not bytes, not
    /// formatted, without a backslash.
    Text(Option<&'a [u8]>),
    /// Any other byte.
    Mark(u8),
}

/// Cuts a source into tokens, in one pass and without recursion.
pub(super) struct Lexer<'a> {
    source: &'a [u8],
    at: usize,
    peeked: Option<Token<'a>>,
    /// Whether a logical line begins.
    at_line: bool,
    /// Brackets that are open.
    depth: usize,
    /// The f-strings that are open, outermost first.
    inside: Vec<Inside>,
}

/// Where in an f-string.
#[derive(Debug, Clone, Copy)]
enum Inside {
    /// In its text, or in the format that follows a field's colon.
    Text(Quote),
    /// In a field's expression, at this depth of brackets.
    Field { depth: usize, quote: Quote },
    /// In the format of a field.
    Format(Quote),
}

/// How a string ends.
#[derive(Debug, Clone, Copy)]
struct Quote {
    byte: u8,
    triple: bool,
    raw: bool,
}

/// What the letters before a quote say.
#[derive(Debug, Clone, Copy, Default)]
struct Prefix {
    raw: bool,
    bytes: bool,
    formatted: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a [u8]) -> Self {
        Self {
            source: source.strip_prefix(b"\xef\xbb\xbf").unwrap_or(source),
            at: 0,
            peeked: None,
            at_line: true,
            depth: 0,
            inside: Vec::new(),
        }
    }

    /// Whether the last token taken is in brackets or in a field of an f-string.
    pub(super) fn is_nested(&self) -> bool {
        self.depth > 0 || !self.inside.is_empty()
    }

    pub(super) fn peek(&mut self) -> Option<Token<'a>> {
        if self.peeked.is_none() {
            self.peeked = self.token();
        }
        self.peeked
    }

    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        match self.peeked.take() {
            Some(token) => Some(token),
            None => self.token(),
        }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn token(&mut self) -> Option<Token<'a>> {
        loop {
            match self.inside.last() {
                Some(Inside::Text(quote) | Inside::Format(quote)) => {
                    let quote = *quote;
                    self.formatted_text(quote);
                    if self.at >= self.source.len() {
                        return None;
                    }
                    continue;
                }
                Some(Inside::Field { .. }) => {}
                None if self.at_line => return self.line(),
                None => {}
            }
            let byte = self.byte(0)?;
            match byte {
                b' ' | b'\t' | b'\x0c' | b'\0' => self.at += 1,
                b'\n' | b'\r' => {
                    self.at += 1;
                    self.at_line = !self.is_nested();
                }
                b'#' => self.comment(),
                b'\\' => self.continuation(),
                b'\'' | b'"' => match self.string(Prefix::default()) {
                    Some(token) => return Some(token),
                    None => continue,
                },
                byte if is_word(byte) => {
                    let word = self.word();
                    if !matches!(self.byte(0), Some(b'\'' | b'"')) {
                        return Some(Token::Word(word));
                    }
                    let Some(prefix) = Prefix::of(word) else {
                        return Some(Token::Word(word));
                    };
                    match self.string(prefix) {
                        Some(token) => return Some(token),
                        None => continue,
                    }
                }
                byte => {
                    self.at += 1;
                    if !self.field_mark(byte) {
                        return Some(Token::Mark(byte));
                    }
                }
            }
        }
    }

    /// The beginning of the next line that is not blank.
    fn line(&mut self) -> Option<Token<'a>> {
        let mut column = 0;
        loop {
            match self.byte(0)? {
                b' ' => column += 1,
                b'\t' => column = (column / TAB + 1) * TAB,
                b'\x0c' | b'\n' | b'\r' => column = 0,
                b'#' => {
                    self.comment();
                    continue;
                }
                _ => {
                    self.at_line = false;
                    return Some(Token::Line { column });
                }
            }
            self.at += 1;
        }
    }

    /// Passes over a comment, up to the end of the line.
    fn comment(&mut self) {
        let rest = self.rest();
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        self.at += end.unwrap_or(rest.len());
    }

    /// Passes over a backslash, and the end of a line behind it.
    fn continuation(&mut self) {
        self.at += match (self.byte(1), self.byte(2)) {
            (Some(b'\r'), Some(b'\n')) => 3,
            (Some(b'\n' | b'\r'), _) => 2,
            _ => 1,
        };
    }

    fn word(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|byte| !is_word(*byte));
        let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.at += word.len();
        word
    }

    /// Counts brackets; whether the mark belongs to a field of an f-string and is no token.
    fn field_mark(&mut self, mark: u8) -> bool {
        if let Some(Inside::Field { depth, quote }) = self.inside.last().copied()
            && self.depth <= depth
        {
            match mark {
                b'}' => {
                    self.inside.pop();
                    return true;
                }
                b':' => {
                    self.inside.push(Inside::Format(quote));
                    return true;
                }
                // Nothing closes a bracket from before the field.
                b')' | b']' => return false,
                _ => {}
            }
        }
        match mark {
            b'(' | b'[' | b'{' => self.depth += 1,
            b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }

    /// A string that begins here with its quote; `None` for an f-string, which was only opened.
    fn string(&mut self, prefix: Prefix) -> Option<Token<'a>> {
        let byte = self.byte(0)?;
        let triple = self.byte(1) == Some(byte) && self.byte(2) == Some(byte);
        let quote = Quote {
            byte,
            triple,
            raw: prefix.raw,
        };
        self.at += quote.length();
        if prefix.formatted && self.inside.len() < NESTING_LIMIT {
            self.inside.push(Inside::Text(quote));
            return None;
        }
        let start = self.at;
        let mut plain = !prefix.bytes && !prefix.formatted;
        let end = loop {
            let special = |at: &u8| *at == byte || matches!(at, b'\\' | b'\n' | b'\r');
            let rest = self.rest();
            let Some(ahead) = rest.iter().position(special) else {
                self.at = self.source.len();
                return Some(Token::Text(None));
            };
            self.at += ahead;
            match self.byte(0) {
                Some(b'\\') => {
                    plain = false;
                    self.at += 2;
                }
                Some(b'\n' | b'\r') if triple => self.at += 1,
                // An error in the source: the line's end bounds what it spoils.
                Some(b'\n' | b'\r') => return Some(Token::Text(None)),
                _ if self.closes(quote) => break self.at,
                _ => self.at += 1,
            }
        };
        self.at += quote.length();
        let text = self.source.get(start..end);
        Some(Token::Text(text.filter(|_| plain)))
    }

    /// Whether the quote stands here.
    fn closes(&self, quote: Quote) -> bool {
        let rest = self.rest();
        let wanted = [quote.byte; 3];
        rest.starts_with(wanted.get(..quote.length()).unwrap_or(&wanted))
    }

    /// Passes over the text of an f-string, up to a field or its end.
    fn formatted_text(&mut self, quote: Quote) {
        let format = matches!(self.inside.last(), Some(Inside::Format(_)));
        while let Some(byte) = self.byte(0) {
            match byte {
                b'\\' => self.escape(quote),
                b'\n' | b'\r' if !quote.triple => return self.close_string(),
                b'{' if !format && self.byte(1) == Some(b'{') => self.at += 2,
                b'{' => {
                    self.at += 1;
                    if self.inside.len() < NESTING_LIMIT {
                        let depth = self.depth;
                        self.inside.push(Inside::Field { depth, quote });
                        return;
                    }
                }
                b'}' if format => {
                    self.at += 1;
                    // The format, and the field that it belongs to.
                    self.inside.pop();
                    self.inside.pop();
                    return;
                }
                byte if byte == quote.byte && self.closes(quote) => {
                    self.at += quote.length();
                    return self.close_string();
                }
                _ => self.at += 1,
            }
        }
    }

    /// Passes over a backslash in the text of an f-string and what it makes of the next byte.
    fn escape(&mut self, quote: Quote) {
        self.at += match (self.byte(1), self.byte(2)) {
            // A brace opens a field all the same.
            (Some(b'{' | b'}'), _) => 1,
            (Some(b'N'), Some(b'{')) if !quote.raw => 3,
            _ => 2,
        };
    }

    /// Leaves the innermost f-string, from whatever part of it.
    fn close_string(&mut self) {
        while let Some(inside) = self.inside.pop() {
            match inside {
                Inside::Text(_) => return,
                Inside::Field { depth, .. } => self.depth = depth,
                Inside::Format(_) => {}
            }
        }
    }
}

impl Quote {
    fn length(self) -> usize {
        if self.triple { 3 } else { 1 }
    }
}

impl Prefix {
    /// What `word` means directly before a quote, if it is a prefix of strings.
    fn of(word: &[u8]) -> Option<Self> {
        if word.len() > 2 {
            return None;
        }
        let mut prefix = Self::default();
        for letter in word {
            match letter.to_ascii_lowercase() {
                b'r' => prefix.raw = true,
                b'b' => prefix.bytes = true,
                b'f' | b't' => prefix.formatted = true,
                b'u' => {}
                _ => return None,
            }
        }
        Some(prefix)
    }
}

/// Whether a byte can be part of a name, keyword or number.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
