//! Signatures that one program makes and the other verifies, in a registry.

use crate::image::Image;
use crate::tools::{run, tool};
use crate::workshop::assert_tells;

use super::bench::{ALGORITHMS, Bench, Form, Line, claims};

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn cosign_verifies_what_distrobuild_signs() {
    let Some(bench) = Bench::new() else { return };
    for algorithm in ALGORITHMS {
        let key = bench.key(algorithm);
        for form in Form::ALL {
            let repository = format!("ours/{algorithm}-{}", form.name());
            let name = bench.push(&repository);
            bench.sign(&key, form, &name, &[]);
            let ours = claims(&bench.verify(&key, &name, &[]).output());
            assert_eq!(ours.len(), 1, "{ours:#?}");
            for line in Line::ALL {
                let theirs = bench.cosign_verify(line, &key, form, &name, &[]).output();
                assert_eq!(claims(&theirs), ours, "{line:?} {algorithm} {form:?}");
            }
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn distrobuild_verifies_what_cosign_signs() {
    let Some(bench) = Bench::new() else { return };
    for line in Line::ALL {
        for algorithm in ALGORITHMS {
            let key = bench.cosign_key(line, algorithm);
            for form in Form::ALL {
                let repository = format!("{}/{algorithm}-{}", line.name(), form.name());
                let name = bench.push(&repository);
                bench.cosign_sign(line, &key, form, &name, &[]);
                let ours = claims(&bench.verify(&key, &name, &[]).output());
                let theirs = bench.cosign_verify_own(line, &key, form, &name);
                if algorithm == "ed25519" {
                    // cosign signs the message's hash and verifies the message itself.
                    assert!(!theirs.status.success(), "{theirs}");
                    let digest = &ours[0]["critical"]["image"]["docker-manifest-digest"];
                    assert_eq!(digest, bench.image.digest().as_str());
                } else {
                    assert_eq!(claims(&theirs.output()), ours, "{algorithm} {form:?}");
                }
            }
        }
    }
}

/// cosign signs with P-384 over SHA-384 and, when it is told nothing, verifies over SHA-256.
#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn only_distrobuild_verifies_by_itself_what_cosign_signs_with_p_384() {
    let Some(bench) = Bench::new() else { return };
    for line in Line::ALL {
        let key = bench.cosign_key(line, "ecdsa-p384");
        let name = bench.push(line.name());
        bench.cosign_sign(line, &key, Form::Classic, &name, &[]);
        let theirs = bench.cosign_verify(line, &key, Form::Classic, &name, &[]);
        assert!(!theirs.status.success(), "{theirs}");
        bench.verify(&key, &name, &[]).output();
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn without_a_form_both_are_made_and_every_verifier_finds_one() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let name = bench.push("both");
    let signed = bench.ours(&["sign", "--key", &key.private, &name]).output();
    assert_tells(&signed, &[&bench.image.digest()]);
    assert!(bench.tags("both").contains(&bench.signature_tag()));
    assert_eq!(claims(&bench.verify(&key, &name, &[]).output()).len(), 2);
    for form in Form::ALL {
        let theirs = bench.cosign_verify(Line::Three, &key, form, &name, &[]);
        assert_eq!(claims(&theirs.output()).len(), 1, "{form:?}");
    }
    let theirs = bench.cosign_verify(Line::Two, &key, Form::Bundle, &name, &[]);
    assert_eq!(claims(&theirs.output()).len(), 1);
    // Nothing is put there twice.
    let tags = bench.tags("both");
    bench.ours(&["sign", "--key", &key.private, &name]).output();
    assert_eq!(bench.tags("both"), tags);
    assert_eq!(claims(&bench.verify(&key, &name, &[]).output()).len(), 2);
}

/// By its tag: what is signed is the digest that it has.
#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_image_is_signed_and_verified_by_its_tag() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let by_digest = bench.push("tagged");
    let by_tag = bench.registry.name("tagged:1");
    let signed = bench.ours(&["sign", "--key", &key.private, &by_tag]);
    assert_tells(&signed.output(), &[&bench.image.digest()]);
    for line in Line::ALL {
        for name in [&by_tag, &by_digest] {
            let theirs = bench.cosign_verify(line, &key, Form::Bundle, name, &[]);
            theirs.output();
            bench.verify(&key, name, &[]).output();
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn annotations_are_signed_and_asked_for() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    // Signs that JSON is written with in several ways.
    let said = ["-a", "env=prod", "-a", "query=b&c<d>", "-a", "who=Jürgen"];
    let asked = ["-a", "env=prod", "-a", "query=b&c<d>"];
    for form in Form::ALL {
        let ours = bench.push(&format!("ours-{}", form.name()));
        bench.sign(&key, form, &ours, &said);
        // cosign 2 neither writes annotations into a bundle nor looks for them there.
        let lines = match form {
            Form::Classic => &Line::ALL[..],
            Form::Bundle => &[Line::Three],
        };
        let mut names = vec![ours];
        for &line in lines {
            let name = bench.push(&format!("{}-{}", line.name(), form.name()));
            bench.cosign_sign(line, &key, form, &name, &said);
            names.push(name);
        }
        for name in &names {
            let found = claims(&bench.verify(&key, name, &asked).output());
            assert_eq!(found[0]["optional"]["who"], "Jürgen");
            let wrong = bench.verify(&key, name, &["-a", "env=test"]);
            assert_tells(&wrong.exited_with(1), &["env", "test", "prod"]);
            let absent = bench.verify(&key, name, &["-a", "stage=1"]);
            assert_tells(&absent.exited_with(1), &["stage"]);
            for &line in lines {
                let theirs = bench.cosign_verify(line, &key, form, name, &asked);
                assert_eq!(claims(&theirs.output()), found, "{line:?} {name}");
                let wrong = bench.cosign_verify(line, &key, form, name, &["-a", "env=test"]);
                assert!(!wrong.status.success(), "{wrong}");
            }
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn signatures_of_both_programs_stand_side_by_side() {
    let Some(bench) = Bench::new() else { return };
    let ours = bench.key("ecdsa-p256");
    let second = bench.cosign_key(Line::Two, "ecdsa-p256");
    let third = bench.cosign_key(Line::Three, "ecdsa-p256");
    for form in Form::ALL {
        // We come in between, and last.
        let name = bench.push(&format!("in-turn-{}", form.name()));
        bench.cosign_sign(Line::Two, &second, form, &name, &[]);
        bench.sign(&ours, form, &name, &[]);
        bench.cosign_sign(Line::Three, &third, form, &name, &[]);
        bench.sign(&ours, form, &name, &["-a", "again=yes"]);
        for (key, count) in [(&ours, 2), (&second, 1), (&third, 1)] {
            let found = claims(&bench.verify(key, &name, &[]).output());
            assert_eq!(found.len(), count, "{form:?} {found:#?}");
            for line in Line::ALL {
                let theirs = bench.cosign_verify(line, key, form, &name, &[]).output();
                assert_eq!(claims(&theirs).len(), count, "{line:?} {form:?} {theirs}");
            }
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn cosign_shows_and_copies_what_distrobuild_signed() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let name = bench.push("from");
    bench.ours(&["sign", "--key", &key.private, &name]).output();
    for line in Line::ALL {
        let tree = bench.cosign(line, &["tree", &name]).output();
        assert_tells(&tree, &[&bench.signature_tag()]);
    }
    let tree = bench.cosign(Line::Three, &["tree", &name]).output();
    assert_tells(&tree, &["https://sigstore.dev/cosign/sign/v1"]);
    for line in Line::ALL {
        let repository = format!("copied-by-{}", line.name());
        let to = bench.registry.name(&format!("{repository}:1"));
        bench.cosign(line, &["copy", &name, &to]).output();
        // It takes classic signatures along.
        let copied = bench
            .registry
            .name(&format!("{repository}@{}", bench.image.digest()));
        bench.verify(&key, &copied, &[]).output();
        bench
            .cosign_verify(line, &key, Form::Classic, &copied, &[])
            .output();
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_image_is_built_pushed_and_signed_at_once() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let name = bench.registry.name("built:1");
    let app = bench.workshop.path("app");
    let app = app.to_str().unwrap();
    let build = ["-q", app, "--sign", &key.private, "--push", &name];
    let printed = bench.ours(&build).output();
    let pinned = printed.lines().next().unwrap();
    assert!(pinned.starts_with(&format!("{name}@sha256:")), "{printed}");
    let (_, digest) = pinned.split_once('@').unwrap();
    let pinned = bench.registry.name(&format!("built@{digest}"));
    for line in Line::ALL {
        let theirs = bench.cosign_verify(line, &key, Form::Bundle, &pinned, &[]);
        assert_eq!(claims(&theirs.output()).len(), 1, "{line:?}");
    }
    let theirs = bench.cosign_verify(Line::Three, &key, Form::Classic, &pinned, &[]);
    theirs.output();
    bench.verify(&key, &pinned, &[]).output();
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn openssl_checks_a_classic_signature() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let name = bench.push("openssl");
    bench.sign(&key, Form::Classic, &name, &[]);
    // The signature as skopeo fetches it: the payload is a blob, the signature an annotation.
    let tagged = bench
        .registry
        .name(&format!("openssl:{}", bench.signature_tag()));
    run(tool("skopeo")
        .arg("copy")
        .args(bench.registry.skopeo("src"))
        .arg(format!("docker://{tagged}"))
        .arg(format!(
            "oci:{}:signature",
            bench.workshop.path("fetched.oci").display()
        )))
    .output();
    let fetched = Image::new(bench.workshop.path("fetched.oci"), "signature");
    let layer = &fetched.manifest()["layers"][0];
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str();
    bench
        .workshop
        .write("signature.base64", &format!("{}\n", signature.unwrap()));
    let decode = ["-d", "-A", "-in", "signature.base64", "-out", "signature"];
    bench.openssl(&["base64"], &decode);
    let payload = fetched.blob(layer["digest"].as_str().unwrap());
    let payload = payload.to_str().unwrap();
    let check = ["-verify", &key.public, "-signature", "signature", payload];
    let said = bench.openssl(&["dgst", "-sha256"], &check);
    assert_eq!(said, "Verified OK\n");
}
