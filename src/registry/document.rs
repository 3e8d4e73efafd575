//! What a document is that a registry gives for a manifest.

use oci_spec::image::MediaType;
use serde_json::{Map, Value};

use super::said::bounded;

/// The most characters that are shown of a media type.
const LONGEST_NAME: usize = 100;

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What is asked for, the wish as one header: without docker's types a registry may convert
/// the manifest, which then has another digest.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// The media type of a manifest or index, from what the registry calls it and from what it says
/// of itself. The two must not differ: what is an index to one reader and a manifest to another
/// has two meanings for one digest (CVE-2021-41190).
///
/// # Errors
/// What it is instead.
pub(super) fn media_type(content_type: Option<&str>, bytes: &[u8]) -> Result<MediaType, String> {
    let called = content_type.map(essence);
    let called = called.as_deref();
    if called.is_some_and(is_schema1) {
        return Err(schema1());
    }
    let members = members(bytes)?;
    if members.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
        return Err(schema1());
    }
    let itself = members.get("mediaType").and_then(Value::as_str);
    let is_index = members.contains_key("manifests");
    let is_manifest = members.contains_key("layers") || members.contains_key("config");
    if is_index && is_manifest {
        return Err(
            "the document is an index and a manifest at the same time, and is not used".to_owned(),
        );
    }
    if !is_index && !is_manifest {
        return Err(
            "the registry gave a JSON document that is no manifest and no index: it has neither \"manifests\" nor \"config\" and \"layers\""
                .to_owned(),
        );
    }
    let known = |name: &&str| of_index(name).is_some();
    if let (Some(called), Some(itself)) = (called.filter(known), itself)
        && called != itself
    {
        return Err(format!(
            "the registry calls it {called}, and it calls itself {:?}: it is not clear what it is, and it is not used",
            bounded(itself, LONGEST_NAME)
        ));
    }
    let name = match (itself, called.filter(known)) {
        (Some(itself), _) => itself,
        (None, Some(called)) => called,
        (None, None) if is_index => OCI_INDEX,
        (None, None) => OCI_MANIFEST,
    };
    match of_index(name) {
        Some(right) if right == is_index => Ok(MediaType::from(name)),
        Some(_) => Err(format!(
            "it is called {name}, and its content is something else"
        )),
        None => Err(format!(
            "it is of the type {:?}, which is not known: manifests and indexes of OCI and docker (schema 2) are",
            bounded(name, LONGEST_NAME)
        )),
    }
}

/// Whether a media type is that of an index; `None` for that of neither an index nor a manifest.
fn of_index(media_type: &str) -> Option<bool> {
    match media_type {
        OCI_INDEX | DOCKER_LIST => Some(true),
        OCI_MANIFEST | DOCKER_MANIFEST => Some(false),
        _ => None,
    }
}

/// A media type without its parameters, in lower case (RFC 9110, section 8.3.1).
pub(super) fn essence(content_type: &str) -> String {
    let (essence, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    essence.trim().to_ascii_lowercase()
}

/// Whether what a registry calls a document is of use as its media type.
pub(super) fn is_telling(content_type: &str) -> bool {
    of_index(content_type).is_some()
}

fn is_schema1(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.docker.distribution.manifest.v1+")
}

fn schema1() -> String {
    "it is an image of docker's old schema 1, which cannot be read: push it again with a docker of version 1.10 or later, or ask for another tag".to_owned()
}

/// The members of a JSON object.
pub(super) fn members(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("the registry gave JSON that is no object, so it is no manifest".to_owned()),
        Err(_) if bytes.is_empty() => Err("the registry gave nothing".to_owned()),
        Err(_) if bytes.trim_ascii_start().starts_with(b"<") => Err(
            "the registry gave an HTML page, not a manifest: check whether the host is a registry, and whether a proxy answers in its stead"
                .to_owned(),
        ),
        Err(_) => Err("the registry gave something that is no JSON, so it is no manifest".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const INDEX: &str = r#"{"schemaVersion":2,"manifests":[]}"#;
    const MANIFEST: &str = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;

    #[test]
    fn the_type_comes_from_the_registry_or_from_the_document() {
        let own = r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":null}"#;
        for (called, document, expected) in [
            (Some(OCI_INDEX), INDEX, OCI_INDEX),
            (Some(DOCKER_LIST), INDEX, DOCKER_LIST),
            (
                Some("Application/VND.oci.image.index.v1+JSON; charset=utf-8"),
                INDEX,
                OCI_INDEX,
            ),
            (Some("application/json"), own, DOCKER_LIST),
            (None, own, DOCKER_LIST),
            (None, INDEX, OCI_INDEX),
            (Some("text/plain"), MANIFEST, OCI_MANIFEST),
            (Some(DOCKER_MANIFEST), MANIFEST, DOCKER_MANIFEST),
        ] {
            let found = media_type(called, document.as_bytes()).unwrap();
            assert_eq!(found.as_ref(), expected, "{called:?} {document}");
        }
    }

    #[test]
    fn what_is_no_manifest_is_refused_by_its_name() {
        let both = r#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#;
        let artifact = r#"{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","config":{},"layers":[]}"#;
        let itself = r#"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        for (called, document, expected) in [
            (None, "<html>", "HTML page"),
            (None, " \n<!DOCTYPE html>", "HTML page"),
            (None, "", "gave nothing"),
            (None, "hello", "no JSON"),
            (None, "[1]", "no object"),
            (None, r#"{"errors":[]}"#, "no manifest and no index"),
            (None, r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1"),
            (
                Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
                "{}",
                "schema 1",
            ),
            (None, both, "at the same time"),
            (Some(OCI_MANIFEST), INDEX, "something else"),
            (Some(OCI_INDEX), MANIFEST, "something else"),
            (Some(DOCKER_LIST), itself, "not clear what it is"),
            (None, artifact, "not known"),
        ] {
            let error = media_type(called, document.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{document}: {error}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let deep = format!("{{\"manifests\":{}", "[".repeat(100_000));
        assert!(media_type(None, deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_document_is_judged(
            called in prop::option::of("\\PC{0,40}"),
            document in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = media_type(called.as_deref(), &document);
        }
    }
}
