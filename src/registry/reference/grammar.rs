//! The grammar of names, as the distribution project has it (its `reference` package), and
//! docker's rules for what is left out of a name.
//!
//! Every function gives either what was read, or a sentence about what is wrong and what is right.

use std::net::{Ipv4Addr, Ipv6Addr};

use oci_spec::image::{Digest, DigestAlgorithm};
use reqwest::Url;

use super::{Host, Reference, Repository};

/// The registry of a name that names none.
pub(super) const DOCKER_HUB: &str = "docker.io";

/// What stands before a name of one word on [`DOCKER_HUB`].
pub(super) const OFFICIAL: &str = "library/";

/// The longest `HOST/PATH` in bytes (distribution-spec, "Pulling manifests").
const LONGEST_NAME: usize = 255;

/// The longest tag in bytes.
const LONGEST_TAG: usize = 128;

/// The longest text that is looked at in bytes: a name, a tag and a digest of sha512 fit well.
pub(super) const LONGEST: usize = 1024;

const EXAMPLES: &str = "as in python:3.12, ghcr.io/me/app:v1 or localhost:5000/app";

/// Reads `[docker://][HOST/]PATH[:TAG][@DIGEST]`.
pub(super) fn reference(text: &str) -> Result<Reference, String> {
    let text = match text.strip_prefix("docker://") {
        Some(rest) => rest,
        None => text,
    };
    if text.len() > LONGEST {
        return Err(format!(
            "it is {} bytes long, and no name is longer than {LONGEST}",
            text.len()
        ));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(without_scheme(scheme, rest));
    }
    check_characters(text)?;
    if text.len() == 64 && text.bytes().all(is_hex) {
        return Err(
            "64 hexadecimal digits are an image's ID, which a registry does not know: \
             give a name, or NAME@sha256:… for a digest"
                .to_owned(),
        );
    }
    let (name, digest) = match text.split_once('@') {
        None => (text, None),
        Some((name, digest)) => (name, Some(digest_of(digest)?)),
    };
    if name.is_empty() {
        return Err(format!("there is no name before the @: {EXAMPLES}"));
    }
    if name.starts_with(['.', '/']) {
        return Err(format!(
            "it is spelled as a path on disk, and a name in a registry is expected, {EXAMPLES}"
        ));
    }
    if name.starts_with('[') && !name.contains('/') {
        return Err("it names a registry, and no repository of it: [::1]:5000/app is right".into());
    }
    let (first, rest) = split_host(name);
    let (path, tag) = split_tag(rest)?;
    let host = match first {
        Some(first) if !first.contains(['.', ':']) && first != "localhost" => {
            return Err(upper_case(first, path, tag));
        }
        Some(first) => Host(host(first)?),
        None => Host(DOCKER_HUB.to_owned()),
    };
    check_path(path)?;
    let path = if host.0 == DOCKER_HUB && !path.contains('/') {
        format!("{OFFICIAL}{path}")
    } else {
        path.to_owned()
    };
    let length = host.0.len() + 1 + path.len();
    if length > LONGEST_NAME {
        return Err(format!(
            "its name ({host}/…) has {length} characters, and {LONGEST_NAME} is the most"
        ));
    }
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    Ok(Reference {
        repository: Repository { host, path },
        tag: tag.map(str::to_owned),
        digest,
    })
}

/// Reads `HOST[:PORT]`; the result is in lower case, and one spelling of each host.
pub(super) fn host(text: &str) -> Result<String, String> {
    const RIGHT: &str = "HOST or HOST:PORT is right, as in ghcr.io or localhost:5000";
    if text.len() > LONGEST_NAME {
        return Err(format!(
            "a registry's name has at most {LONGEST_NAME} characters"
        ));
    }
    if let Some((_, rest)) = text.split_once("://") {
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let rest = rest.rsplit('@').next().unwrap_or_default();
        return Err(match host(rest) {
            Ok(right) => format!("a registry is named without a scheme and a path: {right}"),
            Err(_) => format!("a registry is named without a scheme: {RIGHT}"),
        });
    }
    check_characters(text)?;
    if text.contains('@') {
        return Err("a registry is named without a user: `distrobuild login` is for that".into());
    }
    if let Some((name, path)) = text.split_once('/') {
        return Err(match host(name) {
            Ok(right) => format!("a registry is named without a path: {right}, not {right}/{path}"),
            Err(_) => format!("a registry is named without a path: {RIGHT}"),
        });
    }
    let name_end = match text.find(']') {
        Some(bracket) if text.starts_with('[') => bracket + 1,
        _ => text.find(':').unwrap_or(text.len()),
    };
    let (name, port) = text.split_at(name_end);
    let name = name.to_ascii_lowercase();
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return Err(format!("{port:?} may not follow the ]: {RIGHT}")),
        Some(port) => Some(port_of(port)?),
    };
    if name.is_empty() {
        return Err(format!("there is no host before the colon: {RIGHT}"));
    }
    let is_bracketed = name.starts_with('[');
    if !is_bracketed {
        check_labels(&name)?;
        if port.is_none() && !name.contains('.') && name != "localhost" {
            return Err(format!(
                "a registry has a dot or a port in its name, or it could be a repository of \
                 {DOCKER_HUB}: {name}:443 is the registry"
            ));
        }
    }
    let address = address_of(&name)
        .ok_or_else(|| format!("{name} is no address of a machine: {RIGHT}, or [::1]:5000"))?;
    if address != name && !is_bracketed {
        return Err(format!(
            "{name} is another spelling of the address {address}: write that"
        ));
    }
    Ok(match port {
        Some(port) => format!("{address}:{port}"),
        None if matches!(&*address, "index.docker.io" | "registry-1.docker.io") => {
            DOCKER_HUB.to_owned()
        }
        None => address,
    })
}

/// The name as it is in a URL: what it is there is where a connection goes.
fn address_of(name: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{name}/")).ok()?;
    Some(url.host_str()?.to_owned())
}

/// Whether a [`host`] is this machine.
pub(super) fn is_local(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.split(']').next().unwrap_or_default();
        return address
            .parse()
            .is_ok_and(|address: Ipv6Addr| address.is_loopback());
    }
    let name = host.split(':').next().unwrap_or_default();
    name == "localhost"
        || name.ends_with(".localhost")
        || name
            .parse()
            .is_ok_and(|address: Ipv4Addr| address.is_loopback())
}

/// The first component when it is a host by docker's rule, and what follows it.
fn split_host(name: &str) -> (Option<&str>, &str) {
    let is_host = |first: &str| {
        first.contains(['.', ':'])
            || first == "localhost"
            || first.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    match name.split_once('/') {
        Some((first, rest)) if is_host(first) => (Some(first), rest),
        _ => (None, name),
    }
}

/// Docker takes a first word in upper case for a host. As a host it would be in lower case, and
/// the name that is shown then means another repository.
fn upper_case(first: &str, path: &str, tag: Option<&str>) -> String {
    let first = first.to_ascii_lowercase();
    let path = path.to_ascii_lowercase();
    let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    format!(
        "names of repositories are in lower case: {first}/{path}{tag} is right, \
         or {first}:443/{path}{tag} where {first} is a registry"
    )
}

fn split_tag(rest: &str) -> Result<(&str, Option<&str>), String> {
    let Some((path, tag)) = rest.split_once(':') else {
        return Ok((rest, None));
    };
    if tag.contains('/') {
        return Err(format!(
            "a tag stands at the end, and a port behind a registry's name: {EXAMPLES}"
        ));
    }
    if tag.contains(':') {
        return Err(format!("it has two tags ({tag}): {EXAMPLES}"));
    }
    Ok((path, Some(tag)))
}

fn check_path(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err(format!("it names no repository: {EXAMPLES}"));
    }
    if path.ends_with('/') {
        return Err("it ends with a slash: leave that away".to_owned());
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let right = path.to_ascii_lowercase();
        return Err(format!(
            "names of repositories are in lower case: {right}, not {path}"
        ));
    }
    for component in path.split('/') {
        if component.is_empty() {
            return Err("it has nothing between two slashes: one slash is right".to_owned());
        }
        if !is_component(component) {
            return Err(format!(
                "{component:?} is no part of a repository's name: letters and digits are \
                 expected, with one . or _ or __ or hyphens between them"
            ));
        }
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && component
            .split(alphanumeric)
            .all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

/// `[\w][\w.-]{0,127}`
fn check_tag(tag: &str) -> Result<(), String> {
    if tag.is_empty() {
        return Err("there is no tag after the colon: leave the colon away, or write one".into());
    }
    if tag.len() > LONGEST_TAG {
        return Err(format!(
            "its tag has {} characters, and {LONGEST_TAG} is the most",
            tag.len()
        ));
    }
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_good = tag
        .bytes()
        .enumerate()
        .all(|(at, byte)| is_word(byte) || at > 0 && matches!(byte, b'.' | b'-'));
    if is_good {
        Ok(())
    } else {
        Err(format!(
            "{tag:?} is no tag: letters, digits, _ . - are expected, and no . or - at its start"
        ))
    }
}

fn digest_of(text: &str) -> Result<Digest, String> {
    let Some((algorithm, digits)) = text.split_once(':') else {
        return Err(
            "a digest is expected after the @, as in app@sha256:… (a tag follows a colon; \
             a user is not part of a name, `distrobuild login` is for that)"
                .to_owned(),
        );
    };
    let length = match DigestAlgorithm::from(algorithm) {
        DigestAlgorithm::Sha256 => 64,
        DigestAlgorithm::Sha512 => 128,
        _ => {
            return Err(
                "what follows the @ is no digest of sha256 or sha512, the algorithms of registries: \
                 app@sha256: and 64 hexadecimal digits is right"
                    .to_owned(),
            );
        }
    };
    if let Some(other) = digits.bytes().find(|byte| !is_hex(*byte)) {
        let other = char::from(other);
        return Err(format!(
            "a digest has the digits 0-9 and a-f in lower case, and not {other:?}"
        ));
    }
    if digits.len() != length {
        return Err(format!(
            "a digest of {algorithm} has {length} hexadecimal digits, and here are {}",
            digits.len()
        ));
    }
    text.parse()
        .map_err(|error: oci_spec::OciSpecError| format!("its digest is bad: {error}"))
}

fn port_of(text: &str) -> Result<u16, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if is_number && port > 0 => Ok(port),
        _ if text.is_empty() => Err("there is no port after the colon".to_owned()),
        _ => Err(format!(
            "{text:?} is no port: a number from 1 to 65535 is expected"
        )),
    }
}

/// Labels of letters, digits and hyphens within them, with dots between.
fn check_labels(name: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        let ends = |c: char| c.is_ascii_alphanumeric();
        label.starts_with(ends)
            && label.ends_with(ends)
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if name.split('.').all(is_label) {
        return Ok(());
    }
    Err(format!(
        "{name:?} is no registry's name: words of letters, digits and hyphens are expected, with \
         one dot between them, as in ghcr.io"
    ))
}

fn check_characters(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("it is empty; a name is expected, {EXAMPLES}"));
    }
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        None => Ok(()),
        Some(c) if c.is_whitespace() || c.is_control() => Err(format!(
            "it has a blank or control character in it ({c:?}): leave that away"
        )),
        Some(c) => Err(format!(
            "{c:?} may not be in a name: letters a-z, digits and . _ - are expected"
        )),
    }
}

/// What is wrong with `SCHEME://REST`, and the name that it could mean.
fn without_scheme(scheme: &str, rest: &str) -> String {
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let name = match rest.split_once('@') {
        // A digest has its @ after the last slash, a user before the first.
        Some((before, after)) if !before.contains('/') => after,
        _ => rest,
    };
    let name = name.trim_end_matches('/');
    let is_http = scheme.eq_ignore_ascii_case("http");
    let plain = match name.split('/').next() {
        Some(host) if is_http && self::host(host).is_ok() => {
            format!(", with --insecure {host} when it speaks plain HTTP")
        }
        _ => String::new(),
    };
    match (is_http || scheme.eq_ignore_ascii_case("https"), name) {
        (true, name) if !name.contains("://") && reference(name).is_ok() => {
            format!("an image is named without a scheme: {name} is right{plain}")
        }
        (true, _) => format!("an image is named without a scheme, {EXAMPLES}"),
        (false, _) => format!("docker:// or nothing stands before a name, {EXAMPLES}"),
    }
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
