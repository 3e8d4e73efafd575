//! Images on disk: what cosign saves, and what it finds in a layout of ours.

use crate::image::json;
use crate::workshop::assert_tells;

use super::bench::{ALGORITHMS, Bench, Form, Key, Line, claims, copy_directory};

/// cosign verifies a layout: the outcome.
#[track_caller]
fn local(bench: &Bench, line: Line, key: &Key, form: Form, layout: &str) -> crate::tools::Outcome {
    let more = ["--local-image"];
    bench.cosign_verify(line, key, form, layout, &more)
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn what_cosign_saves_is_verified() {
    let Some(bench) = Bench::new() else { return };
    for line in Line::ALL {
        let key = bench.cosign_key(line, "ecdsa-p256");
        for form in Form::ALL {
            let name = bench.push(&format!("{}-{}", line.name(), form.name()));
            bench.cosign_sign(line, &key, form, &name, &[]);
            // cosign 2 saves no bundle; cosign 3 puts it beside the image without naming it.
            let saver = match form {
                Form::Classic => line,
                Form::Bundle => Line::Three,
            };
            let directory = format!("saved-{}-{}", line.name(), form.name());
            bench
                .cosign(saver, &["save", "--dir", &directory, &name])
                .output();
            local(&bench, Line::Three, &key, form, &directory).output();
            let ours = claims(&bench.verify(&key, &directory, &[]).output());
            assert_eq!(ours.len(), 1, "{line:?} {form:?} {ours:#?}");
        }
    }
}

/// cosign 2 reads no bundle from a layout.
#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn cosign_verifies_a_layout_that_distrobuild_signed() {
    let Some(bench) = Bench::new() else { return };
    for algorithm in ALGORITHMS {
        let key = bench.key(algorithm);
        for form in Form::ALL {
            let layout = format!("{algorithm}-{}.oci", form.name());
            copy_directory(&bench.image.layout, &bench.workshop.path(&layout));
            bench.sign(&key, form, &layout, &[]);
            let ours = claims(&bench.verify(&key, &layout, &[]).output());
            assert_eq!(ours.len(), 1, "{ours:#?}");
            let theirs = local(&bench, Line::Three, &key, form, &layout).output();
            if form == Form::Classic {
                assert_eq!(claims(&theirs), ours, "{algorithm}");
                let theirs = local(&bench, Line::Two, &key, form, &layout).output();
                assert_eq!(claims(&theirs), ours, "{algorithm}");
            }
            // Its claims of a local bundle are empty; the key counts all the same.
            let other = bench.cosign_key(Line::Three, "ecdsa-p256");
            let wrong = local(&bench, Line::Three, &other, form, &layout);
            assert!(!wrong.status.success(), "{wrong}");
            for file in [&other.private, &other.public] {
                std::fs::remove_file(bench.workshop.path(file)).unwrap();
            }
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn in_both_forms_a_layout_serves_every_verifier() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    bench
        .ours(&["sign", "--key", &key.private, "app.oci", "-a", "env=prod"])
        .output();
    assert_eq!(
        claims(&bench.verify(&key, "app.oci", &[]).output()).len(),
        2
    );
    local(&bench, Line::Two, &key, Form::Classic, "app.oci").output();
    for form in Form::ALL {
        local(&bench, Line::Three, &key, form, "app.oci").output();
    }
    // The image is still the one that has no name to be told.
    bench.ours(&["inspect", "app.oci"]).output();
    bench.image.assert_whole();
    let tags = bench.ours(&["tags", "app.oci"]).output();
    assert_eq!(tags, "latest\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn cosign_loads_a_layout_that_distrobuild_signed() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    bench.sign(&key, Form::Classic, "app.oci", &[]);
    for line in Line::ALL {
        let repository = format!("loaded-by-{}", line.name());
        let name = bench.registry.name(&repository);
        bench
            .cosign(line, &["load", "--dir", "app.oci", &format!("{name}:1")])
            .output();
        let pinned = format!("{name}@{}", bench.image.digest());
        bench
            .cosign_verify(line, &key, Form::Classic, &pinned, &[])
            .output();
        bench.verify(&key, &pinned, &[]).output();
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_attestation_in_a_layout_is_verified_by_cosign() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let bom = r#"{"bomFormat":"CycloneDX","specVersion":"1.5"}"#;
    bench.workshop.write("bom.json", bom);
    for form in Form::ALL {
        let layout = format!("attested-{}.oci", form.name());
        copy_directory(&bench.image.layout, &bench.workshop.path(&layout));
        let arguments = ["attest", "--key", &key.private, "--predicate", "bom.json"];
        let more = ["--type", "cyclonedx", "--signature-form", form.name()];
        bench
            .ours(&[&arguments[..], &more, &[&layout]].concat())
            .output();
        let arguments = ["verify-attestation", "--key", &key.public];
        let more = ["--type", "cyclonedx", &layout];
        bench.ours(&[&arguments[..], &more].concat()).output();
        let lines = match form {
            Form::Classic => &Line::ALL[..],
            Form::Bundle => &[Line::Three],
        };
        for &line in lines {
            let mut arguments = bench.cosign_checks(line, "verify-attestation", &key, form);
            let more = ["--local-image", "--type=cyclonedx", &layout];
            arguments.extend(more.map(str::to_owned));
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            bench.cosign(line, &arguments).output();
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_archive_is_signed_and_verified() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.cosign_key(Line::Three, "ecdsa-p256");
    let archive = "app.tar";
    bench.ours(&["copy", "app.oci", archive]).output();
    bench
        .ours(&["sign", "--key", &key.private, archive])
        .output();
    let ours = claims(&bench.verify(&key, archive, &[]).output());
    assert_eq!(ours.len(), 2, "{ours:#?}");
    // Taken out of it, it is what cosign knows.
    bench
        .ours(&["copy", archive, "oci:out.oci:latest"])
        .output();
    local(&bench, Line::Two, &key, Form::Classic, "out.oci").output();
    local(&bench, Line::Three, &key, Form::Bundle, "out.oci").output();
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_docker_archive_has_no_room_for_a_signature() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let to = ["--format", "docker-archive", "-o", "docker.tar"];
    let app = bench.workshop.path("app");
    let app = app.to_str().unwrap();
    bench.ours(&[&["-q", app], &to[..]].concat()).output();
    let refused = bench.ours(&["sign", "--key", &key.private, "docker.tar"]);
    assert_tells(&refused.exited_with(1), &["docker.tar"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn what_is_signed_twice_the_same_way_stays_the_same_bytes() {
    let Some(bench) = Bench::new() else { return };
    // Ed25519 and our ECDSA are deterministic.
    for algorithm in ALGORITHMS {
        let key = bench.key(algorithm);
        let layouts = [format!("{algorithm}-1.oci"), format!("{algorithm}-2.oci")];
        for layout in &layouts {
            copy_directory(&bench.image.layout, &bench.workshop.path(layout));
            let signed = ["--identity", "example.com/app", layout];
            bench
                .ours(&[&["sign", "--key", &key.private], &signed[..]].concat())
                .output();
        }
        let [first, second] =
            layouts.map(|layout| crate::image::contents(&bench.workshop.path(&layout)));
        assert_eq!(first, second, "{algorithm}");
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn cosign_finds_the_image_by_its_kind() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    bench
        .ours(&["sign", "--key", &key.private, "app.oci"])
        .output();
    let index = json(&bench.image.layout.join("index.json"));
    let kinds: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["annotations"]["kind"].as_str())
        .collect();
    assert!(
        kinds.contains(&"dev.cosignproject.cosign/image"),
        "{index:#}"
    );
    assert!(
        kinds.contains(&"dev.cosignproject.cosign/sigs"),
        "{index:#}"
    );
}
