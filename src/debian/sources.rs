//! The archives that this machine's apt uses: sources.list(5), both of its formats.

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::release::fields::{Field, fields};

/// The most bytes of one file.
const SIZE_LIMIT: u64 = 1 << 20;

/// A source of packages, as apt has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptSource {
    /// `http`, `https` and `file` URLs, which `dists/` and `pool/` lie below.
    pub uris: Vec<String>,
    /// `bookworm`; or a path that ends in a slash, which is below the URL and has no components.
    pub suites: Vec<String>,
    /// `main`...
    pub components: Vec<String>,
    /// The architectures that it is for; empty for all.
    pub architectures: Vec<String>,
    /// The keyring that must have signed it, where that is a file.
    pub signed_by: Option<PathBuf>,
}

/// The sources of packages in `sources.list` and `sources.list.d/` of `etc_apt` (`/etc/apt`), in
/// apt's order, and a notice about each part that cannot be used. Sources that are switched off,
/// or of source code, are passed over. A notice shows no password.
pub fn apt_sources(etc_apt: &Path) -> (Vec<AptSource>, Vec<String>) {
    let mut found = Found::default();
    found.file(&etc_apt.join("sources.list"));
    let directory = etc_apt.join("sources.list.d");
    match names(&directory) {
        Ok(names) => names
            .iter()
            .for_each(|name| found.file(&directory.join(name))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => found
            .notices
            .push(format!("{}: {error}", directory.display())),
    }
    (found.sources, found.notices)
}

/// The names that apt reads (sources.list(5), "sources.list.d"), sorted.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let is_read = name.ends_with(".list") || name.ends_with(".sources");
        if is_read && !name.starts_with('.') && name.bytes().all(is_plain) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Default)]
struct Found {
    sources: Vec<AptSource>,
    notices: Vec<String>,
}

impl Found {
    fn file(&mut self, path: &Path) {
        // A pipe would be waited for.
        let text = match fs::metadata(path).map(|it| it.is_file()) {
            Ok(true) => read(path),
            Ok(false) => Err(io::Error::other("not a file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => Err(error),
        };
        match text {
            Ok(text) if path.extension() == Some(OsStr::new("sources")) => {
                self.paragraphs(path, &text);
            }
            Ok(text) => self.lines(path, &text),
            Err(error) => self.notices.push(format!("{}: {error}", path.display())),
        }
    }

    /// Adds `source` with the URLs that can be used, unless `source` is why it cannot be.
    fn add(&mut self, path: &Path, line: usize, source: Result<Option<AptSource>, String>) {
        let mut source = match source {
            Ok(Some(source)) => source,
            Ok(None) => return,
            Err(reason) => {
                self.notices
                    .push(format!("{}:{line}: left out: {reason}", path.display()));
                return;
            }
        };
        let mut uris = Vec::new();
        for uri in &source.uris {
            match usable(uri) {
                Ok(uri) => uris.push(uri),
                Err(reason) => {
                    self.notices
                        .push(format!("{}:{line}: left out: {reason}", path.display()));
                }
            }
        }
        if !uris.is_empty() {
            source.uris = uris;
            self.sources.push(source);
        }
    }

    /// One-line style: `deb [option=value...] uri suite component...`.
    fn lines(&mut self, path: &Path, text: &str) {
        for (index, line) in text.lines().enumerate() {
            self.add(path, index + 1, one_line(line));
        }
    }

    /// deb822 style: paragraphs of fields.
    fn paragraphs(&mut self, path: &Path, text: &str) {
        let lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        let lines: Vec<_> = lines.filter(|(_, line)| !line.starts_with('#')).collect();
        for paragraph in lines.split(|(_, line)| line.trim().is_empty()) {
            let Some((first, _)) = paragraph.first() else {
                continue;
            };
            match fields(paragraph.iter().copied()) {
                Ok(fields) => self.add(path, *first, deb822(&fields)),
                Err((line, reason)) => self.add(path, line, Err(reason)),
            }
        }
    }
}

/// The source in `line`, if there is one of programs.
fn one_line(line: &str) -> Result<Option<AptSource>, String> {
    // A comment may begin anywhere but between brackets.
    let after_options = line.find(']').unwrap_or(0);
    let comment = line.char_indices().find(|(at, char)| {
        *char == '#' && (*at > after_options || line.find('[').is_none_or(|open| *at < open))
    });
    let line = line
        .get(..comment.map_or(line.len(), |(at, _)| at))
        .unwrap_or_default();
    let line = line.trim();
    let (kind, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    match kind {
        "" | "deb-src" => return Ok(None),
        "deb" => {}
        _ => {
            return Err(format!(
                "{kind:?} is no kind of source: deb or deb-src is expected"
            ));
        }
    }
    let rest = rest.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .ok_or("its options do not end: ] is missing")?,
        None => ("", rest),
    };
    let option = |name: &str| {
        let mut options = options
            .split_ascii_whitespace()
            .filter_map(|it| it.split_once('='));
        options
            .find(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    };
    let list = |value: Option<&str>| -> Vec<String> {
        value
            .into_iter()
            .flat_map(|it| it.split(','))
            .map(str::to_owned)
            .collect()
    };
    let mut words = rest.split_ascii_whitespace().map(str::to_owned);
    whole(AptSource {
        uris: words.next().into_iter().collect(),
        suites: words.next().into_iter().collect(),
        components: words.collect(),
        architectures: list(option("arch")),
        signed_by: keyring(option("signed-by").into_iter().flat_map(|it| it.split(','))),
    })
}

/// The source that `fields` describe, if there is one of programs.
fn deb822(fields: &[Field<'_>]) -> Result<Option<AptSource>, String> {
    let field = |name: &str| fields.iter().find(|field| field.is(name));
    let words = |name: &str| -> Vec<String> {
        let words = field(name).into_iter().flat_map(Field::words);
        words.map(str::to_owned).collect()
    };
    let enabled = field("Enabled").map(|field| field.text().to_ascii_lowercase());
    let is_off = |word: &str| matches!(word, "no" | "false" | "without" | "off" | "disable" | "0");
    if enabled.as_deref().is_some_and(is_off) {
        return Ok(None);
    }
    let types = words("Types");
    if types.is_empty() {
        return Err("it has no field Types".into());
    }
    if !types.iter().any(|kind| kind == "deb") {
        return Ok(None);
    }
    whole(AptSource {
        uris: words("URIs"),
        suites: words("Suites"),
        components: words("Components"),
        architectures: words("Architectures"),
        signed_by: keyring(field("Signed-By").into_iter().flat_map(Field::words)),
    })
}

/// `source`, if nothing is missing.
fn whole(source: AptSource) -> Result<Option<AptSource>, String> {
    if source.uris.is_empty() || source.suites.is_empty() {
        return Err("it has no URL or no suite".into());
    }
    let words = source.uris.iter().chain(&source.suites);
    if words.into_iter().any(|word| word.contains("$(")) {
        return Err("variables in URLs and suites are not supported".into());
    }
    let is_flat = |suite: &String| suite.ends_with('/');
    if source.components.is_empty() && !source.suites.iter().all(is_flat) {
        return Err("it has no components".into());
    }
    Ok(Some(source))
}

/// The first of `values` that is a file: others are fingerprints, or the lines of a key.
fn keyring<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<PathBuf> {
    let first = values.next()?;
    std::iter::once(first)
        .chain(values)
        .take_while(|value| !value.starts_with("-----"))
        .find(|value| value.starts_with('/'))
        .map(PathBuf::from)
}

/// `uri` as a URL that can be fetched from; else why not, without what may be a password.
fn usable(uri: &str) -> Result<String, String> {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return Err(format!("{uri:?} is no URL"));
    };
    if !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "a URL of the kind {scheme} has characters that no URL has"
        ));
    }
    match scheme {
        "http" | "https" => {
            let host = rest.strip_prefix("//").and_then(|it| it.split('/').next());
            match host {
                None | Some("") => Err(format!("{uri:?} is no URL")),
                Some(host) if host.contains('@') => Err(format!(
                    "a URL of the kind {scheme} holds a user's name or password; give --mirror"
                )),
                Some(_) => Ok(uri.to_owned()),
            }
        }
        // apt writes file:/srv/mirror, others file:///srv/mirror.
        "file" => match rest.trim_start_matches('/') {
            path if rest.starts_with('/') && !path.is_empty() => Ok(format!("file:///{path}")),
            _ => Err(format!("{uri:?} is no absolute path")),
        },
        _ => Err(format!(
            "URLs of the kind {scheme} are not supported, only http, https and file"
        )),
    }
}
