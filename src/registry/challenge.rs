//! What a server wants to see before it answers: `WWW-Authenticate` (RFC 9110, section 11.6.1).

use std::borrow::Cow;

/// The most of a header that is read, in bytes.
const LONGEST: usize = 16 << 10;

/// The most challenges that are taken from one answer, and parameters from each.
const MOST: usize = 32;

/// One way in that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme in lower case: `bearer`, `basic`.
    pub scheme: String,
    /// The parameters in their order, their names in lower case. Of two with the same name the
    /// first counts.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The challenges of an answer, from the values of all its `WWW-Authenticate` headers.
    ///
    /// Never fails: servers write these headers in many ways, and what cannot be understood is
    /// left out.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Vec<Self> {
        let mut found = Vec::new();
        for value in values {
            let value = value.get(..LONGEST).unwrap_or(value);
            Scanner { rest: value }.challenges(&mut found);
        }
        found
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn challenges(&mut self, found: &mut Vec<Challenge>) {
        // Of this header: its parameters belong to none of an earlier one.
        let first = found.len();
        loop {
            // A comma parts challenges as well as parameters, and some servers part them by
            // nothing but blanks.
            self.take(|byte| is_blank(byte) || byte == b',');
            if self.rest.is_empty() {
                return;
            }
            let name = self.take(is_token);
            if name.is_empty() {
                self.garbage();
                continue;
            }
            let blanks = self.take(is_blank);
            if self.eat(b'=') {
                self.take(is_blank);
                if let (Some(value), Some(challenge)) = (
                    self.value(),
                    found.get_mut(first..).and_then(<[_]>::last_mut),
                ) {
                    let name = lower(name);
                    if challenge.get(&name).is_none() && challenge.parameters.len() < MOST {
                        challenge.parameters.push((name, value.into_owned()));
                    }
                }
                continue;
            }
            if found.len() >= MOST {
                return;
            }
            found.push(Challenge {
                scheme: lower(name),
                parameters: Vec::new(),
            });
            if !blanks.is_empty() {
                self.token68();
            }
        }
    }

    /// Passes over the other form that what is behind a scheme may have; no scheme that is
    /// spoken here uses it.
    fn token68(&mut self) {
        let mut ahead = Self { rest: self.rest };
        let text = ahead.take(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        ahead.take(|byte| byte == b'=');
        ahead.take(is_blank);
        if !text.is_empty() && matches!(ahead.rest.first(), None | Some(b',')) {
            self.rest = ahead.rest;
        }
    }

    fn value(&mut self) -> Option<Cow<'a, str>> {
        if self.eat(b'"') {
            return self.quoted();
        }
        // More than a token may have: an address without quotes can only be meant as one.
        let value = self.take(|byte| !is_blank(byte) && byte != b',' && byte != b'"');
        (!value.is_empty()).then(|| String::from_utf8_lossy(value))
    }

    /// Up to the closing quote; nothing when there is none.
    fn quoted(&mut self) -> Option<Cow<'a, str>> {
        let mut value = Vec::new();
        while let Some((&byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            match byte {
                b'"' => return Some(String::from_utf8_lossy(&value).into_owned().into()),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    value.push(escaped);
                }
                other => value.push(other),
            }
        }
        None
    }

    /// Passes over what is no part of the grammar, up to the next comma.
    fn garbage(&mut self) {
        if self.eat(b'"') {
            self.quoted();
        } else {
            self.take(|byte| byte != b',');
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn take(&mut self, is_part: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !is_part(*byte));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(headers: &[&str]) -> Vec<Challenge> {
        Challenge::parse(headers.iter().map(|header| header.as_bytes()))
    }

    fn shown(headers: &[&str]) -> Vec<String> {
        parse(headers)
            .into_iter()
            .map(|challenge| {
                let mut text = challenge.scheme;
                for (name, value) in challenge.parameters {
                    text += &format!(" {name}={value};");
                }
                text
            })
            .collect()
    }

    #[test]
    fn a_bearer_challenge_is_read_as_registries_write_it() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull,push""#;
        let challenges = parse(&[header]);
        assert_eq!(challenges.len(), 1);
        assert_eq!(challenges[0].scheme, "bearer");
        assert_eq!(
            challenges[0].get("realm"),
            Some("https://auth.docker.io/token")
        );
        assert_eq!(challenges[0].get("service"), Some("registry.docker.io"));
        assert_eq!(
            challenges[0].get("scope"),
            Some("repository:library/alpine:pull,push")
        );
    }

    #[test]
    fn several_challenges_may_be_in_one_header_or_in_several() {
        let wanted = ["basic realm=a;", "bearer realm=b; service=c;"];
        for headers in [
            &[r#"Basic realm="a", Bearer realm="b", service="c""#][..],
            &[r#"Basic realm="a""#, r#"Bearer realm="b", service="c""#],
            &[",, Basic\trealm = \"a\" ,,,BEARER  Realm=b ,SERVICE =\tc,,"],
            &["Basic realm=a Bearer realm=b service=c"],
        ] {
            assert_eq!(shown(headers), wanted, "{headers:?}");
        }
    }

    #[test]
    fn quotes_may_hold_commas_and_escaped_quotes() {
        assert_eq!(
            shown(&[r#"Basic realm="a, \"b\" \\ Bearer x=y", charset="UTF-8""#]),
            [r#"basic realm=a, "b" \ Bearer x=y; charset=UTF-8;"#]
        );
    }

    #[test]
    fn schemes_without_parameters_or_with_a_token_are_kept_apart() {
        assert_eq!(
            shown(&["Negotiate, NTLM TlRMTVNTUAAB==, Basic realm=a"]),
            ["negotiate", "ntlm", "basic realm=a;"]
        );
    }

    #[test]
    fn an_address_without_quotes_is_read() {
        assert_eq!(
            shown(&["Bearer realm=https://a.example/token?x=1,service=b:5000"]),
            ["bearer realm=https://a.example/token?x=1; service=b:5000;"]
        );
    }

    #[test]
    fn of_a_parameter_that_comes_twice_the_first_counts() {
        assert_eq!(
            shown(&["Bearer realm=a, realm=b, REALM=c"]),
            ["bearer realm=a;"]
        );
    }

    #[test]
    fn what_cannot_be_understood_is_left_out() {
        for (header, wanted) in [
            ("", &[][..]),
            (",", &[]),
            ("=", &[]),
            ("realm=a", &[]),
            ("Bearer realm=\"a", &["bearer"]),
            ("Bearer realm=\"a\\", &["bearer"]),
            ("Bearer realm=", &["bearer"]),
            ("Bearer realm=,service=b", &["bearer service=b;"]),
            ("Bearer @@@, realm=a", &["bearer realm=a;"]),
            ("\"x\" Bearer realm=a", &["bearer realm=a;"]),
            ("\u{7f}\u{0}, Basic realm=a", &["basic realm=a;"]),
        ] {
            assert_eq!(shown(&[header]), wanted, "{header:?}");
        }
    }

    #[test]
    fn a_header_without_end_is_cut() {
        let endless = "A,".repeat(1 << 20);
        assert_eq!(parse(&[&endless]).len(), MOST);
        let parameters: String = (0..10_000).map(|at| format!("p{at}=x,")).collect();
        assert_eq!(
            parse(&[&format!("A {parameters}")])[0].parameters.len(),
            MOST
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
            Challenge::parse(values.iter().map(Vec::as_slice));
        }

        #[test]
        fn any_text_of_the_grammars_characters_is_read(value in "[Ba=\", \\\\\t;:/@]{0,60}") {
            Challenge::parse([value.as_bytes()]);
        }

        #[test]
        fn what_is_written_by_the_grammar_is_read_the_same(
            challenges in prop::collection::vec(
                ("[a-z]{1,8}", prop::collection::vec(("[a-z]{1,6}", "[ -~]{0,20}"), 1..4)),
                1..4,
            ),
        ) {
            let mut header = String::new();
            let mut wanted = Vec::new();
            for (scheme, parameters) in challenges {
                let mut challenge = Challenge { scheme: scheme.clone(), parameters: Vec::new() };
                let mut written = Vec::new();
                for (name, value) in parameters {
                    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
                    written.push(format!("{name}=\"{escaped}\""));
                    if challenge.get(&name).is_none() {
                        challenge.parameters.push((name, value));
                    }
                }
                header += &format!("{scheme} {}, ", written.join(", "));
                wanted.push(challenge);
            }
            prop_assert_eq!(Challenge::parse([header.as_bytes()]), wanted);
        }
    }
}
