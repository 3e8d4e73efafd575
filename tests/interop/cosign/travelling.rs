//! Signatures go where their image goes.

use crate::workshop::assert_tells;

use super::bench::{Bench, Form, Key, Line, claims};

/// Both programs verify the image of `repository` in both forms.
#[track_caller]
fn assert_signed(bench: &Bench, key: &Key, repository: &str) {
    let name = bench
        .registry
        .name(&format!("{repository}@{}", bench.image.digest()));
    let ours = claims(&bench.verify(key, &name, &[]).output());
    assert_eq!(ours.len(), 2, "{ours:#?}");
    for form in Form::ALL {
        let theirs = bench.cosign_verify(Line::Three, key, form, &name, &[]);
        assert_eq!(claims(&theirs.output()).len(), 1, "{form:?}");
    }
    bench
        .cosign_verify(Line::Two, key, Form::Bundle, &name, &[])
        .output();
    assert!(bench.tags(repository).contains(&bench.signature_tag()));
}

/// Nobody finds a signature there.
#[track_caller]
fn assert_unsigned(bench: &Bench, key: &Key, repository: &str) {
    let name = bench
        .registry
        .name(&format!("{repository}@{}", bench.image.digest()));
    let message = bench.verify(key, &name, &[]).exited_with(1);
    assert_tells(&message, &["distrobuild sign"]);
    for line in Line::ALL {
        let theirs = bench.cosign_verify(line, key, Form::Bundle, &name, &[]);
        assert!(!theirs.status.success(), "{theirs}");
    }
    assert_eq!(bench.tags(repository), ["1"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn push_takes_signatures_along() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    bench
        .ours(&["sign", "--key", &key.private, "app.oci"])
        .output();
    bench.push("pushed");
    assert_signed(&bench, &key, "pushed");
    let without = bench.registry.name("without:1");
    bench
        .ours(&["push", "--no-signatures", "app.oci", &without])
        .output();
    assert_unsigned(&bench, &key, "without");
    // Later, to an image that is there.
    bench.ours(&["push", "app.oci", &without]).output();
    assert_signed(&bench, &key, "without");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn pull_takes_along_what_cosign_signed() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.cosign_key(Line::Two, "ecdsa-p256");
    let name = bench.push("signed");
    bench.cosign_sign(Line::Two, &key, Form::Classic, &name, &[]);
    bench.cosign_sign(Line::Three, &key, Form::Bundle, &name, &[]);
    for output in ["pulled.oci", "pulled.tar"] {
        bench
            .ours(&["pull", &name, "-o", output, "-t", "1"])
            .output();
        let ours = claims(&bench.verify(&key, output, &[]).output());
        assert_eq!(ours.len(), 2, "{output} {ours:#?}");
    }
    let local = ["--local-image"];
    bench
        .cosign_verify(Line::Two, &key, Form::Classic, "pulled.oci", &local)
        .output();
    for form in Form::ALL {
        bench
            .cosign_verify(Line::Three, &key, form, "pulled.oci", &local)
            .output();
    }
    // And on, from the archive.
    let other = bench.registry.name("other:1");
    bench.ours(&["push", "pulled.tar", &other]).output();
    assert_signed(&bench, &key, "other");

    let arguments = ["pull", "--no-signatures", &name, "-o", "bare.oci"];
    bench.ours(&arguments).output();
    bench.verify(&key, "bare.oci", &[]).exited_with(1);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn copy_takes_signatures_from_one_repository_to_another() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.cosign_key(Line::Three, "ecdsa-p256");
    let name = bench.push("from");
    bench.cosign_sign(Line::Three, &key, Form::Classic, &name, &[]);
    bench.cosign_sign(Line::Three, &key, Form::Bundle, &name, &[]);
    let to = bench.registry.name("to:1");
    bench.ours(&["copy", &name, &to]).output();
    assert_signed(&bench, &key, "to");
    let bare = bench.registry.name("bare:1");
    bench
        .ours(&["copy", "--no-signatures", &name, &bare])
        .output();
    assert_unsigned(&bench, &key, "bare");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn what_is_signed_at_the_target_stays_when_more_comes() {
    let Some(bench) = Bench::new() else { return };
    let here = bench.key("ecdsa-p256");
    let there = bench.cosign_key(Line::Two, "ecdsa-p256");
    let name = bench.push("target");
    bench.cosign_sign(Line::Two, &there, Form::Classic, &name, &[]);
    bench.cosign_sign(Line::Two, &there, Form::Bundle, &name, &[]);
    bench
        .ours(&["sign", "--key", &here.private, "app.oci"])
        .output();
    bench.push("target");
    assert_signed(&bench, &here, "target");
    assert_signed(&bench, &there, "target");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_image_that_is_built_again_keeps_its_signatures_and_a_changed_one_has_none() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    bench
        .ours(&["sign", "--key", &key.private, "app.oci"])
        .output();
    let app = bench.workshop.path("app");
    bench.workshop.build(&app, "app.oci", &[]);
    bench.verify(&key, "app.oci", &[]).output();
    let more = ["--local-image"];
    bench
        .cosign_verify(Line::Two, &key, Form::Classic, "app.oci", &more)
        .output();

    let source = "int main(void) { return 7; }\n";
    bench.workshop.compile("gcc", source, "app", &["-static"]);
    bench.workshop.build(&app, "app.oci", &[]);
    bench.verify(&key, "app.oci", &[]).exited_with(1);
    for form in Form::ALL {
        let theirs = bench.cosign_verify(Line::Three, &key, form, "app.oci", &more);
        assert!(!theirs.status.success(), "{theirs}");
    }
}
