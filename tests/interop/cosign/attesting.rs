//! Attestations that one program makes and the other verifies.

use serde_json::Value;

use crate::tools::{run, tool};
use crate::workshop::assert_tells;

use super::bench::{Bench, Form, Key, Line};

/// A type, a file of it, and the URI that stands for it.
const PREDICATES: [(&str, &str, &str); 5] = [
    (
        "custom",
        "any text: ünder <the> sun & \"quoted\"\n",
        "https://cosign.sigstore.dev/attestation/v1",
    ),
    (
        "spdxjson",
        r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"app & <more>","dataLicense":"CC0-1.0"}"#,
        "https://spdx.dev/Document",
    ),
    (
        "cyclonedx",
        r#"{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"components":[]}"#,
        "https://cyclonedx.org/bom",
    ),
    (
        "slsaprovenance1",
        r#"{"buildDefinition":{"buildType":"https://example.com/make","externalParameters":{"a":1}},"runDetails":{"builder":{"id":"https://example.com/here"},"metadata":{"startedOn":"2026-01-01T00:00:00Z"}}}"#,
        "https://slsa.dev/provenance/v1",
    ),
    (
        "vuln",
        r#"{"invocation":{"parameters":null,"uri":"","event_id":"","builder.id":""},"scanner":{"uri":"pkg:x","version":"1","db":{"uri":"","version":""},"result":{"found":0}},"metadata":{"scanStartedOn":"2026-01-01T00:00:00Z","scanFinishedOn":"2026-01-01T00:00:01Z"}}"#,
        "https://cosign.sigstore.dev/attestation/vuln/v1",
    ),
];

/// cosign attests, and no service is asked.
#[track_caller]
fn cosign_attest(
    bench: &Bench,
    line: Line,
    key: &Key,
    form: Form,
    (kind, file): (&str, &str),
    name: &str,
) {
    let flag = match form {
        Form::Classic => "--new-bundle-format=false",
        Form::Bundle => "--new-bundle-format=true",
    };
    let mut arguments = vec!["attest", "-y", "--key", &key.private, "--tlog-upload=false"];
    if line == Line::Three {
        arguments.push("--use-signing-config=false");
    }
    arguments.extend([flag, "--type", kind, "--predicate", file, name]);
    bench.cosign(line, &arguments).output();
}

#[track_caller]
fn attest(bench: &Bench, key: &Key, form: Form, (kind, file): (&str, &str), name: &str) {
    bench
        .ours(&[
            "attest",
            "--key",
            &key.private,
            "--signature-form",
            form.name(),
            "--type",
            kind,
            "--predicate",
            file,
            name,
        ])
        .output();
}

/// The envelopes that cosign verifies, in one order.
#[track_caller]
fn by_cosign(
    bench: &Bench,
    line: Line,
    key: &Key,
    form: Form,
    kind: &str,
    name: &str,
) -> Vec<Value> {
    let mut arguments = bench.cosign_checks(line, "verify-attestation", key, form);
    arguments.extend([format!("--type={kind}"), name.to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    envelopes(&bench.cosign(line, &arguments).output())
}

/// Those that distrobuild verifies.
#[track_caller]
fn by_us(bench: &Bench, key: &Key, kind: &str, name: &str) -> Vec<Value> {
    let arguments = ["verify-attestation", "--key", &key.public, "--type", kind];
    envelopes(&bench.ours(&[&arguments[..], &[name]].concat()).output())
}

/// A JSON document a line. A signature's `keyid` is written or left out when it is empty.
#[track_caller]
fn envelopes(output: &str) -> Vec<Value> {
    let mut found: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for envelope in &mut found {
        for signature in envelope["signatures"].as_array_mut().unwrap() {
            let signature = signature.as_object_mut().unwrap();
            if signature.get("keyid").is_some_and(|id| id == "") {
                signature.remove("keyid");
            }
        }
    }
    found.sort_by_key(ToString::to_string);
    found
}

/// What an envelope says, without the time that `custom` adds.
#[track_caller]
fn statement(bench: &Bench, envelope: &Value) -> Value {
    let file = bench.workshop.write("envelope.json", &envelope.to_string());
    let filter = ".payload | @base64d | fromjson | del(.predicate.Timestamp?)";
    let text = run(tool("jq").arg(filter).arg(file)).output();
    serde_json::from_str(&text).unwrap()
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_attestation_of_either_is_verified_by_the_other() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    for (kind, content, uri) in PREDICATES {
        bench.workshop.write(kind, content);
        for form in Form::ALL {
            let repository = format!("{kind}/{}", form.name());
            let name = bench.push(&repository);
            attest(&bench, &key, form, (kind, kind), &name);
            let ours = by_us(&bench, &key, kind, &name);
            assert_eq!(ours.len(), 1, "{ours:#?}");
            let said = statement(&bench, &ours[0]);
            assert_eq!(said["predicateType"], uri, "{said:#}");
            for line in Line::ALL {
                let theirs = by_cosign(&bench, line, &key, form, kind, &name);
                assert_eq!(theirs, ours, "{line:?} {kind} {form:?}");
            }

            for line in Line::ALL {
                // The same repository's name, which the statement has: a digest of its own.
                let name = bench.push(&format!("{repository}/{}", line.name()));
                cosign_attest(&bench, line, &key, form, (kind, kind), &name);
                let ours = by_us(&bench, &key, kind, &name);
                assert_eq!(ours, by_cosign(&bench, line, &key, form, kind, &name));
                let mut theirs = statement(&bench, &ours[0]);
                theirs["subject"][0]["name"] = said["subject"][0]["name"].clone();
                assert_eq!(theirs, said, "{line:?} {kind} {form:?}");
            }
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn attestations_of_both_programs_stand_side_by_side() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let (first, second) = (PREDICATES[1], PREDICATES[2]);
    for (kind, content, _) in [first, second] {
        bench.workshop.write(kind, content);
    }
    for form in Form::ALL {
        let name = bench.push(&format!("attested-{}", form.name()));
        cosign_attest(&bench, Line::Two, &key, form, (first.0, first.0), &name);
        attest(&bench, &key, form, (second.0, second.0), &name);
        cosign_attest(&bench, Line::Three, &key, form, (second.0, second.0), &name);
        for (kind, count) in [(first.0, 1), (second.0, 2)] {
            assert_eq!(by_us(&bench, &key, kind, &name).len(), count, "{form:?}");
            for line in Line::ALL {
                let theirs = by_cosign(&bench, line, &key, form, kind, &name);
                assert_eq!(theirs.len(), count, "{line:?} {kind} {form:?}");
            }
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_attestation_is_asked_for_by_its_type_and_key() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let other = bench.cosign_key(Line::Three, "ecdsa-p256");
    let (kind, content, uri) = PREDICATES[2];
    bench.workshop.write(kind, content);
    for form in Form::ALL {
        let name = bench.push(&format!("asked-{}", form.name()));
        attest(&bench, &key, form, (kind, kind), &name);
        let arguments = ["verify-attestation", "--key", &key.public, "--type"];
        let message = bench.ours(&[&arguments[..], &["spdxjson", &name]].concat());
        assert_tells(&message.exited_with(1), &[uri]);
        let wrong = ["verify-attestation", "--key", &other.public, "--type", kind];
        bench.ours(&[&wrong[..], &[&name]].concat()).exited_with(1);
        // By the URI, too.
        assert_eq!(by_us(&bench, &key, uri, &name).len(), 1);
        for line in Line::ALL {
            let mut arguments = bench.cosign_checks(line, "verify-attestation", &other, form);
            arguments.extend([format!("--type={kind}"), name.clone()]);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let outcome = bench.cosign(line, &arguments);
            assert!(!outcome.status.success(), "{outcome}");
        }
    }
}

/// cosign 3 counts any statement by the key; we want to be told that the image is signed.
#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_attestation_is_no_signature_to_distrobuild() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let (kind, content, _) = PREDICATES[1];
    bench.workshop.write(kind, content);
    for form in Form::ALL {
        let name = bench.push(&format!("no-signature-{}", form.name()));
        cosign_attest(&bench, Line::Three, &key, form, (kind, kind), &name);
        bench.verify(&key, &name, &[]).exited_with(1);
        let theirs = bench.cosign_verify(Line::Three, &key, form, &name, &[]);
        assert_eq!(theirs.status.success(), form == Form::Bundle, "{theirs}");
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_attestation_is_replaced_by_a_newer_one_of_its_type() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let (kind, content, _) = PREDICATES[2];
    bench.workshop.write("old", content);
    let newer = content.replace("\"version\":1", "\"version\":2");
    bench.workshop.write("new", &newer);
    for form in Form::ALL {
        let name = bench.push(&format!("replaced-{}", form.name()));
        cosign_attest(&bench, Line::Three, &key, form, (kind, "old"), &name);
        let arguments = ["attest", "--replace", "--key", &key.private, "--type", kind];
        let more = ["--predicate", "new", "--signature-form", form.name(), &name];
        bench.ours(&[&arguments[..], &more].concat()).output();
        for line in Line::ALL {
            let theirs = by_cosign(&bench, line, &key, form, kind, &name);
            assert_eq!(theirs.len(), 1, "{line:?} {form:?}");
            let said = statement(&bench, &theirs[0]);
            assert_eq!(said["predicate"]["version"], 2);
        }
        assert_eq!(by_us(&bench, &key, kind, &name).len(), 1);
    }
}
