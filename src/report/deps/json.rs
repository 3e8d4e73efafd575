//! The closure as JSON for programs.

use std::ffi::OsStr;
use std::path::Path;

use serde::Serialize;

use crate::app::{Companions, Provenance};
use crate::elf::{Closure, Finding, LoadedObject, Notice, ObjectKind, Request, Rule};
use crate::rootfs::EntryKind;

/// The name and version of the document. The number grows when a field changes its meaning or goes;
/// new fields may come without that.
pub const SCHEMA: &str = "distrobuild.deps/1";

/// What `distrobuild deps --json` prints.
///
/// ```json
/// {
///   "schema": "distrobuild.deps/1",
///   "objects": [
///     {
///       "path": "/usr/bin/jq", "file": "/usr/bin/jq", "aliases": [], "size": 31176,
///       "kind": "dynamic", "machine": "x86-64", "platform": "linux/amd64",
///       "soname": null, "interpreter": "/lib64/ld-linux-x86-64.so.2",
///       "needed": ["libjq.so.1", "libc.so.6"],
///       "requests": [
///         {"by": null, "name": "/usr/bin/jq", "finding": "root", "rule": "path"}
///       ]
///     }
///   ],
///   "loader_files": [], "missing": [], "rejected": [], "unmet_versions": [], "notices": [],
///   "companions": [
///     {"by": "rule", "rule": "perl", "reason": "perl looks for its modules there", "size": 4096,
///      "files": [{"path": "/usr/share/perl/5.36.0/strict.pm", "size": 4096}]}
///   ]
/// }
/// ```
///
/// - `by`, `of`, `needed_by`, `provider` and `required_by` are indices in `objects`.
/// - Paths are those in the sysroot. `path` is the name the loader opens, `file` where it leads,
///   `aliases` further names of the file that it opens.
/// - `size` is in bytes. `kind` is `dynamic`, `static`, `library` or `other`. `platform` is as in an
///   image index (`linux/arm/v7`), or null.
/// - `finding` is one of `root`, `interpreter`, `needed`, `filter`, `audit`, `dlopen-note` (with
///   `feature`, if it is named), `dlopen-option`, `libc` (with `feature`: the function).
/// - `rule` is one of `path`, `rpath` and `runpath` (with `of` and `element`), `library-path`, `conf`,
///   `default` and `musl-path` (with `directory`), `cache`, `already-loaded`, `musl-itself`.
/// - `notices` have a `kind`: `warning` with `text`; `hint` with `name`, `path` and `by`;
///   `suggested` with `sonames`, `feature` and `by`.
/// - `companions` come along beside the objects. `by` is `runtime`, `packages`, `app`, `rule` (with
///   `rule`, its name) or `trace`; paths are those in the image; directories and links are left out.
/// - Bytes of names that are not UTF-8 are replaced by U+FFFD.
#[derive(Debug, Serialize)]
pub struct Deps {
    schema: &'static str,
    objects: Vec<ObjectDoc>,
    loader_files: Vec<String>,
    missing: Vec<MissingDoc>,
    rejected: Vec<RejectedDoc>,
    unmet_versions: Vec<UnmetDoc>,
    notices: Vec<NoticeDoc>,
    companions: Vec<CompanionsDoc>,
}

#[derive(Debug, Serialize)]
struct CompanionsDoc {
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    reason: String,
    size: u64,
    files: Vec<FileDoc>,
}

#[derive(Debug, Serialize)]
struct FileDoc {
    path: String,
    size: u64,
}

#[derive(Debug, Serialize)]
struct ObjectDoc {
    path: String,
    file: String,
    aliases: Vec<String>,
    size: Option<u64>,
    kind: &'static str,
    machine: String,
    platform: Option<String>,
    soname: Option<String>,
    interpreter: Option<String>,
    needed: Vec<String>,
    requests: Vec<RequestDoc>,
}

#[derive(Debug, Serialize)]
struct RequestDoc {
    by: Option<usize>,
    name: String,
    finding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<String>,
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    element: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
}

#[derive(Debug, Serialize)]
struct MissingDoc {
    name: String,
    needed_by: Vec<usize>,
    finding: &'static str,
    searched: Vec<String>,
    unsuitable: Vec<UnsuitableDoc>,
    note: Option<String>,
}

#[derive(Debug, Serialize)]
struct UnsuitableDoc {
    path: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct RejectedDoc {
    name: String,
    path: String,
    needed_by: Option<usize>,
    reason: String,
}

#[derive(Debug, Serialize)]
struct UnmetDoc {
    version: String,
    provider: usize,
    required_by: usize,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum NoticeDoc {
    Warning {
        text: String,
    },
    Hint {
        name: String,
        path: String,
        by: usize,
    },
    Suggested {
        sonames: Vec<String>,
        feature: Option<String>,
        by: usize,
    },
}

/// The document, to be serialized.
pub fn document(closure: &Closure, groups: &[Companions]) -> Deps {
    Deps {
        schema: SCHEMA,
        objects: closure.objects.iter().map(object).collect(),
        loader_files: closure
            .loader_files
            .iter()
            .map(|trace| trace.target.to_string())
            .collect(),
        missing: closure
            .missing
            .iter()
            .map(|missing| MissingDoc {
                name: text(&missing.name),
                needed_by: missing.needed_by.clone(),
                finding: finding(&missing.finding).0,
                searched: missing.searched.clone(),
                unsuitable: missing
                    .unsuitable
                    .iter()
                    .map(|(path, reason)| UnsuitableDoc {
                        path: text(path),
                        reason: reason.clone(),
                    })
                    .collect(),
                note: missing.note.clone(),
            })
            .collect(),
        rejected: closure
            .rejected
            .iter()
            .map(|rejected| RejectedDoc {
                name: text(&rejected.name),
                path: text(&rejected.path),
                needed_by: rejected.needed_by,
                reason: rejected.reason.clone(),
            })
            .collect(),
        unmet_versions: closure
            .unmet_versions
            .iter()
            .map(|unmet| UnmetDoc {
                version: text(&unmet.version),
                provider: unmet.provider,
                required_by: unmet.required_by,
            })
            .collect(),
        notices: closure.notices.iter().map(notice).collect(),
        companions: groups.iter().map(companions).collect(),
    }
}

fn companions(group: &Companions) -> CompanionsDoc {
    let (by, rule) = match &group.by {
        Provenance::Runtime => ("runtime", None),
        Provenance::Packages => ("packages", None),
        Provenance::App => ("app", None),
        Provenance::Rule(name) => ("rule", Some(name.clone())),
        Provenance::Trace => ("trace", None),
    };
    let files = group.files.iter();
    CompanionsDoc {
        by,
        rule,
        reason: group.reason.clone(),
        size: group.size(),
        files: files
            .filter(|file| matches!(file.entry.kind, EntryKind::File(_)))
            .map(|file| FileDoc {
                path: file.path.to_string(),
                size: file.entry.size(),
            })
            .collect(),
    }
}

/// The document as indented text that ends in a newline.
///
/// # Errors
/// Never in practice: the document holds nothing that JSON cannot express.
pub fn json(closure: &Closure, groups: &[Companions]) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&document(closure, groups))?;
    text.push('\n');
    Ok(text)
}

fn object(loaded: &LoadedObject) -> ObjectDoc {
    let facts = &loaded.object;
    ObjectDoc {
        path: text(&loaded.path),
        file: loaded.trace.target.to_string(),
        aliases: loaded.aliases.iter().map(|(path, _)| text(path)).collect(),
        size: loaded.trace.file().map(|file| file.size),
        kind: match facts.kind {
            ObjectKind::Dynamic => "dynamic",
            ObjectKind::Static => "static",
            ObjectKind::Library => "library",
            ObjectKind::Other => "other",
        },
        machine: facts.machine.name(),
        platform: facts.machine.platform().map(|platform| match platform {
            (architecture, Some(variant)) => format!("linux/{architecture}/{variant}"),
            (architecture, None) => format!("linux/{architecture}"),
        }),
        soname: facts.soname.as_ref().map(text),
        interpreter: facts.interpreter.as_ref().map(text),
        needed: facts.needed.iter().map(text).collect(),
        requests: loaded.requests.iter().map(request).collect(),
    }
}

fn request(request: &Request) -> RequestDoc {
    let (finding, feature) = finding(&request.finding);
    let mut document = RequestDoc {
        by: request.by,
        name: text(&request.name),
        finding,
        feature,
        rule: "",
        of: None,
        element: None,
        directory: None,
    };
    let mut in_directory = |rule, directory: &Path| {
        document.directory = Some(text(directory));
        rule
    };
    document.rule = match &request.rule {
        Rule::Path => "path",
        Rule::LibraryPath { directory } => in_directory("library-path", directory),
        Rule::Conf { directory } => in_directory("conf", directory),
        Rule::Default { directory } => in_directory("default", directory),
        Rule::MuslPath { directory } => in_directory("musl-path", directory),
        Rule::Cache => "cache",
        Rule::AlreadyLoaded => "already-loaded",
        Rule::MuslItself => "musl-itself",
        Rule::Rpath { of, element } | Rule::Runpath { of, element } => {
            document.of = Some(*of);
            document.element = Some(text(element));
            match request.rule {
                Rule::Rpath { .. } => "rpath",
                _ => "runpath",
            }
        }
    };
    document
}

fn finding(finding: &Finding) -> (&'static str, Option<String>) {
    match finding {
        Finding::Root => ("root", None),
        Finding::Interpreter => ("interpreter", None),
        Finding::Needed => ("needed", None),
        Finding::Filter => ("filter", None),
        Finding::Audit => ("audit", None),
        Finding::DlopenNote(feature) => ("dlopen-note", feature.clone()),
        Finding::DlopenOption => ("dlopen-option", None),
        Finding::Libc(function) => ("libc", Some((*function).to_string())),
    }
}

fn notice(notice: &Notice) -> NoticeDoc {
    match notice {
        Notice::Warning(text) => NoticeDoc::Warning { text: text.clone() },
        Notice::Hint { name, path, by } => NoticeDoc::Hint {
            name: text(name),
            path: text(path),
            by: *by,
        },
        Notice::Suggested {
            sonames,
            feature,
            by,
        } => NoticeDoc::Suggested {
            sonames: sonames.iter().map(text).collect(),
            feature: feature.clone(),
            by: *by,
        },
    }
}

fn text(name: impl AsRef<OsStr>) -> String {
    name.as_ref().to_string_lossy().into_owned()
}
