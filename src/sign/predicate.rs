//! Kinds of attestations (cosign, `cmd/cosign/cli/options/predicate.go` and
//! `pkg/cosign/attestation/attestation.go`).

use std::str::FromStr;

use serde_json::{Value, json};

use super::DocumentError;
use super::json::{Limits, read, shown, written};

const WHAT: &str = "the predicate";

/// What cosign wraps: anything.
const CUSTOM: &str = "https://cosign.sigstore.dev/attestation/v1";
const SPDX: &str = "https://spdx.dev/Document";
const SLSA_02: &str = "https://slsa.dev/provenance/v0.2";

/// A predicate type, by one of cosign's short names or as a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredicateType {
    /// What was given: `spdxjson`, or the URI.
    name: String,
    uri: String,
}

impl PredicateType {
    /// cosign's short names and what they stand for.
    pub const NAMES: &'static [(&'static str, &'static str)] = &[
        ("custom", CUSTOM),
        ("cyclonedx", "https://cyclonedx.org/bom"),
        ("link", "https://in-toto.io/Link/v1"),
        ("openvex", "https://openvex.dev/ns"),
        ("slsaprovenance", SLSA_02),
        ("slsaprovenance02", SLSA_02),
        ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
        ("spdx", SPDX),
        ("spdxjson", SPDX),
        ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
    ];

    /// The most bytes of a predicate, as it stands in the statement: 40 MiB, so that the
    /// statement around it can be read.
    pub const LARGEST: usize = 40 << 20;

    /// cosign's short names, for messages.
    #[must_use]
    pub fn names() -> String {
        let names: Vec<&str> = Self::NAMES.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// What was given: a short name, or the URI.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URI that stands in the statement.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The predicate that a file of this type becomes, as cosign makes it: JSON, but for
    /// `spdx` (a text) and `custom` (wrapped with a time; `created` in RFC 3339).
    ///
    /// The JSON stays as it is. cosign leaves out what its own structures do not have of `vuln`,
    /// `link` and the provenances, which would attest less than the file says.
    ///
    /// # Errors
    /// When the file is not what the type asks for, has a member twice, or is larger than
    /// [`PredicateType::LARGEST`].
    pub fn predicate(&self, file: &[u8], created: &str) -> Result<Value, DocumentError> {
        check_size(file.len())?;
        let predicate = if self.uri == CUSTOM {
            json!({"Data": self.text(file)?, "Timestamp": created})
        } else if self.name == "spdx" {
            self.text(file)?.into()
        } else {
            self.object(file)?
        };
        check_size(written(&predicate).len())?;
        Ok(predicate)
    }

    fn text<'a>(&self, file: &'a [u8]) -> Result<&'a str, DocumentError> {
        std::str::from_utf8(file).map_err(|error| DocumentError::Predicate {
            name: self.name.clone(),
            expected: "a text in UTF-8",
            problem: error.to_string(),
        })
    }

    fn object(&self, file: &[u8]) -> Result<Value, DocumentError> {
        let limits = Limits {
            bytes: Self::LARGEST,
            values: MOST_VALUES,
        };
        let refused = |problem: String| DocumentError::Predicate {
            name: self.name.clone(),
            expected: "a JSON object",
            problem,
        };
        match read(WHAT, file, limits) {
            Ok(value) if value.is_object() => Ok(value),
            Ok(_) => Err(refused("the file has another JSON value".to_owned())),
            Err(DocumentError::Shape { problem, .. }) => Err(refused(problem)),
            Err(other) => Err(other),
        }
    }
}

/// Fewer than a statement may have.
const MOST_VALUES: usize = (2 << 20) - 100;

fn check_size(size: usize) -> Result<(), DocumentError> {
    if size > PredicateType::LARGEST {
        return Err(DocumentError::TooLarge {
            what: WHAT,
            size,
            most: PredicateType::LARGEST,
        });
    }
    Ok(())
}

/// Whether a text is an absolute URI (RFC 3986): a scheme, a colon, and something of the
/// characters that a URI may have.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_part =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    is_scheme && !rest.trim_matches('/').is_empty() && rest.bytes().all(is_part)
}

impl FromStr for PredicateType {
    type Err = DocumentError;

    fn from_str(text: &str) -> Result<Self, DocumentError> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text);
        let uri = match known {
            Some((_, uri)) => (*uri).to_owned(),
            None if is_uri(text) && text.len() <= LONGEST_URI => text.to_owned(),
            None => {
                return Err(DocumentError::PredicateType { name: shown(text) });
            }
        };
        Ok(Self {
            name: text.to_owned(),
            uri,
        })
    }
}

/// Longer than any that stands for something.
const LONGEST_URI: usize = 2048;

#[cfg(test)]
mod tests;
