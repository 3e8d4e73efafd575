//! The modules that a Python source imports, read from its text: nothing is executed, and a source
//! that Python would refuse gives what can be made of it.
//!
//! Only words are looked at, by the rules of the language's lexical analysis; `import` is a
//! keyword, so wherever it begins a statement it imports.

mod lexer;

use std::collections::BTreeSet;

use lexer::{Lexer, Token};

/// Longer names are no modules: their files could not be opened.
const NAME_LIMIT: usize = 512;
/// More names than any source imports; keeps what a hostile one costs small.
const NAMES_LIMIT: usize = 1 << 16;

/// The absolute dotted names of the modules that `source` imports, wherever in it and whether the
/// statement is reached or not, except below `if TYPE_CHECKING:`, which never runs. Relative
/// names are resolved against `package` (`a.b` for a module `a.b.c`, and for `a.b` itself when it
/// is a package; empty for a module that is in none). `import a.b` gives `a.b`, of which `a` is a
/// parent; `from a import b` gives both `a` and `a.b`, which may be no module. Literal arguments of
/// `importlib.import_module` and `__import__` count.
pub(super) fn imports(source: &[u8], package: &str) -> BTreeSet<String> {
    let Imports {
        mut at_load,
        mut later,
        ..
    } = read(source, package, Strings::Ignored);
    at_load.append(&mut later);
    at_load
}

/// What a source imports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Imports {
    /// When it is loaded.
    pub(super) at_load: BTreeSet<String>,
    /// Only when its functions are called, which for most functions of most packages is never:
    /// numpy holds a build system that way.
    pub(super) later: BTreeSet<String>,
    /// Strings that could name a module, as `site.settings` or `main:app`.
    pub(super) named: BTreeSet<String>,
}

/// As [`imports`], told apart by whether the statement is in the body of a function.
pub(super) fn imports_by_time(source: &[u8], package: &str) -> Imports {
    let Imports {
        at_load, mut later, ..
    } = read(source, package, Strings::Ignored);
    later.retain(|name| !at_load.contains(name));
    Imports {
        at_load,
        later,
        named: BTreeSet::new(),
    }
}

/// What code of the app imports, whose functions are called, and what its strings name: Django's
/// settings and `uvicorn.run("main:app")` name modules so.
pub(super) fn imports_of_app(source: &[u8], package: &str) -> Imports {
    let mut imports = read(source, package, Strings::Wanted);
    imports.at_load.append(&mut imports.later);
    imports
}

/// Whether strings that could name a module are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strings {
    Wanted,
    Ignored,
}

fn read(source: &[u8], package: &str, strings: Strings) -> Imports {
    let mut reader = Reader {
        strings,
        lexer: Lexer::new(source),
        package,
        line: 0,
        function: None,
        found: Imports::default(),
    };
    reader.read();
    reader.found
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    package: &'a str,
    /// The column in which the line of this statement begins.
    line: usize,
    /// The column of the outermost function that this statement is in, or defines.
    function: Option<usize>,
    strings: Strings,
    found: Imports,
}

impl<'a> Reader<'a> {
    fn read(&mut self) {
        let mut fresh = false;
        while let Some(token) = self.lexer.next() {
            fresh = match token {
                Token::Line { column } => {
                    self.line = column;
                    if self.function.is_some_and(|function| column <= function) {
                        self.function = None;
                    }
                    true
                }
                // What follows a colon begins a statement, or is an expression, which no
                // keyword looked for here begins.
                Token::Mark(b';' | b':') => !self.lexer.is_nested(),
                Token::Word(word) if fresh => {
                    match word {
                        b"import" => self.import(),
                        b"from" => self.from(),
                        b"if" | b"elif" => self.condition(),
                        b"def" => self.definition(),
                        b"async" if self.lexer.peek() == Some(Token::Word(b"def")) => {
                            self.definition();
                        }
                        _ => self.word(word),
                    }
                    false
                }
                Token::Word(word) => {
                    self.word(word);
                    false
                }
                Token::Text(Some(text)) if self.strings == Strings::Wanted => {
                    self.string(text);
                    false
                }
                Token::Text(_) | Token::Mark(_) => false,
            };
        }
    }

    /// What follows `import`.
    fn import(&mut self) {
        loop {
            if let Some(name) = self.dotted() {
                self.add(&name);
            }
            self.alias();
            if !self.mark(b',') {
                return;
            }
        }
    }

    /// What follows `from`.
    fn from(&mut self) {
        let mut level = 0;
        while self.mark(b'.') {
            level += 1;
        }
        let name = self.dotted();
        if self.lexer.peek() != Some(Token::Word(b"import")) {
            return;
        }
        self.lexer.next();
        let module = match (level, name) {
            (0, name) => name,
            (level, name) => ancestor(self.package, level).map(|base| match name {
                Some(name) => format!("{base}.{name}"),
                None => base.to_owned(),
            }),
        };
        if let Some(module) = &module {
            self.add(module);
        }
        // In parentheses the names may go over several lines.
        self.mark(b'(');
        while let Some(Token::Word(name)) = self.lexer.peek() {
            self.lexer.next();
            if let (Some(module), Ok(name)) = (&module, std::str::from_utf8(name)) {
                self.add(&format!("{module}.{name}"));
            }
            self.alias();
            if !self.mark(b',') {
                return;
            }
        }
    }

    /// A function begins; one within another changes nothing.
    fn definition(&mut self) {
        self.function.get_or_insert(self.line);
    }

    /// What follows `if` or `elif`: when it is `TYPE_CHECKING:`, its body is passed over.
    fn condition(&mut self) {
        let mut last: &[u8] = b"";
        while let Some(Token::Word(word)) = self.lexer.peek() {
            self.lexer.next();
            last = word;
            if !self.mark(b'.') {
                break;
            }
        }
        if last != b"TYPE_CHECKING" || self.lexer.peek() != Some(Token::Mark(b':')) {
            self.word(last);
            return;
        }
        while let Some(token) = self.lexer.peek() {
            if matches!(token, Token::Line { column } if column <= self.line) {
                return;
            }
            self.lexer.next();
        }
    }

    /// A word within a statement: a call of one of the functions that import.
    fn word(&mut self, word: &[u8]) {
        if !matches!(word, b"import_module" | b"__import__") || !self.mark(b'(') {
            return;
        }
        self.keyword(b"name");
        let Some(name) = self.text() else { return };
        if !matches!(self.lexer.peek(), Some(Token::Mark(b',' | b')'))) {
            return;
        }
        let level = name.bytes().take_while(|byte| *byte == b'.').count();
        let Some(name) = name.get(level..) else {
            return;
        };
        if level == 0 {
            return self.add(name);
        }
        let mut package = self.package;
        if self.mark(b',') {
            self.keyword(b"package");
            package = self.text().unwrap_or(package);
        }
        match ancestor(package, level) {
            Some(base) if name.is_empty() => self.add(base),
            Some(base) => self.add(&format!("{base}.{name}")),
            None => {}
        }
    }

    /// A string literal that is no argument of a function that imports.
    fn string(&mut self, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else {
            return;
        };
        let (module, attribute) = match text.split_once(':') {
            Some((module, attribute)) => (module, Some(attribute)),
            None => (text, None),
        };
        let is_name = text.len() <= NAME_LIMIT
            && module.split('.').all(is_identifier)
            && attribute.is_none_or(|name| name.bytes().next().is_some_and(lexer::is_word));
        if is_name && self.found.named.len() < NAMES_LIMIT {
            self.found.named.insert(text.to_owned());
        }
    }

    /// Takes a dotted name.
    fn dotted(&mut self) -> Option<String> {
        let mut name = String::new();
        while let Some(Token::Word(word)) = self.lexer.peek() {
            if name.is_empty() && word == b"import" {
                return None;
            }
            self.lexer.next();
            // What is too long is cut, and then refused for its length.
            if name.len() <= NAME_LIMIT {
                name.push_str(std::str::from_utf8(word).ok()?);
            }
            if !self.mark(b'.') {
                return Some(name);
            }
            name.push('.');
        }
        None
    }

    /// Takes `as name`.
    fn alias(&mut self) {
        if self.lexer.peek() == Some(Token::Word(b"as")) {
            self.lexer.next();
            if matches!(self.lexer.peek(), Some(Token::Word(_))) {
                self.lexer.next();
            }
        }
    }

    /// Takes `name=`, when an argument begins so.
    fn keyword(&mut self, name: &[u8]) {
        if self.lexer.peek() == Some(Token::Word(name)) {
            self.lexer.next();
            self.mark(b'=');
        }
    }

    /// Takes a string literal.
    fn text(&mut self) -> Option<&'a str> {
        let Some(Token::Text(text)) = self.lexer.peek() else {
            return None;
        };
        self.lexer.next();
        std::str::from_utf8(text?).ok()
    }

    /// Takes this mark, if it comes next.
    fn mark(&mut self, mark: u8) -> bool {
        let comes = self.lexer.peek() == Some(Token::Mark(mark));
        if comes {
            self.lexer.next();
        }
        comes
    }

    fn add(&mut self, name: &str) {
        let is_module = name.len() <= NAME_LIMIT && name.split('.').all(is_identifier);
        let found = match self.function {
            None => &mut self.found.at_load,
            Some(_) => &mut self.found.later,
        };
        if is_module && found.len() < NAMES_LIMIT && !found.contains(name) {
            found.insert(name.to_owned());
        }
    }
}

/// The package that `level` dots mean in a module of `package`: one dot is `package` itself.
fn ancestor(package: &str, level: usize) -> Option<&str> {
    let mut base = package;
    for _ in 1..level {
        base = base.rsplit_once('.')?.0;
    }
    (!base.is_empty()).then_some(base)
}

/// Whether `name` could be an identifier; which of the letters outside of ASCII may is not asked.
fn is_identifier(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(lexer::is_word)
}

#[cfg(test)]
mod tests;
