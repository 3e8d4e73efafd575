//! The text and its signatures as lines.

use super::*;

#[test]
fn no_byte_can_be_changed_to_change_what_is_believed() {
    let (whole, truth) = (
        signed(&text()).into_bytes(),
        verify(signed(&text())).unwrap(),
    );
    for at in 0..whole.len() {
        for bits in [0x01, 0x20, 0x80] {
            let mut altered = whole.clone();
            altered[at] ^= bits;
            if let Ok(release) = verify(&altered) {
                assert_eq!(release, truth, "byte {at}");
            }
        }
    }
}

#[test]
fn a_truncated_release_is_refused() {
    let whole = signed(&text());
    for length in 0..whole.trim_end().len() {
        unsigned(&whole[..length]);
    }
    verify(whole.trim_end()).unwrap();
}

#[test]
fn there_is_nothing_around_the_signed_text() {
    let whole = signed(&text());
    for before in ["Origin: Evil\n", "\n", " ", "\u{feff}"] {
        unsigned(format!("{before}{whole}"));
    }
    for behind in [
        "Origin: Evil\n",
        &whole,
        "\n\n-----BEGIN PGP SIGNATURE-----\n",
        "\0",
    ] {
        unsigned(format!("{whole}{behind}"));
    }
    verify(format!("{whole}\r\n\n")).unwrap();
}

#[test]
fn only_hash_lines_stand_before_the_text() {
    let whole = signed(&text());
    for header in [
        "NotDashEscaped: You need GnuPG",
        "Comment: x",
        "Origin: Evil",
        " ",
        "Hash:",
    ] {
        unsigned(whole.replacen("Hash: SHA256", header, 1));
        unsigned(whole.replacen("Hash: SHA256", &format!("Hash: SHA256\n{header}"), 1));
    }
    // What it says does not matter, nor whether it is there: the signature tells its digest.
    verify(whole.replacen("Hash: SHA256", "Hash: MD5, SHA1", 1)).unwrap();
    verify(whole.replacen("Hash: SHA256\n", "", 1)).unwrap();
    unsigned(whole.replacen("Hash: SHA256\n", &"Hash: SHA256\n".repeat(17), 1));
}

#[test]
fn dashes_are_escaped_and_unescaped() {
    let whole = clear_signed(TEXT, vec![Owner::new(1).sign(TEXT, says(NOW))]);
    assert!(whole.contains("\n- - dashes"));
    // The signature fits, so the words are those that were signed.
    let (line, reason) = malformed(TEXT);
    assert_eq!(line, 17, "{reason}");
    // An escape where none is needed is one nevertheless.
    let escaped = signed(&text()).replacen("\nOrigin", "\n- Origin", 1);
    assert_eq!(verify(escaped).unwrap().origin, "Debian");
    unsigned(whole.replacen("\n- - dashes", "\n- dashes", 1).replacen(
        "\n- dashes",
        "\n-dashes",
        1,
    ));
}

#[test]
fn ends_of_lines_and_blanks_before_them_do_not_matter() {
    let truth = verify(signed(&text())).unwrap();
    let crlf = signed(&text()).replace('\n', "\r\n");
    assert_eq!(verify(crlf).unwrap(), truth);
    let blanks = signed(&text()).replacen("Origin: Debian\n", "Origin: Debian \t \n", 1);
    assert_eq!(verify(blanks).unwrap(), truth);
}

#[test]
fn what_one_reader_may_take_for_the_end_of_a_line_and_another_not_is_refused() {
    for strange in ["\r", "\r\r\n", "\0", "\u{b}", "\u{c}", "\u{85}", "\u{1b}"] {
        let text = text().replacen("Origin: Debian", &format!("Origin: Debian{strange}x"), 1);
        unsigned(signed(&text));
    }
    let mut bytes = signed(&text()).into_bytes();
    let at = bytes.windows(6).position(|it| it == b"Debian").unwrap();
    bytes[at] = 0xff;
    unsigned(bytes);
}

#[test]
fn what_is_too_large_is_refused() {
    let whole = signed(&text());
    unsigned(format!("{whole}{}", "\n".repeat(16 << 20)));
    let signature = || Owner::new(1).sign(&text(), says(NOW));
    unsigned(clear_signed(
        &text(),
        (0..17).map(|_| signature()).collect(),
    ));
    verify(clear_signed(
        &text(),
        (0..16).map(|_| signature()).collect(),
    ))
    .unwrap();
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = verify(&bytes);
        let begin = b"-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n-----BEGIN PGP SIGNATURE-----\n\n";
        let _ = verify([&begin[..], &bytes, b"\n-----END PGP SIGNATURE-----\n"].concat());
    }
}
