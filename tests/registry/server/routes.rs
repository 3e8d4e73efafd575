//! The API but for uploads: support, blobs, manifests, tags, referrers.

use serde_json::Value;

use super::Shared;
use super::content::{Content, Manifest, digest, has_digest};
use super::uploads;
use super::wire::{Head, Reply};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(super) fn answer(shared: &Shared, head: &Head, body: &[u8]) -> Reply {
    let Some(rest) = head.path().strip_prefix("/v2/") else {
        return Reply::error(404, "NAME_UNKNOWN", "there is only /v2/ here");
    };
    if rest.is_empty() {
        return Reply::status(200).body("application/json", "{}");
    }
    let split = |mark: &str| {
        let (name, last) = rest.rsplit_once(mark)?;
        is_name(name).then(|| (name.to_owned(), last.to_owned()))
    };
    if let Some((name, session)) = split("/blobs/uploads/") {
        uploads::answer(shared, head, &name, &session, body)
    } else if let Some((name, digest)) = split("/blobs/") {
        blob(shared, head, &name, &digest)
    } else if let Some((name, wanted)) = split("/manifests/") {
        manifest(shared, head, &name, &wanted, body)
    } else if let Some((name, "list")) = split("/tags/").as_ref().map(|(n, l)| (n, l.as_str())) {
        tags(shared, head, name)
    } else if let Some((name, digest)) = split("/referrers/") {
        referrers(shared, head, &name, &digest)
    } else {
        Reply::error(404, "NAME_INVALID", "there is no such path")
    }
}

fn is_name(name: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
    };
    name.split('/').all(good)
}

fn not_known() -> Reply {
    Reply::error(405, "UNSUPPORTED", "this cannot be done here")
}

fn blob(shared: &Shared, head: &Head, name: &str, digest: &str) -> Reply {
    let mut content = shared.content();
    let missing = || Reply::error(404, "BLOB_UNKNOWN", "there is no such blob");
    let Some(repository) = content.repositories.get_mut(name) else {
        return missing();
    };
    if head.method == "DELETE" {
        return match repository.blobs.remove(digest) {
            Some(_) => Reply::status(202),
            None => missing(),
        };
    }
    if !matches!(head.method.as_str(), "GET" | "HEAD") {
        return not_known();
    }
    let Some(bytes) = repository.blobs.get(digest) else {
        return missing();
    };
    let reply = Reply::status(200).with("Docker-Content-Digest", digest);
    let range = head.header("range").filter(|_| shared.settings.ranges);
    let Some(range) = range else {
        let reply = match shared.settings.ranges {
            true => reply.with("Accept-Ranges", "bytes"),
            false => reply,
        };
        return reply
            .with("Content-Length", bytes.len())
            .body("application/octet-stream", bytes.as_slice());
    };
    let size = bytes.len();
    let part = range.strip_prefix("bytes=").and_then(|range| {
        let (first, last) = range.split_once('-')?;
        let first: usize = first.parse().ok()?;
        let last: usize = match last {
            "" => size.checked_sub(1)?,
            last => last.parse::<usize>().ok()?.min(size.checked_sub(1)?),
        };
        let part = bytes.get(first..=last)?;
        (first <= last).then_some((first, last, part))
    });
    match part {
        Some((first, last, part)) => Reply {
            status: 206,
            ..reply
                .with("Content-Range", format!("bytes {first}-{last}/{size}"))
                .with("Content-Length", part.len())
                .body("application/octet-stream", part)
        },
        None => Reply::error(416, "SIZE_INVALID", "there is no such part")
            .with("Content-Range", format!("bytes */{size}")),
    }
}

fn manifest(shared: &Shared, head: &Head, name: &str, wanted: &str, body: &[u8]) -> Reply {
    let mut content = shared.content();
    let missing = |why: &str| Reply::error(404, "MANIFEST_UNKNOWN", why);
    match head.method.as_str() {
        "PUT" => return put(shared, &mut content, head, name, wanted, body),
        "DELETE" => {
            let Some(repository) = content.repositories.get_mut(name) else {
                return missing("there is no such repository");
            };
            let removed = match wanted.contains(':') {
                true => {
                    repository.tags.retain(|_, digest| digest != wanted);
                    repository.manifests.remove(wanted).is_some()
                }
                false => repository.tags.remove(wanted).is_some(),
            };
            return match removed {
                true => Reply::status(202),
                false => missing("there is no such manifest"),
            };
        }
        "GET" | "HEAD" => {}
        _ => return not_known(),
    }
    let repository = content.repository(name);
    let Some((digest, manifest)) = repository.manifest(wanted) else {
        return missing("there is no such manifest");
    };
    // As the reference implementation has it.
    let accepted = head.headers.iter().any(|(key, value)| {
        let takes = |kind: &str| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind == manifest.media_type || kind == "*/*"
        };
        key.eq_ignore_ascii_case("accept") && value.split(',').any(takes)
    });
    if !accepted {
        return missing("it is there, but of a kind that the Accept header does not name");
    }
    Reply::status(200)
        .with("Docker-Content-Digest", digest)
        .with("Content-Length", manifest.bytes.len())
        .body(&manifest.media_type, manifest.bytes.as_slice())
}

fn put(
    shared: &Shared,
    content: &mut Content,
    head: &Head,
    name: &str,
    wanted: &str,
    body: &[u8],
) -> Reply {
    let invalid = |why: &str| Reply::error(400, "MANIFEST_INVALID", why);
    let Ok(document) = serde_json::from_slice::<Value>(body) else {
        return invalid("it is no JSON");
    };
    let media_type = head.header("content-type").unwrap_or_default();
    if media_type.is_empty() {
        return invalid("it has no Content-Type");
    }
    let own = document["mediaType"].as_str();
    if own.is_some_and(|own| own != media_type) {
        return invalid("its mediaType is not its Content-Type");
    }
    if wanted.contains(':') && has_digest(body, wanted) != Some(true) {
        return Reply::error(400, "DIGEST_INVALID", "it does not have that digest");
    }
    let repository = content.repositories.entry(name.to_owned()).or_default();
    let unknown = |digest: &str| {
        let why = format!("there is no {digest}, which it names");
        Reply::error(404, "MANIFEST_BLOB_UNKNOWN", &why)
    };
    let digest_of = |value: &Value| value["digest"].as_str().unwrap_or_default().to_owned();
    let list = |key: &str| document[key].as_array().cloned().unwrap_or_default();
    for child in list("manifests").iter().map(digest_of) {
        if !repository.manifests.contains_key(&child) {
            return unknown(&child);
        }
    }
    let config = document.get("config").cloned();
    for blob in list("layers").iter().chain(&config).map(digest_of) {
        if !repository.blobs.contains_key(&blob) {
            return unknown(&blob);
        }
    }
    let own_digest = match wanted.contains(':') {
        true => wanted.to_owned(),
        false => digest(body),
    };
    if !wanted.contains(':') {
        repository
            .tags
            .insert(wanted.to_owned(), own_digest.clone());
    }
    repository.manifests.insert(
        own_digest.clone(),
        Manifest {
            media_type: media_type.to_owned(),
            bytes: body.to_vec(),
        },
    );
    let reply = Reply::status(201)
        .with("Location", format!("/v2/{name}/manifests/{own_digest}"))
        .with("Docker-Content-Digest", &own_digest);
    match document["subject"]["digest"].as_str() {
        Some(subject) if shared.settings.referrers => reply.with("OCI-Subject", subject),
        _ => reply,
    }
}

fn tags(shared: &Shared, head: &Head, name: &str) -> Reply {
    if head.method != "GET" {
        return not_known();
    }
    let content = shared.content();
    let Some(repository) = content.repositories.get(name) else {
        return Reply::error(404, "NAME_UNKNOWN", "there is no such repository");
    };
    let asked: Option<usize> = head.query("n").and_then(|n| n.parse().ok());
    let page = asked.unwrap_or(usize::MAX).min(shared.settings.page);
    let last = head.query("last").unwrap_or_default();
    let mut left = repository.tags.keys().filter(|tag| **tag > last);
    let tags: Vec<&String> = left.by_ref().take(page).collect();
    let document = serde_json::json!({ "name": name, "tags": tags });
    let reply = Reply::status(200).body("application/json", document.to_string());
    match (left.next(), tags.last()) {
        _ if shared.settings.link_loops => {
            reply.with("Link", format!("<{}>; rel=\"next\"", head.target))
        }
        (Some(_), Some(last)) => reply.with(
            "Link",
            format!("</v2/{name}/tags/list?n={page}&last={last}>; rel=\"next\""),
        ),
        _ => reply,
    }
}

fn referrers(shared: &Shared, head: &Head, name: &str, subject: &str) -> Reply {
    if !shared.settings.referrers {
        return Reply::error(404, "UNSUPPORTED", "there are no referrers here");
    }
    let wanted = head.query("artifactType");
    let mut found = Vec::new();
    for (digest, manifest) in &shared.content().repository(name).manifests {
        let Ok(document) = serde_json::from_slice::<Value>(&manifest.bytes) else {
            continue;
        };
        if document["subject"]["digest"] != subject {
            continue;
        }
        // Of a manifest without one it is the config's type (distribution-spec, "Listing Referrers").
        let kind = document["artifactType"]
            .as_str()
            .or(document["config"]["mediaType"].as_str())
            .unwrap_or_default();
        if wanted.as_ref().is_some_and(|wanted| wanted != kind) {
            continue;
        }
        found.push(serde_json::json!({
            "mediaType": manifest.media_type,
            "digest": digest,
            "size": manifest.bytes.len(),
            "artifactType": kind,
        }));
    }
    let document =
        serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": found });
    let reply = Reply::status(200).body(INDEX, document.to_string());
    match wanted {
        Some(_) => reply.with("OCI-Filters-Applied", "artifactType"),
        None => reply,
    }
}
