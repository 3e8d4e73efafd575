#![allow(clippy::unwrap_used)]

mod framing;

use std::path::Path;

use pgp::crypto::hash::HashAlgorithm;
use proptest::prelude::*;

use super::super::keyring::authority::{BORN, DAY, NOW, Owner, clear_signed, says};
use super::*;

const URL: &str = "http://mirror.example/dists/bookworm/InRelease";

/// As Debian and Ubuntu write it; its date is a day before [`NOW`].
const TEXT: &str = "\
Origin: Debian
Label: Debian
Suite: oldstable
Version: 12.15
Codename: bookworm
Date: Tue, 09 Apr 2024  0:00:00 UTC
Valid-Until: Tue, 16 Apr 2024 00:00:00 UTC
Acquire-By-Hash: yes
Architectures: all amd64 arm64
Components: main contrib
Description: -- dashes
MD5Sum:
 0800fc577294c34e0b28ad2839435945    1484322 main/binary-amd64/Other
SHA256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/binary-all/Packages
 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 12345678 main/binary-amd64/Packages.xz
- dashes: also in front
";

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// [`TEXT`] without the line that is no field, which only the framing has to do with.
fn text() -> String {
    TEXT.replace("- dashes: also in front\n", "")
        .replace("-- dashes", "fine")
}

fn signed(text: &str) -> String {
    clear_signed(text, vec![Owner::new(1).sign(text, says(NOW - DAY))])
}

fn verify(in_release: impl AsRef<[u8]>) -> Result<Release, ReleaseError> {
    verify_by(&Owner::new(1).plain(), in_release)
}

fn verify_by(keyring: &[u8], in_release: impl AsRef<[u8]>) -> Result<Release, ReleaseError> {
    let keyring = Keyring::parse(keyring, Path::new("test.gpg")).unwrap();
    let trust = Trust {
        keyring: &keyring,
        now: NOW,
        allow_expired: false,
    };
    Release::verify(in_release.as_ref(), URL, &trust)
}

#[track_caller]
fn unsigned(in_release: impl AsRef<[u8]>) -> &'static str {
    match verify(in_release) {
        Err(ReleaseError::Unsigned { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// What is wrong with a text that is well signed.
#[track_caller]
fn malformed(text: &str) -> (usize, String) {
    match verify(signed(text)) {
        Err(ReleaseError::Malformed { line, reason, .. }) => (line, reason),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn faults(result: Result<Release, ReleaseError>) -> Vec<SignatureFault> {
    match result {
        Err(ReleaseError::Untrusted { signatures, .. }) => {
            signatures.into_iter().map(|(_, fault)| fault).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_release_is_read_whole() {
    let release = verify(signed(&text())).unwrap();
    assert_eq!(release.origin, "Debian");
    assert_eq!(release.label, "Debian");
    assert_eq!(release.suite, "oldstable");
    assert_eq!(release.codename, "bookworm");
    assert_eq!(release.version.as_deref(), Some("12.15"));
    assert_eq!(release.date, NOW - DAY);
    assert_eq!(release.valid_until, Some(release.date + 7 * DAY));
    assert_eq!(release.architectures, ["all", "amd64", "arm64"]);
    assert_eq!(release.components, ["main", "contrib"]);
    assert!(release.by_hash);
    assert_eq!(release.signed_by, Owner::new(1).fingerprint());
    let files: Vec<_> = release
        .files
        .iter()
        .map(|(path, it)| (path.as_str(), it.size))
        .collect();
    let expected = [
        ("main/binary-all/Packages", 0),
        ("main/binary-amd64/Packages.xz", 12_345_678),
    ];
    assert_eq!(files, expected, "MD5Sum lists are not used");
    assert_eq!(
        release.files["main/binary-all/Packages"].sha256.hex(),
        EMPTY
    );
}

#[test]
fn a_release_by_nobody_known_is_refused_and_tells_by_whom() {
    let other = Owner::new(2);
    let whole = clear_signed(&text(), vec![other.sign(&text(), says(NOW))]);
    let error = verify(whole).unwrap_err().to_string();
    for part in [URL, "test.gpg", &other.fingerprint(), "--keyring"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let unsigned_text = format!("-----BEGIN PGP SIGNED MESSAGE-----\n\n{}", text());
    unsigned(unsigned_text);
}

#[test]
fn one_good_signature_suffices_beside_others_that_prove_nothing() {
    let (good, other) = (Owner::new(1), Owner::new(2));
    let expired = other.certifies(says(BORN).for_signing(true).for_days(1));
    let keyring = [other.packets(&[], &[expired], &[]), good.plain()].concat();
    let both = vec![
        other.sign(&text(), says(NOW)),
        good.sign(&text(), says(NOW)),
    ];
    let whole = clear_signed(&text(), both);
    // Beside one of an unknown key, and beside one of a key that expired.
    for keyring in [good.plain(), keyring] {
        assert_eq!(
            verify_by(&keyring, &whole).unwrap().signed_by,
            good.fingerprint()
        );
    }
}

#[test]
fn a_false_signature_of_a_known_key_spoils_a_good_one() {
    let (good, other) = (Owner::new(1), Owner::new(2));
    let keyring = [other.plain(), good.plain()].concat();
    let both = vec![good.sign(&text(), says(NOW)), other.sign("else", says(NOW))];
    let result = verify_by(&keyring, clear_signed(&text(), both));
    assert_eq!(faults(result), [SignatureFault::Mismatch]);
}

#[test]
fn weak_digests_are_refused() {
    for hash in [
        HashAlgorithm::Md5,
        HashAlgorithm::Sha1,
        HashAlgorithm::Ripemd160,
        HashAlgorithm::Sha224,
    ] {
        let signature = Owner::new(1).claims(hash, says(NOW));
        let result = verify(clear_signed(&text(), vec![signature]));
        assert_eq!(
            faults(result),
            [SignatureFault::WeakDigest(hash.to_string())]
        );
    }
}

#[test]
fn a_signature_over_bytes_is_none_over_a_text() {
    let text = text().replace('\n', "\r\n");
    let signature = Owner::new(1).sign_bytes(&text, says(NOW));
    let result = faults(verify(clear_signed(&text, vec![signature])));
    assert!(
        matches!(result[..], [SignatureFault::Unsupported(_)]),
        "{result:?}"
    );
}

#[test]
fn what_is_no_longer_valid_is_refused_unless_that_is_allowed() {
    let keyring = Keyring::parse(&Owner::new(1).plain(), Path::new("test.gpg")).unwrap();
    let whole = signed(&text());
    let until = verify(&whole).unwrap().valid_until.unwrap();
    let at = |now, allow_expired| {
        let trust = Trust {
            keyring: &keyring,
            now,
            allow_expired,
        };
        Release::verify(whole.as_bytes(), URL, &trust)
    };
    assert!(at(until, false).is_ok());
    assert!(at(until + 1, true).is_ok());
    let error = at(until + 1, false).unwrap_err().to_string();
    for part in [
        URL,
        "2024-04-16T00:00:00Z",
        "2024-04-16T00:00:01Z",
        "--allow-expired",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_release_of_the_future_is_refused() {
    let later = |days: &str| text().replacen("09 Apr 2024  0:00:00", days, 1);
    verify(signed(&later("11 Apr 2024 00:00:00"))).unwrap();
    let result = verify(signed(&later("11 Apr 2024 00:00:01")));
    assert!(
        matches!(result, Err(ReleaseError::Future { .. })),
        "{result:?}"
    );
}

#[test]
fn a_path_with_two_digests_is_refused() {
    let line = |digest: &str, size| format!(" {digest} {size} main/binary-all/Packages\n");
    let with = |line: String| format!("{}{line}", text());
    verify(signed(&with(line(EMPTY, 0)))).unwrap();
    for line in [line(EMPTY, 1), line(&EMPTY.replace('e', "f"), 0)] {
        let (number, reason) = malformed(&with(line));
        assert_eq!(number, 17);
        assert!(reason.contains("main/binary-all/Packages"), "{reason}");
    }
}

#[test]
fn a_path_stays_below_its_suite() {
    for path in [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a/./b",
        "a/",
        "..",
        ".",
        "a\\b",
        "a?b",
        "a#b",
        "a%2e%2e/b",
        "http://x/y",
        "a\u{a0}b",
        "a b",
    ] {
        let (number, _) = malformed(&format!("{} {EMPTY} 0 {path}\n", text()));
        assert_eq!(number, 17, "{path}");
    }
    for path in [
        "Contents-amd64.gz",
        "main/i18n/Translation-en.bz2",
        "main/a+b~c_d.x/..y",
    ] {
        let release = verify(signed(&format!("{} {EMPTY} 0 {path}\n", text()))).unwrap();
        assert!(release.files.contains_key(path), "{path}");
    }
}

#[test]
fn lines_of_the_list_that_are_none_are_refused() {
    let short = EMPTY.trim_end_matches('5');
    let upper = EMPTY.to_uppercase();
    for line in [
        EMPTY.to_owned(),
        format!("{EMPTY} 0"),
        format!("{short} 0 a"),
        format!("{upper} 0 a"),
        format!("{EMPTY} -1 a"),
        format!("{EMPTY} +1 a"),
        format!("{EMPTY} 99999999999999999999 a"),
    ] {
        assert_eq!(malformed(&format!("{} {line}\n", text())).0, 17, "{line}");
    }
}

#[test]
fn what_is_signed_but_no_release_is_refused() {
    for (from, to) in [
        ("SHA256:", "SHA512:"),
        ("Date:", "Dates:"),
        ("Date: Tue", "Date: today"),
        ("Valid-Until: Tue", "Valid-Until: never"),
        ("Label: Debian", "Label"),
        ("Label:", "Origin:"),
        ("Label: Debian\n", "Label: Debian\n\n"),
        ("Origin: Debian\n", " Origin: Debian\n"),
    ] {
        let (_, reason) = malformed(&text().replacen(from, to, 1));
        assert!(!reason.is_empty());
    }
    assert_eq!(malformed("hello").0, 1);
    malformed("");
}

#[test]
fn a_release_is_told_from_others_of_the_same_key() {
    let release = |suite: &str, codename: &str| Release {
        suite: suite.into(),
        codename: codename.into(),
        ..verify(signed(&text())).unwrap()
    };
    let bookworm = release("oldstable", "bookworm");
    assert!(bookworm.is("bookworm") && bookworm.is("oldstable"));
    assert!(!bookworm.is("trixie") && !bookworm.is("bookworm-updates") && !bookworm.is(""));
    let updates = release("oldstable-updates", "bookworm-updates");
    assert!(updates.is("bookworm-updates") && !updates.is("bookworm"));
    let noble = release("noble", "noble");
    assert!(noble.is("noble") && !noble.is("noble-security"));
    let security = release("noble-security", "noble");
    assert!(security.is("noble-security") && !security.is("noble"));
    assert!(!release("", "").is(""));
}

proptest! {
    #[test]
    fn no_signed_text_makes_it_panic(text in "(Date|SHA256|Valid-Until|[ -~]|:|\n| |\u{e9}){0,80}") {
        let _ = verify(signed(&text));
    }
}
