//! What a JavaScript source names in `require` and `import`, told from its text alone.
//!
//! This is no parser: it splits the source into tokens (ECMA-262, "Lexical Grammar"), which is
//! enough to leave comments, texts and regular expressions alone, and looks for a few sequences.

use std::collections::BTreeSet;

/// What a source names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Imports {
    /// The specifiers, in the order of their first mention.
    pub(super) specifiers: Vec<String>,
    /// How many further calls compute what they load.
    pub(super) computed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A name, keyword or number.
    Word(&'a [u8]),
    Sign(u8),
    /// A text without placeholders, as it stands in the source.
    Text(&'a [u8]),
    /// A regular expression, or a template with placeholders.
    Other,
}

use Token::{Sign, Text, Word};

/// Finds what `source` names. Type-only imports of TypeScript count as nothing: Node.js erases
/// them.
pub(super) fn scan(source: &[u8]) -> Imports {
    let mut tokens = Tokens::new(source);
    let mut found = Imports::default();
    let mut seen = BTreeSet::new();
    let mut recent = [Token::Other; 4];
    let mut kind = Statement::Other;
    // A first argument that is a text, of a call that is one of the sought.
    let mut argument = None;
    while let Some(token) = tokens.next() {
        if let Some(text) = argument.take() {
            match token {
                Sign(b')' | b',') => found.add(text, &mut seen),
                _ => found.computed += 1,
            }
        }
        match (token, is_call(&recent)) {
            (Text(text), true) => argument = Some(text),
            // `require()` and `import()` without arguments load nothing.
            (Sign(b')'), true) => {}
            (_, true) if !is_asset(&recent) => found.computed += 1,
            (Text(text), false)
                if kind != Statement::Types && matches!(recent[3], Word(b"import" | b"from")) =>
            {
                found.add(text, &mut seen);
            }
            _ => {}
        }
        kind = kind.after(token, recent[3]);
        recent.rotate_left(1);
        recent[3] = token;
    }
    found
}

impl Imports {
    fn add<'a>(&mut self, text: &'a [u8], seen: &mut BTreeSet<&'a [u8]>) {
        if !text.is_empty() && seen.insert(text) {
            self.specifiers.push(unescaped(text));
        }
    }
}

/// Whether the statement at hand imports types alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statement {
    Other,
    /// `import type` or `export type`: what follows decides.
    Perhaps,
    Types,
}

impl Statement {
    fn after(self, token: Token<'_>, previous: Token<'_>) -> Self {
        match (self, token, previous) {
            (_, Word(b"import" | b"export"), _) => Self::Other,
            (_, Word(b"type"), Word(b"import" | b"export")) => Self::Perhaps,
            // `import type from "x"` imports a thing called `type`.
            (Self::Perhaps, Word(b"from") | Sign(b',' | b'='), _) => Self::Other,
            (Self::Perhaps, _, _) => Self::Types,
            (Self::Types, Text(_) | Sign(b';'), _) => Self::Other,
            (other, _, _) => other,
        }
    }
}

/// Whether the next token is the first argument of `require(`, `require.resolve(`, `import(` or
/// `new URL(`.
fn is_call(recent: &[Token<'_>; 4]) -> bool {
    match recent {
        [_, before, Word(b"require"), Sign(b'(')] => {
            !matches!(before, Sign(b'.') | Word(b"function"))
        }
        [_, before, Word(b"import"), Sign(b'(')] => *before != Sign(b'.'),
        [Word(b"require"), Sign(b'.'), Word(b"resolve"), Sign(b'(')] => true,
        _ => is_asset(recent),
    }
}

/// `new URL("./x", import.meta.url)`: a file beside the source.
fn is_asset(recent: &[Token<'_>; 4]) -> bool {
    matches!(recent, [_, Word(b"new"), Word(b"URL"), Sign(b'(')])
}

/// The text that a literal stands for. Numbered escapes stay as they are: no file name needs them.
fn unescaped(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut escaped = false;
    for byte in text {
        if *byte == b'\\' && !escaped {
            escaped = true;
            continue;
        }
        escaped = false;
        bytes.push(*byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Tokens<'a> {
    source: &'a [u8],
    at: usize,
    previous: Token<'a>,
    /// No regular expression starts before this place: one that did would not end on its line.
    no_pattern: usize,
    /// Open braces in each open placeholder of a template.
    placeholders: Vec<usize>,
}

impl<'a> Tokens<'a> {
    fn new(source: &'a [u8]) -> Self {
        let mut tokens = Self {
            source,
            at: 0,
            previous: Sign(b';'),
            no_pattern: 0,
            placeholders: Vec::new(),
        };
        if source.starts_with(b"#!") {
            tokens.skip_line();
        }
        tokens
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = loop {
            let byte = self.peek(0)?;
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'/' if self.peek(1) == Some(b'/') => self.skip_line(),
                b'/' if self.peek(1) == Some(b'*') => self.skip_comment(),
                _ => break self.token(byte),
            }
        };
        self.previous = token;
        Some(token)
    }

    fn token(&mut self, byte: u8) -> Token<'a> {
        match byte {
            b'"' | b'\'' => self.text(byte),
            b'`' => {
                self.at += 1;
                self.template()
            }
            b'/' if self.may_be_pattern() => self.pattern(),
            _ if is_word(byte) => self.word(),
            // What is spread is no member.
            b'.' if self.peek(1) == Some(b'.') && self.peek(2) == Some(b'.') => {
                self.at += 3;
                Token::Other
            }
            b'}' if self.placeholders.last() == Some(&0) => {
                self.at += 1;
                self.placeholders.pop();
                match self.template() {
                    // The end of a template that had placeholders.
                    Text(_) => Token::Other,
                    token => token,
                }
            }
            _ => {
                if let Some(open) = self.placeholders.last_mut() {
                    match byte {
                        b'{' => *open += 1,
                        b'}' => *open = open.saturating_sub(1),
                        _ => {}
                    }
                }
                self.at += 1;
                Sign(byte)
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.source.get(start..end).unwrap_or_default()
    }

    fn skip_line(&mut self) {
        let rest = self.source.get(self.at..).unwrap_or_default();
        let line = rest.iter().position(|byte| *byte == b'\n');
        self.at += line.unwrap_or(rest.len());
    }

    fn skip_comment(&mut self) {
        self.at += 2;
        let rest = self.source.get(self.at..).unwrap_or_default();
        let end = rest.windows(2).position(|pair| pair == b"*/");
        self.at += end.map_or(rest.len(), |end| end + 2);
    }

    fn word(&mut self) -> Token<'a> {
        let start = self.at;
        while self.peek(0).is_some_and(is_word) {
            self.at += 1;
        }
        Word(self.slice(start, self.at))
    }

    /// A quoted text. One that does not end on its line was none.
    fn text(&mut self, quote: u8) -> Token<'a> {
        self.at += 1;
        let start = self.at;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.at += 2,
                b'\n' => return Token::Other,
                _ if byte == quote => {
                    let text = self.slice(start, self.at);
                    self.at += 1;
                    return Text(text);
                }
                _ => self.at += 1,
            }
        }
        Token::Other
    }

    /// The part of a template up to its end or the next placeholder.
    fn template(&mut self) -> Token<'a> {
        let start = self.at;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.at += 2,
                b'`' => {
                    let text = self.slice(start, self.at);
                    self.at += 1;
                    return Text(text);
                }
                b'$' if self.peek(1) == Some(b'{') => {
                    self.at += 2;
                    self.placeholders.push(0);
                    return Token::Other;
                }
                _ => self.at += 1,
            }
        }
        Token::Other
    }

    /// Whether a `/` here starts a regular expression rather than dividing.
    fn may_be_pattern(&self) -> bool {
        if self.at < self.no_pattern {
            return false;
        }
        match self.previous {
            Sign(byte) => !matches!(byte, b')' | b']'),
            Word(word) => matches!(
                word,
                b"return"
                    | b"typeof"
                    | b"case"
                    | b"in"
                    | b"of"
                    | b"do"
                    | b"else"
                    | b"void"
                    | b"delete"
                    | b"instanceof"
                    | b"new"
                    | b"throw"
                    | b"yield"
                    | b"await"
            ),
            Text(_) | Token::Other => false,
        }
    }

    fn pattern(&mut self) -> Token<'a> {
        let mut class = false;
        let mut at = self.at + 1;
        while let Some(byte) = self.source.get(at) {
            match byte {
                b'\\' => at += 1,
                b'\n' => break,
                b'[' => class = true,
                b']' => class = false,
                b'/' if !class => {
                    self.at = at + 1;
                    return Token::Other;
                }
                _ => {}
            }
            at += 1;
        }
        self.no_pattern = at;
        self.at += 1;
        Sign(b'/')
    }
}

/// Letters, digits, and all that is not ASCII.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'#') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(source: &str) -> Vec<String> {
        scan(source.as_bytes()).specifiers
    }

    #[test]
    fn every_form_of_naming_a_module_is_found() {
        let source = r#"#!/usr/bin/env node
            const a = require("./a"), b = require ( 'b' );
            import "./c.js"; import d, { e as f } from './d.js';
            import * as g from "g"
            export * from './h.js'; export { i } from "./i.js";
            const j = await import('./j.mjs', { with: {} });
            const k = require(`./k`); require.resolve("./l");
            fs.readFileSync(new URL("./m.txt", import.meta.url));
            const n = [...require('./n')];
        "#;
        let expected = [
            "./a", "b", "./c.js", "./d.js", "g", "./h.js", "./i.js", "./j.mjs", "./k", "./l",
            "./m.txt", "./n",
        ];
        assert_eq!(names(source), expected);
    }

    #[test]
    fn comments_texts_and_patterns_name_nothing() {
        let source = r#"
            // require("a")
            /* import "b" */
            const x = "require('c')", y = /require("d")/, z = `require("e") ${ `${1}` } import "f"`;
            other.require("g"); if (x / 2 > "h" / 3) {}
            const w = { from: "i" };
        "#;
        assert_eq!(names(source), Vec::<String>::new());
    }

    #[test]
    fn what_follows_a_pattern_or_a_template_is_still_seen() {
        assert_eq!(names(r#"x = /["'`]/; require("a")"#), ["a"]);
        assert_eq!(names("x = `a${ {b: '}'} }c`; require('d')"), ["d"]);
        assert_eq!(names("x = `${ require('a') }`; require('b')"), ["a", "b"]);
        assert_eq!(names("if (x) /it's/.test(y)\nrequire('a')"), ["a"]);
    }

    #[test]
    fn a_long_line_of_slashes_takes_no_longer_than_others() {
        let source = "=/[".repeat(1_000_000);
        assert_eq!(scan(source.as_bytes()), Imports::default());
    }

    #[test]
    fn computed_names_are_counted() {
        let imports = scan(b"require('./x' + y); import(z); require(`./${a}`); require('b')");
        assert_eq!((imports.specifiers.len(), imports.computed), (1, 3));
    }

    #[test]
    fn types_are_erased() {
        let source = "import type { A } from './a'; export type { B } from './b';
            import type from './c'; import { type D } from './d'; import type E, { F } from 'e';
            type G = string; import './h'";
        assert_eq!(names(source), ["./c", "./d", "./h"]);
    }

    proptest! {
        #[test]
        fn any_bytes_end(source in prop::collection::vec(
            prop::sample::select(b"`${}'\"/\\*[]() \nrequire.".to_vec()), 0..200)) {
            scan(&source);
        }
    }
}
