//! The patterns of rules: of names, with captures, and of paths, with variables.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::Deserialize;

use crate::ImagePath;

/// The longest pattern or file name that is looked at, in bytes (`NAME_MAX` and `PATH_MAX` are
/// 255 and 4096): matching takes the product of both.
const LENGTH_LIMIT: usize = 4096;

/// One step of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Token {
    Byte(u8),
    /// `?`: any byte.
    Any,
    /// `*`: any bytes, or none.
    Star,
}

impl Token {
    fn of(byte: u8) -> Self {
        match byte {
            b'*' => Self::Star,
            b'?' => Self::Any,
            byte => Self::Byte(byte),
        }
    }

    fn takes(self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => own == byte,
            Self::Any => true,
            Self::Star => false,
        }
    }
}

/// Whether `tokens` match all of `text`, and what each `*` stands for: as little as possible,
/// from the left.
fn captures<'t>(tokens: &[Token], text: &'t [u8]) -> Option<Vec<&'t [u8]>> {
    let mut stars: Vec<(usize, usize)> = Vec::new();
    let mut last = None;
    let (mut token, mut at) = (0, 0);
    loop {
        match (tokens.get(token), text.get(at)) {
            (Some(Token::Star), _) => {
                last = Some((token, stars.len()));
                stars.push((at, at));
                token += 1;
            }
            (Some(step), Some(byte)) if step.takes(*byte) => {
                token += 1;
                at += 1;
            }
            (None, None) => break,
            // The last star takes one byte more; what stands before it matched already, and
            // cannot match better.
            _ => {
                let (star, index) = last?;
                let range = stars.get_mut(index)?;
                if range.1 >= text.len() {
                    return None;
                }
                range.1 += 1;
                at = range.1;
                token = star + 1;
            }
        }
    }
    stars
        .into_iter()
        .map(|(start, end)| text.get(start..end))
        .collect()
}

/// A pattern of a soname or of a program's file name: `*` and `?`, each `*` a capture.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct NamePattern {
    tokens: Vec<Token>,
}

impl TryFrom<String> for NamePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.len() > LENGTH_LIMIT || text.contains(['/', '\0']) {
            return Err(format!(
                "{text:?} is no pattern of a file name: write it without a slash, as \"libpython*.so.1.0\""
            ));
        }
        Ok(Self {
            tokens: text.bytes().map(Token::of).collect(),
        })
    }
}

impl NamePattern {
    /// What each `*` stands for, when `name` matches.
    pub(super) fn captures<'t>(&self, name: &'t [u8]) -> Option<Vec<&'t [u8]>> {
        // Most names differ in the first byte from most patterns.
        if let (Some(Token::Byte(own)), Some(first)) = (self.tokens.first(), name.first())
            && own != first
        {
            return None;
        }
        // A soname may hold anything; one with a slash is a path, not a name.
        if name.len() > LENGTH_LIMIT || name.contains(&b'/') {
            return None;
        }
        captures(&self.tokens, name)
    }

    /// How many captures a match has.
    pub(super) fn stars(&self) -> usize {
        let is_star = |token: &&Token| **token == Token::Star;
        self.tokens.iter().filter(is_star).count()
    }
}

/// What a path of a rule may take from what the rule matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variable {
    /// `{dir}`: the real directory of the matched library or program.
    Dir,
    /// `{prefix}`: the directory that holds its `bin` or `lib`; `/usr` for those of `/`.
    Prefix,
    /// `{lib}`: each of the prefix's library directories.
    Lib,
    /// `{etc}`: the directory of its settings: `/etc` for the prefix `/usr`, else `{prefix}/etc`.
    Etc,
    /// `{triplet}`: Debian's name of the machine (`x86_64-linux-gnu`).
    Triplet,
    /// `{1}`...`{9}`: what a `*` of the matched pattern stands for, counted from 1.
    Capture(usize),
}

impl Variable {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "dir" => Self::Dir,
            "prefix" => Self::Prefix,
            "lib" => Self::Lib,
            "etc" => Self::Etc,
            "triplet" => Self::Triplet,
            number => match number.parse() {
                Ok(index @ 1..=9) => Self::Capture(index),
                _ => return None,
            },
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Token(Token),
    Variable(Variable),
}

/// A path with variables and patterns: `{lib}/ossl-modules/*.so`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct PathPattern {
    pieces: Vec<Piece>,
}

impl TryFrom<String> for PathPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() > LENGTH_LIMIT || text.contains('\0') {
            return Err(format!("{text:?} is no path"));
        }
        if text.split('/').any(|name| name == "..") {
            return Err(format!(
                "{text:?} has `..`, which may lead anywhere: begin at {{prefix}} or /"
            ));
        }
        let pieces = pieces(&text)?;
        let starts_well = matches!(
            pieces.first(),
            Some(
                Piece::Token(Token::Byte(b'/'))
                    | Piece::Variable(
                        Variable::Dir | Variable::Prefix | Variable::Lib | Variable::Etc
                    )
            )
        );
        if !starts_well {
            return Err(format!(
                "{text:?} does not say where it is: begin with /, {{dir}}, {{prefix}}, {{lib}} or {{etc}}"
            ));
        }
        Ok(Self { pieces })
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, variable) = rest.split_at(open);
        let Some((name, after)) = variable.get(1..).and_then(|rest| rest.split_once('}')) else {
            return Err(format!("{text:?} has a brace that is not closed"));
        };
        let Some(variable) = Variable::parse(name) else {
            return Err(format!(
                "{text:?}: {{{name}}} is no variable; there are {{dir}}, {{prefix}}, {{lib}}, \
                 {{etc}}, {{triplet}}, and {{1}}, {{2}}... for what a * in `soname` or `program` \
                 stands for"
            ));
        };
        pieces.extend(before.bytes().map(Token::of).map(Piece::Token));
        pieces.push(Piece::Variable(variable));
        rest = after;
    }
    pieces.extend(rest.bytes().map(Token::of).map(Piece::Token));
    Ok(pieces)
}

impl PathPattern {
    /// The variables in it.
    pub(super) fn variables(&self) -> impl Iterator<Item = Variable> + '_ {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(variable) => Some(*variable),
            Piece::Token(_) => None,
        })
    }

    /// The path patterns that it stands for: `values` gives all that a variable may be, none when
    /// it has no value here. What comes from a variable is no pattern, whatever bytes it has.
    pub(super) fn expand(&self, values: impl Fn(Variable) -> Vec<Vec<u8>>) -> Vec<PathSteps> {
        let mut expanded: Vec<Vec<Token>> = vec![Vec::new()];
        for piece in &self.pieces {
            match piece {
                Piece::Token(token) => expanded.iter_mut().for_each(|path| path.push(*token)),
                Piece::Variable(variable) => {
                    let values = values(*variable);
                    let with = |path: &Vec<Token>, value: &Vec<u8>| {
                        let value = value.iter().copied().map(Token::Byte);
                        path.iter().copied().chain(value).collect()
                    };
                    expanded = expanded
                        .iter()
                        .flat_map(|path| values.iter().map(move |value| with(path, value)))
                        .take(VARIANT_LIMIT)
                        .collect();
                }
            }
        }
        expanded
            .iter()
            .filter_map(|path| PathSteps::of(path))
            .collect()
    }
}

/// How many paths one pattern stands for at the most.
const VARIANT_LIMIT: usize = 64;

/// An absolute path pattern, one step for each name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PathSteps(Vec<Step>);

/// A name on the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// This one.
    Name(OsString),
    /// All that match.
    Pattern(NameMatcher),
}

/// A pattern of one name, without captures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NameMatcher(Vec<Token>);

impl NameMatcher {
    /// As in a shell, a leading dot is matched by a dot alone.
    pub(super) fn is_match(&self, name: &[u8]) -> bool {
        let hidden = name.first() == Some(&b'.');
        name.len() <= LENGTH_LIMIT
            && (!hidden || self.0.first() == Some(&Token::Byte(b'.')))
            && captures(&self.0, name).is_some()
    }
}

impl Step {
    fn of(tokens: &[Token]) -> Self {
        let literal = tokens.iter().map(|token| match token {
            Token::Byte(byte) => Some(*byte),
            Token::Any | Token::Star => None,
        });
        match literal.collect::<Option<Vec<u8>>>() {
            Some(name) => Self::Name(OsString::from_vec(name)),
            None => Self::Pattern(NameMatcher(tokens.to_vec())),
        }
    }

    pub(super) fn is_match(&self, name: &[u8]) -> bool {
        match self {
            Self::Name(own) => own.as_bytes() == name,
            Self::Pattern(matcher) => matcher.is_match(name),
        }
    }
}

impl PathSteps {
    /// `None` when the path is relative or leads upwards: a variable may hold anything.
    fn of(tokens: &[Token]) -> Option<Self> {
        let rest = tokens.strip_prefix(&[Token::Byte(b'/')])?;
        let steps: Vec<Step> = rest
            .split(|token| *token == Token::Byte(b'/'))
            .filter(|name| !name.is_empty() && *name != [Token::Byte(b'.')])
            .map(Step::of)
            .collect();
        let upwards = |step: &Step| matches!(step, Step::Name(name) if name == "..");
        (!steps.iter().any(upwards)).then_some(Self(steps))
    }

    /// The names and patterns, from the root on.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it matches all of `path`.
    pub(super) fn is_match(&self, path: &ImagePath) -> bool {
        let names = || path.relative().split(|byte| *byte == b'/');
        names().count() == self.0.len()
            && self
                .0
                .iter()
                .zip(names())
                .all(|(step, name)| step.is_match(name))
    }

    /// For messages.
    pub(super) fn display(&self) -> String {
        let name = |step: &Step| match step {
            Step::Name(name) => name.to_string_lossy().into_owned(),
            Step::Pattern(matcher) => {
                let bytes = matcher.0.iter().map(|token| match token {
                    Token::Byte(byte) => *byte,
                    Token::Any => b'?',
                    Token::Star => b'*',
                });
                String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
            }
        };
        self.0
            .iter()
            .map(|step| format!("/{}", name(step)))
            .collect()
    }
}

/// What is left out: a path pattern, or the name of a file or directory wherever it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Exclude {
    Name(NamePattern),
    Path(PathPattern),
}

impl TryFrom<String> for Exclude {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.contains('/') {
            true => PathPattern::try_from(text).map(Self::Path),
            false => NamePattern::try_from(text).map(Self::Name),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use proptest::prelude::*;

    fn name(pattern: &str, name: &str) -> Option<Vec<String>> {
        let pattern = NamePattern::try_from(pattern.to_owned()).unwrap();
        let captures = pattern.captures(name.as_bytes())?;
        let text = |capture: &&[u8]| String::from_utf8_lossy(capture).into_owned();
        Some(captures.iter().map(text).collect())
    }

    fn paths(pattern: &str) -> Vec<String> {
        let pattern = PathPattern::try_from(pattern.to_owned()).unwrap();
        let values = |variable| match variable {
            Variable::Lib => vec![b"/usr/lib64".to_vec(), b"/usr/lib".to_vec()],
            Variable::Capture(1) => vec![b"3.11*".to_vec()],
            Variable::Capture(2) => vec![b"../..".to_vec()],
            _ => Vec::new(),
        };
        pattern
            .expand(values)
            .iter()
            .map(PathSteps::display)
            .collect()
    }

    #[test]
    fn a_star_in_a_name_is_a_capture() {
        assert_eq!(
            name("libpython*.so.1.0", "libpython3.11.so.1.0").unwrap(),
            ["3.11"]
        );
        assert_eq!(name("lib*.so.*", "liba.so.so.1").unwrap(), ["a", "so.1"]);
        assert_eq!(name("*", "").unwrap(), [""]);
        assert_eq!(name("a*b*c", "aXbYbZc").unwrap(), ["X", "YbZ"]);
        assert_eq!(
            name("libssl.so.?", "libssl.so.3").unwrap(),
            Vec::<String>::new()
        );
        for (pattern, other) in [
            ("libssl.so.3", "libssl.so.3.1"),
            ("libssl.so.?", "libssl.so."),
            ("lib*.so", "lib.s"),
            ("a*b*c", "aXbYbZ"),
            ("*", "a/b"),
        ] {
            assert_eq!(name(pattern, other), None, "{pattern} {other}");
        }
    }

    #[test]
    fn a_variable_with_several_values_makes_several_paths() {
        assert_eq!(
            paths("{lib}/x/*.so"),
            ["/usr/lib64/x/*.so", "/usr/lib/x/*.so"]
        );
        assert_eq!(paths("{dir}/x"), Vec::<String>::new());
    }

    #[test]
    fn what_comes_from_a_variable_is_no_pattern_and_leads_nowhere_else() {
        let pattern = PathPattern::try_from("/x/{1}".to_owned()).unwrap();
        let expanded = pattern.expand(|_| vec![b"3.11*".to_vec()]);
        assert!(expanded[0].is_match(&ImagePath::new("/x/3.11*").unwrap()));
        assert!(!expanded[0].is_match(&ImagePath::new("/x/3.110").unwrap()));
        assert_eq!(paths("/x/{2}"), Vec::<String>::new());
    }

    #[test]
    fn a_star_in_a_path_stays_in_its_directory_and_passes_over_hidden_files() {
        let matches = |pattern: &str, path: &str| {
            let pattern = PathPattern::try_from(pattern.to_owned()).unwrap();
            let path = ImagePath::new(path).unwrap();
            pattern
                .expand(|_| Vec::new())
                .iter()
                .any(|steps| steps.is_match(&path))
        };
        assert!(matches("/a/*.so", "/a/x.so"));
        assert!(!matches("/a/*.so", "/a/b/x.so"));
        assert!(!matches("/a/*", "/a/.hidden"));
        assert!(matches("/a/.*", "/a/.hidden"));
        assert!(!matches("/a", "/a/b"));
    }

    #[test]
    fn a_bad_pattern_says_what_a_good_one_is() {
        let path = |text: &str| PathPattern::try_from(text.to_owned()).unwrap_err();
        assert!(path("lib/x").contains("does not say where it is"));
        assert!(path("{1}/x").contains("does not say where it is"));
        assert!(path("/a/../b").contains("`..`"));
        assert!(path("/a/{b").contains("not closed"));
        assert!(path("/a/{word}").contains("{word} is no variable"));
        assert!(path("/a/{0}").contains("{0} is no variable"));
        let name = |text: &str| NamePattern::try_from(text.to_owned()).unwrap_err();
        assert!(name("a/b").contains("without a slash"));
        assert!(name("").contains("no pattern"));
    }

    proptest! {
        #[test]
        fn captures_put_back_into_their_pattern_give_the_name(
            pattern in "[ab*]{1,12}", name in "[ab]{0,24}"
        ) {
            let parsed = NamePattern::try_from(pattern.clone()).unwrap();
            if let Some(captures) = parsed.captures(name.as_bytes()) {
                let mut captures = captures.into_iter();
                let mut whole = Vec::new();
                for byte in pattern.bytes() {
                    match byte {
                        b'*' => whole.extend_from_slice(captures.next().unwrap()),
                        byte => whole.push(byte),
                    }
                }
                prop_assert_eq!(whole, name.into_bytes());
            } else {
                // Without a star, what does not match differs; with one, the fixed ends do.
                prop_assert!(pattern != name);
            }
        }

        #[test]
        fn no_pattern_makes_trouble(text in ".{0,40}", value in ".{0,20}") {
            if let Ok(pattern) = PathPattern::try_from(text.clone()) {
                for steps in pattern.expand(|_| vec![value.clone().into_bytes()]) {
                    prop_assert!(!steps.display().split('/').any(|name| name == ".."));
                }
            }
            let _ = Exclude::try_from(text);
        }
    }
}
