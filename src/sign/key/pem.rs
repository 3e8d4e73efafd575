//! PEM (RFC 7468), as lenient as openssl and Go: text around the blocks, any line width, any line
//! ends.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::{KeyError, LARGEST};

/// The longest label that is believed to be one.
const LONGEST_LABEL: usize = 64;

/// What stands before the key in `openssl ecparam -genkey`'s file, and tells nothing new.
const PARAMETERS: &str = "EC PARAMETERS";

/// How a line looks that begins OpenSSH's public keys, which are no PEM.
const OPENSSH: [&[u8]; 3] = [b"ssh-", b"ecdsa-sha2-", b"sk-"];

/// A block, not decoded.
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    /// Its lines, trimmed.
    lines: Vec<&'a [u8]>,
    is_ended: bool,
}

/// The one block in a key file; parameters of a curve are passed over.
pub(super) fn only<'a>(pem: &'a [u8], name: &str) -> Result<Block<'a>, KeyError> {
    let name = || name.to_owned();
    if pem.len() > LARGEST {
        return Err(KeyError::TooLarge { name: name() });
    }
    let mut blocks = blocks(pem);
    if blocks.len() > 1 {
        blocks.retain(|block| block.label != PARAMETERS);
    }
    if blocks.len() > 1 {
        let labels = blocks.iter().map(|block| block.label.to_owned()).collect();
        return Err(KeyError::Several {
            name: name(),
            labels,
        });
    }
    match blocks.pop() {
        Some(block) if block.is_ended => Ok(block),
        Some(block) => Err(KeyError::Unended {
            name: name(),
            label: block.label.to_owned(),
        }),
        None if OPENSSH.iter().any(|start| pem.starts_with(start)) => {
            Err(KeyError::OpenSsh { name: name() })
        }
        None => Err(KeyError::NotPem { name: name() }),
    }
}

/// All blocks.
fn blocks(pem: &[u8]) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for line in pem.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let line = line.trim_ascii();
        if let Some(label) = label(line, b"-----BEGIN ") {
            blocks.push(Block {
                label,
                lines: Vec::new(),
                is_ended: false,
            });
        } else if let Some(block) = blocks.last_mut().filter(|block| !block.is_ended) {
            if label(line, b"-----END ") == Some(block.label) {
                block.is_ended = true;
            } else {
                block.lines.push(line);
            }
        }
    }
    blocks
}

/// The label in a line that begins or ends a block.
fn label<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a str> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    let is_label = !label.is_empty()
        && label.len() <= LONGEST_LABEL
        && label.iter().all(|byte| matches!(byte, b' '..=b'~'));
    std::str::from_utf8(label).ok().filter(|_| is_label)
}

impl Block<'_> {
    /// Whether it has the header of an encrypted block (RFC 1421 4.6.1.1).
    pub(super) fn is_encrypted(&self) -> bool {
        self.lines
            .iter()
            .any(|line| line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED"))
    }

    /// What is in it. Headers are passed over.
    pub(super) fn decode(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let damaged = || KeyError::Base64 {
            name: name.to_owned(),
            label: self.label.to_owned(),
        };
        // An empty line ends the headers, of which long ones go on in lines of their own.
        let headers = match self.lines.first() {
            Some(line) if line.contains(&b':') => {
                let end = self.lines.iter().position(|line| line.is_empty());
                end.ok_or_else(damaged)?
            }
            _ => 0,
        };
        let lines = self.lines.get(headers..).unwrap_or_default();
        let length = lines.iter().map(|line| line.len()).sum();
        // Of the right size from the start: growing would leave a copy behind.
        let mut text = Zeroizing::new(Vec::with_capacity(length));
        for line in lines {
            text.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
        let mut bytes = Zeroizing::new(vec![0; text.len()]);
        // In constant time, as it may be a key.
        let decoded = Base64::decode(&*text, &mut bytes).map_err(|_| damaged())?;
        let length = decoded.len();
        if length == 0 {
            return Err(damaged());
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// A block of what need not be kept secret, as Go and openssl write it.
pub(super) fn write(label: &str, bytes: &[u8]) -> String {
    let mut pem = format!("-----BEGIN {label}-----\n");
    for (at, character) in Base64::encode_string(bytes).chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str(&format!("\n-----END {label}-----\n"));
    pem
}
