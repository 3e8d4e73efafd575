//! Java's trust store, as the hook of ca-certificates-java makes it: the format `JKS` of
//! `sun.security.provider.JavaKeyStore`, with the password `changeit`.

use sha1::{Digest as _, Sha1};

use super::certificates::Certificate;
use super::{ArrangeError, Arrangement, Tree, merged};
use crate::rootfs::EntryKind;

const STORE: &str = "/etc/ssl/certs/java/cacerts";
const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
/// The tag of an entry with a certificate that is trusted.
const TRUSTED: u32 = 2;
const PASSWORD: &str = "changeit";
/// What the digest at the end starts with, beside the password.
const WHITENER: &[u8] = b"Mighty Aphrodite";

/// Adds the store where a Java runtime looks for it.
pub(super) fn add(
    tree: &mut Tree,
    arrangement: &Arrangement<'_>,
    certificates: &[Certificate],
    notices: &mut Vec<String>,
) -> Result<(), ArrangeError> {
    let is_asked_for = arrangement
        .packages
        .iter()
        .any(|package| package.name == "ca-certificates-java");
    let leads_there = tree.0.iter().any(|(path, entry)| match &entry.kind {
        EntryKind::Symlink(target) => {
            target.ends_with("cacerts")
                && merged::lexical(path, target).as_path() == std::path::Path::new(STORE)
        }
        _ => false,
    });
    if !is_asked_for && !leads_there {
        return Ok(());
    }
    if certificates.is_empty() {
        notices.push(format!(
            "there is no {STORE}, which Java looks for: no package brings certificates \
             (ca-certificates does)"
        ));
        return Ok(());
    }
    tree.add_file(STORE, store(certificates))
}

fn store(certificates: &[Certificate]) -> Vec<u8> {
    let mut aliased: Vec<(String, &[u8])> = certificates
        .iter()
        .map(|certificate| (alias(&certificate.name), certificate.der.as_slice()))
        .collect();
    aliased.sort_unstable();
    aliased.dedup_by(|a, b| a.0 == b.0);
    let mut store = Vec::new();
    let word = |store: &mut Vec<u8>, number: u32| store.extend(number.to_be_bytes());
    word(&mut store, MAGIC);
    word(&mut store, VERSION);
    word(&mut store, length(aliased.len()));
    for (alias, der) in aliased {
        word(&mut store, TRUSTED);
        text(&mut store, &alias);
        // When it was added, in milliseconds: never, so that equal stores are equal bytes.
        store.extend(0_u64.to_be_bytes());
        text(&mut store, "X.509");
        word(&mut store, length(der.len()));
        store.extend_from_slice(der);
    }
    let mut digest = Sha1::new();
    for unit in PASSWORD.encode_utf16() {
        digest.update(unit.to_be_bytes());
    }
    digest.update(WHITENER);
    digest.update(&store);
    store.extend_from_slice(&digest.finalize());
    store
}

/// The alias that the hook gives: `debian:` and the name of the link in `/etc/ssl/certs`.
fn alias(name: &str) -> String {
    let name = name
        .to_lowercase()
        .replace([' ', ','], "_")
        .replace(['(', ')'], "=");
    format!("debian:{name}.pem")
}

/// `DataOutput.writeUTF`: the modified UTF-8 of Java is the usual one for all names without NUL
/// and without characters beyond the basic plane; those are left out of the alias.
fn text(store: &mut Vec<u8>, text: &str) {
    let plain: String = text
        .chars()
        .filter(|character| *character != '\0' && u32::from(*character) < 0x1_0000)
        .collect();
    // A file's name has 255 bytes at the most.
    let length = u16::try_from(plain.len()).unwrap_or(u16::MAX);
    store.extend(length.to_be_bytes());
    store.extend(plain.bytes().take(usize::from(length)));
}

/// Certificates are some hundreds, of some KiB each.
fn length(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
