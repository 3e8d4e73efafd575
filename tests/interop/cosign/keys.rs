//! Keys that one program makes and the other reads.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;

use crate::tools::run;
use crate::workshop::assert_tells;

use super::bench::{ALGORITHMS, Bench, Line, PASSWORD, pair, text_of};

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_key_of_either_is_the_same_key_to_the_other() {
    let Some(bench) = Bench::new() else { return };
    for algorithm in ALGORITHMS {
        let key = bench.key(algorithm);
        let public = text_of(&bench.workshop.path(&key.public));
        for line in Line::ALL {
            let theirs = bench.cosign(line, &["public-key", "--key", &key.private]);
            assert_eq!(theirs.output(), public, "{line:?} {algorithm}");
        }
        let mode = fs::metadata(bench.workshop.path(&key.private)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);

        for line in Line::ALL {
            let key = bench.cosign_key(line, algorithm);
            let ours = bench.ours(&["public-key", "--key", &key.private]);
            let public = text_of(&bench.workshop.path(&key.public));
            assert_eq!(ours.output(), public, "{line:?} {algorithm}");
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn openssl_reads_the_public_key() {
    let Some(bench) = Bench::new() else { return };
    for (algorithm, told) in ALGORITHMS
        .into_iter()
        .zip(["256 bit", "384 bit", "ED25519"])
    {
        let key = bench.key(algorithm);
        let text = bench.openssl(
            &["pkey", "-pubin", "-noout", "-text", "-in", &key.public],
            &[],
        );
        assert_tells(&text, &[told]);
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_key_of_openssl_is_imported_by_either() {
    let Some(bench) = Bench::new() else { return };
    for algorithm in ALGORITHMS {
        let pem = format!("{algorithm}.pem");
        bench.openssl_key(algorithm, &pem);
        let public = bench.openssl(&["pkey", "-pubout", "-in", &pem], &[]);
        let prefix = format!("imported-{algorithm}");
        let arguments = ["import-key-pair", "--key", &pem, "--output-key-prefix"];
        bench.ours(&[&arguments[..], &[&prefix]].concat()).output();
        assert_eq!(
            text_of(&bench.workshop.path(&format!("{prefix}.pub"))),
            public
        );
        for line in Line::ALL {
            let private = format!("{prefix}.key");
            let read = bench.cosign(line, &["public-key", "--key", &private]);
            assert_eq!(read.output(), public, "{line:?} {algorithm}");
        }
    }
}

/// cosign refuses the first of these files, which `openssl ecparam -genkey` writes.
#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_key_behind_its_parameters_is_imported() {
    let Some(bench) = Bench::new() else { return };
    let curve = ["-genkey", "-name", "prime256v1", "-out", "sec1.pem"];
    bench.openssl(&["ecparam"], &curve);
    let public = bench.openssl(&["pkey", "-pubout", "-in", "sec1.pem"], &[]);
    let arguments = ["import-key-pair", "--key", "sec1.pem"];
    bench.ours(&arguments).output();
    assert_eq!(text_of(&bench.workshop.path("import-cosign.pub")), public);
    for line in Line::ALL {
        let read = bench.cosign(line, &["public-key", "--key", "import-cosign.key"]);
        assert_eq!(read.output(), public);
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn any_password_opens_in_the_other_program_what_it_closed_in_the_one() {
    let Some(bench) = Bench::new() else { return };
    let passwords = [
        OsString::new(),
        OsString::from("a word with spaces "),
        OsString::from("pässwörd ☃"),
        // Not UTF-8.
        OsString::from_vec(vec![0xff, b'x', 0xfe]),
    ];
    for (at, password) in passwords.iter().enumerate() {
        let ours = pair(&format!("ours-{at}"));
        let mut keygen = bench.command();
        keygen.env("COSIGN_PASSWORD", password);
        let prefix = format!("ours-{at}");
        run(keygen.args(["keygen", "--output-key-prefix", &prefix])).output();
        for line in Line::ALL {
            let mut cosign = bench.cosign_command(line);
            cosign.env("COSIGN_PASSWORD", password);
            let read = run(cosign.args(["public-key", "--key", &ours.private]));
            assert_eq!(read.output(), text_of(&bench.workshop.path(&ours.public)));

            let prefix = format!("{line:?}-{at}");
            let theirs = pair(&prefix);
            let mut cosign = bench.cosign_command(line);
            cosign.env("COSIGN_PASSWORD", password);
            run(cosign.args(["generate-key-pair", "--output-key-prefix", &prefix])).output();
            let mut read = bench.command();
            read.env("COSIGN_PASSWORD", password);
            let read = run(read.args(["public-key", "--key", &theirs.private]));
            assert_eq!(read.output(), text_of(&bench.workshop.path(&theirs.public)));
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_wrong_password_opens_nothing_in_either() {
    let Some(bench) = Bench::new() else { return };
    let ours = bench.key("ecdsa-p256");
    let theirs = bench.cosign_key(Line::Three, "ecdsa-p256");
    let wrong = "battery staple";
    let mut cosign = bench.cosign_command(Line::Three);
    cosign.env("COSIGN_PASSWORD", wrong);
    run(cosign.args(["public-key", "--key", &ours.private])).exited_with(1);
    let mut command = bench.command();
    command.env("COSIGN_PASSWORD", wrong);
    let message = run(command.args(["public-key", "--key", &theirs.private])).exited_with(1);
    assert_tells(&message, &[&theirs.private, "password"]);
    assert!(!message.contains(wrong), "{message}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_key_that_is_there_is_never_overwritten() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.cosign_key(Line::Three, "ecdsa-p256");
    let prefix = key.private.trim_end_matches(".key");
    let private = bench.workshop.path(&key.private);
    let before = text_of(&private);
    let message = bench
        .ours(&["keygen", "--output-key-prefix", prefix])
        .exited_with(1);
    assert_tells(&message, &[&key.private]);
    assert_eq!(text_of(&private), before);
    // Nor when only the public half is there.
    fs::remove_file(&private).unwrap();
    let message = bench
        .ours(&["keygen", "--output-key-prefix", prefix])
        .exited_with(1);
    assert_tells(&message, &[&key.public]);
    assert!(!private.exists());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_key_comes_from_the_environment_too() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.cosign_key(Line::Two, "ecdsa-p256");
    let mut command = bench.command();
    command.env("SIGNING_KEY", text_of(&bench.workshop.path(&key.private)));
    let image = bench.image.layout.display().to_string();
    run(command.args(["sign", "--key", "env://SIGNING_KEY", &image])).output();
    let mut command = bench.command();
    command.env("PUBLIC_KEY", text_of(&bench.workshop.path(&key.public)));
    run(command.args(["verify", "--key", "env://PUBLIC_KEY", &image])).output();
}

/// The password is read by the programs from their environment alone.
#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn no_password_stands_in_what_is_printed() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ed25519");
    let image = bench.image.layout.display().to_string();
    for arguments in [
        &["-v", "sign", "--key", &key.private, &image][..],
        &["-v", "public-key", "--key", &key.private],
        &["-v", "keygen", "--output-key-prefix", "other"],
    ] {
        let outcome = bench.ours(arguments);
        assert!(outcome.status.success(), "{outcome}");
        let printed = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(!printed.contains(PASSWORD), "{printed}");
        assert!(!printed.contains("PRIVATE KEY"), "{printed}");
    }
}
