//! Uploads of blobs (distribution-spec, "Pushing blobs"): in one piece, in parts, or mounted.

use super::content::{Upload, has_digest};
use super::wire::{Head, Reply};
use super::{Location, Shared};

pub(super) fn answer(
    shared: &Shared,
    head: &Head,
    name: &str,
    session: &str,
    body: &[u8],
) -> Reply {
    if session.is_empty() {
        return match head.method.as_str() {
            "POST" => begin(shared, head, name, body),
            _ => Reply::error(405, "UNSUPPORTED", "an upload begins with POST"),
        };
    }
    let unknown = || Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload");
    {
        let mut content = shared.content();
        let Some(upload) = content.uploads.get_mut(session) else {
            return unknown();
        };
        if upload.repository != name {
            return unknown();
        }
        let state: Option<usize> = head.query("_state").and_then(|state| state.parse().ok());
        if shared.settings.location == Location::Query && state != Some(upload.state) {
            return Reply::error(400, "BLOB_UPLOAD_INVALID", "this URL is not the newest");
        }
        match head.method.as_str() {
            "GET" => {
                return Reply {
                    status: 204,
                    ..progress(shared, name, session, upload)
                };
            }
            "DELETE" => {
                content.uploads.remove(session);
                return Reply::status(204);
            }
            "PATCH" | "PUT" => {}
            _ => return Reply::error(405, "UNSUPPORTED", "an upload goes on by PATCH or PUT"),
        }
        let is_out_of_order = match head.header("content-range") {
            Some(range) => !follows(range, upload.bytes.len(), body.len()),
            None => false,
        };
        if is_out_of_order {
            return Reply {
                status: 416,
                ..progress(shared, name, session, upload)
            };
        }
        upload.bytes.extend_from_slice(body);
        if !body.is_empty() {
            // The last part may be small, and only the next request tells which was the last.
            let least = shared.settings.chunk.unwrap_or_default();
            if upload.last.is_some_and(|last| (last as u64) < least) {
                return Reply::error(400, "SIZE_INVALID", "a part before was too small");
            }
            upload.last = Some(body.len());
        }
        if head.method == "PATCH" {
            return Reply {
                status: 202,
                ..progress(shared, name, session, upload)
            };
        }
    }
    let Some(digest) = head.query("digest") else {
        return Reply::error(400, "DIGEST_INVALID", "there is no digest");
    };
    let upload = shared.content().uploads.remove(session);
    match upload {
        Some(upload) => store(shared, name, &digest, upload.bytes),
        None => unknown(),
    }
}

fn begin(shared: &Shared, head: &Head, name: &str, body: &[u8]) -> Reply {
    if let (Some(digest), Some(from)) = (head.query("mount"), head.query("from"))
        && shared.settings.mounts
    {
        let found = shared.content().repository(&from).blobs.remove(&digest);
        if let Some(bytes) = found {
            return store(shared, name, &digest, bytes);
        }
    }
    if let Some(digest) = head.query("digest") {
        return store(shared, name, &digest, body.to_vec());
    }
    let mut content = shared.content();
    content.count += 1;
    let session = format!("session-{}", content.count);
    let upload = content.uploads.entry(session.clone()).or_default();
    *upload = Upload {
        repository: name.to_owned(),
        ..Upload::default()
    };
    let reply = Reply {
        status: 202,
        ..progress(shared, name, &session, upload)
    };
    match shared.settings.chunk {
        Some(least) => reply.with("OCI-Chunk-Min-Length", least),
        None => reply,
    }
}

fn store(shared: &Shared, name: &str, digest: &str, bytes: Vec<u8>) -> Reply {
    if has_digest(&bytes, digest) != Some(true) {
        return Reply::error(400, "DIGEST_INVALID", "the bytes do not have that digest");
    }
    let mut content = shared.content();
    let repository = content.repositories.entry(name.to_owned()).or_default();
    repository.blobs.insert(digest.to_owned(), bytes);
    Reply::status(201)
        .with("Location", format!("/v2/{name}/blobs/{digest}"))
        .with("Docker-Content-Digest", digest)
}

/// Keeps what came of a body that broke off.
pub(super) fn keep(shared: &Shared, head: &Head, body: &[u8]) {
    let Some((_, session)) = head.path().rsplit_once("/blobs/uploads/") else {
        return;
    };
    if !shared.settings.keeps || !matches!(head.method.as_str(), "PATCH" | "PUT") {
        return;
    }
    if let Some(upload) = shared.content().uploads.get_mut(session) {
        upload.bytes.extend_from_slice(body);
    }
}

/// Whether a part `FIRST-LAST` comes right after what is there.
fn follows(range: &str, there: usize, length: usize) -> bool {
    let numbers = range.split_once('-').and_then(|(first, last)| {
        Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
    });
    numbers.is_some_and(|(first, last)| first == there && last + 1 == first + length)
}

/// What every answer about a session says: where it goes on, and what is there. The reference
/// implementation says `0-0` also when nothing is there.
fn progress(shared: &Shared, name: &str, session: &str, upload: &mut Upload) -> Reply {
    upload.state += 1;
    let path = format!("/v2/{name}/blobs/uploads/{session}");
    let location = match shared.settings.location {
        Location::Absolute => format!("{}{path}", shared.url()),
        Location::Path => path,
        Location::Relative => session.to_owned(),
        Location::Query => format!("{path}?_state={}", upload.state),
    };
    let last = upload.bytes.len().saturating_sub(1);
    Reply::status(202)
        .with("Location", location)
        .with("Range", format!("0-{last}"))
        .with("Docker-Upload-UUID", session)
}
