//! The closure as a tree for people.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::path::Path;

use anstyle::{AnsiColor, Style};

use super::{finding_words, rule_words};
use crate::app::{Companions, Provenance};
use crate::elf::{
    Closure, LoadedObject, MissingLibrary, Notice, ObjectKind, Rejected, Request, Rule,
};
use crate::rootfs::EntryKind;

const STRONG: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const BAD: Style = AnsiColor::Red.on_default().bold();
const CAREFUL: Style = AnsiColor::Yellow.on_default();
const HINT: Style = AnsiColor::Cyan.on_default();

/// The dependency tree, then what is wrong, then warnings and hints with the flag to give.
///
/// Each object is shown in full where it is first met; later it is marked `↑`. Control
/// characters in names are escaped, so that no file can write to the terminal. Terminal styles are
/// embedded. It ends in a newline.
pub fn tree(closure: &Closure) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write_tree(&mut text, closure);
    let _ = write_problems(&mut text, closure);
    let _ = write_notices(&mut text, closure);
    let _ = write_summary(&mut text, closure);
    text
}

/// What comes along beside the libraries: how much, how many files, why, and the flag that
/// decides otherwise. Styles and escapes are as in [`tree`]; empty when nothing comes along.
pub fn companions(groups: &[Companions]) -> String {
    let mut text = String::new();
    if groups.is_empty() {
        return text;
    }
    // Writing to a String does not fail.
    let _ = writeln!(text, "\n{STRONG}comes along{STRONG:#}");
    for group in groups {
        let files = group
            .files
            .iter()
            .filter(|file| matches!(file.entry.kind, EntryKind::File(_)))
            .count();
        let plural = if files == 1 { "" } else { "s" };
        let _ = write!(
            text,
            "  {:>9}  {files} file{plural}: {}",
            size(group.size()),
            Shown(&group.reason)
        );
        let _ = match &group.by {
            Provenance::Rule(name) => writeln!(text, " {QUIET}(--without {name}){QUIET:#}"),
            _ => writeln!(text),
        };
    }
    text
}

/// A line of the tree: an object below another, or a library that is missing or refused.
#[derive(Clone, Copy)]
enum Node<'a> {
    Object(usize, &'a Request),
    Missing(&'a MissingLibrary),
    Refused(&'a Rejected),
}

struct Line<'a> {
    node: Node<'a>,
    /// What stands before it: the branches of its ancestors.
    prefix: String,
    last: bool,
}

fn write_tree(text: &mut String, closure: &Closure) -> fmt::Result {
    let children = children(closure);
    let mut shown = BTreeSet::new();
    for (index, object) in closure.objects.iter().enumerate() {
        if !object.requests.iter().any(|request| request.by.is_none()) || !shown.insert(index) {
            continue;
        }
        write_root(text, object)?;
        let mut todo = Vec::new();
        push_children(&mut todo, &children, index, "");
        while let Some(line) = todo.pop() {
            let (branch, below) = if line.last {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            write!(text, "{QUIET}{}{branch}{QUIET:#}", line.prefix)?;
            match line.node {
                Node::Missing(missing) => write_missing_line(text, missing)?,
                Node::Refused(rejected) => {
                    let name = Shown(rejected.name.display());
                    writeln!(
                        text,
                        "{BAD}{name} → refused{BAD:#} {}",
                        path(&rejected.path)
                    )?;
                }
                Node::Object(index, request) => {
                    let Some(object) = closure.objects.get(index) else {
                        continue;
                    };
                    if shown.insert(index) {
                        write_object(text, object, request)?;
                        let prefix = format!("{}{below}", line.prefix);
                        push_children(&mut todo, &children, index, &prefix);
                    } else {
                        let name = Shown(request.name.display());
                        writeln!(text, "{QUIET}{name} ↑{QUIET:#}")?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// For each object what it asked for: first its `DT_NEEDED` in their order.
fn children(closure: &Closure) -> Vec<Vec<Node<'_>>> {
    let mut children: Vec<Vec<(usize, Node<'_>)>> = Vec::new();
    children.resize_with(closure.objects.len(), Vec::new);
    let mut add = |by: usize, name: &std::ffi::OsStr, node| {
        if let (Some(parent), Some(list)) = (closure.objects.get(by), children.get_mut(by)) {
            let needed = &parent.object.needed;
            let place = needed.iter().position(|needed| needed == name);
            list.push((place.unwrap_or(needed.len()), node));
        }
    };
    for (index, object) in closure.objects.iter().enumerate() {
        for request in &object.requests {
            if let Some(by) = request.by {
                add(by, &request.name, Node::Object(index, request));
            }
        }
    }
    for missing in &closure.missing {
        for by in &missing.needed_by {
            add(*by, &missing.name, Node::Missing(missing));
        }
    }
    for rejected in &closure.rejected {
        if let Some(by) = rejected.needed_by {
            add(by, &rejected.name, Node::Refused(rejected));
        }
    }
    let in_order = |mut list: Vec<(usize, _)>| {
        list.sort_by_key(|(place, _)| *place);
        list.into_iter().map(|(_, node)| node).collect()
    };
    children.into_iter().map(in_order).collect()
}

/// Puts the children of an object on the stack, the first on top.
fn push_children<'a>(
    todo: &mut Vec<Line<'a>>,
    children: &[Vec<Node<'a>>],
    index: usize,
    prefix: &str,
) {
    let nodes = children.get(index).map_or(&[][..], Vec::as_slice);
    let lines = nodes.iter().enumerate().map(|(at, node)| Line {
        node: *node,
        prefix: prefix.to_string(),
        last: at + 1 == nodes.len(),
    });
    todo.extend(lines.rev());
}

fn write_root(text: &mut String, object: &LoadedObject) -> fmt::Result {
    let path = path(&object.path);
    let machine = object.object.machine.name();
    let linkage = match object.object.kind {
        ObjectKind::Static => ", static",
        _ => "",
    };
    writeln!(
        text,
        "{STRONG}{path}{STRONG:#} {QUIET}({machine}{linkage}){QUIET:#}"
    )
}

fn write_object(text: &mut String, object: &LoadedObject, request: &Request) -> fmt::Result {
    let name = Shown(request.name.display());
    write!(text, "{name}")?;
    if request.name != object.path {
        write!(text, " {QUIET}→{QUIET:#} {}", path(&object.path))?;
    }
    // The tree may meet first the request that came later: what is to be known is who found it.
    let found = object
        .requests
        .iter()
        .find(|other| other.rule != Rule::AlreadyLoaded);
    let rule = match &request.rule {
        Rule::AlreadyLoaded => found.map_or(&request.rule, |found| &found.rule),
        rule => rule,
    };
    let words: Vec<String> = [finding_words(&request.finding), rule_words(rule)]
        .into_iter()
        .flatten()
        .collect();
    if !words.is_empty() {
        write!(text, " {QUIET}({}){QUIET:#}", Shown(words.join(", ")))?;
    }
    text.write_char('\n')
}

fn write_missing_line(text: &mut String, missing: &MissingLibrary) -> fmt::Result {
    let name = Shown(missing.name.display());
    write!(text, "{BAD}{name} → not found{BAD:#}")?;
    if let Some(words) = finding_words(&missing.finding) {
        write!(text, " {QUIET}({}){QUIET:#}", Shown(words))?;
    }
    text.write_char('\n')
}

fn write_problems(text: &mut String, closure: &Closure) -> fmt::Result {
    for missing in &closure.missing {
        let name = Shown(missing.name.display());
        writeln!(text, "\n{BAD}missing{BAD:#} {STRONG}{name}{STRONG:#}")?;
        for by in &missing.needed_by {
            writeln!(text, "  needed by {}", name_of(closure, *by))?;
        }
        if !missing.searched.is_empty() {
            writeln!(
                text,
                "  looked for in {}",
                Shown(missing.searched.join(", "))
            )?;
        }
        for (file, why) in &missing.unsuitable {
            writeln!(text, "  passed over {}: {}", path(file), Shown(why))?;
        }
        let advice = missing
            .note
            .as_deref()
            .unwrap_or("install it, or give its directory with --library-path DIR");
        writeln!(text, "  {HINT}{}{HINT:#}", Shown(advice))?;
    }
    for (file, reason, needed_by) in closure.refused() {
        let file = path(file);
        writeln!(text, "\n{BAD}refused{BAD:#} {STRONG}{file}{STRONG:#}")?;
        for by in needed_by {
            writeln!(text, "  needed by {}", name_of(closure, by))?;
        }
        writeln!(
            text,
            "  {}\n  {HINT}replace this file, or name another directory with --library-path \
             DIR{HINT:#}",
            Shown(reason)
        )?;
    }
    for unmet in &closure.unmet_versions {
        writeln!(
            text,
            "\n{BAD}version{BAD:#} {STRONG}{}{STRONG:#} not found in {}\n  required by {}\n  \
             {HINT}build it on this system, or give a system that is new enough with --sysroot \
             DIR{HINT:#}",
            Shown(unmet.version.display()),
            name_of(closure, unmet.provider),
            name_of(closure, unmet.required_by)
        )?;
    }
    Ok(())
}

fn write_notices(text: &mut String, closure: &Closure) -> fmt::Result {
    if !closure.notices.is_empty() {
        text.write_char('\n')?;
    }
    for notice in &closure.notices {
        match notice {
            Notice::Warning(warning) => {
                writeln!(text, "{CAREFUL}warning{CAREFUL:#} {}", Shown(warning))?;
            }
            Notice::Hint { .. } | Notice::Suggested { .. } => {
                let words = hint(closure, notice);
                writeln!(text, "{HINT}hint{HINT:#} {words}")?;
            }
        }
    }
    Ok(())
}

/// What a notice says, in one line, with the flag to give; control characters escaped.
pub fn hint(closure: &Closure, notice: &Notice) -> String {
    match notice {
        Notice::Warning(text) => Shown(text).to_string(),
        Notice::Hint { name, path: at, by } => format!(
            "{} names {}, which exists ({}); to pack it, give {HINT}{}{HINT:#}",
            name_of(closure, *by),
            Shown(name.display()),
            path(at),
            Shown(flag(Path::new(name)))
        ),
        Notice::Suggested {
            sonames,
            feature,
            by,
        } => {
            let names: Vec<_> = sonames
                .iter()
                .map(|name| name.display().to_string())
                .collect();
            let purpose = match feature {
                Some(feature) => format!(" for {feature}"),
                None => String::new(),
            };
            let first = sonames.first().map(Path::new);
            format!(
                "{} may open {}{}; to pack it, give {HINT}{}{HINT:#}",
                name_of(closure, *by),
                Shown(names.join(" or ")),
                Shown(purpose),
                Shown(first.map(flag).unwrap_or_default())
            )
        }
    }
}

/// The flag that adds the library.
fn flag(name: &Path) -> String {
    if name.is_absolute() {
        format!("--include {}", name.display())
    } else {
        format!("--dlopen {}", name.display())
    }
}

fn write_summary(text: &mut String, closure: &Closure) -> fmt::Result {
    let sizes = closure
        .objects
        .iter()
        .filter_map(|object| object.trace.file());
    let bytes: u64 = sizes.map(|file| file.size).fold(0, u64::saturating_add);
    let files = closure.objects.len();
    let plural = if files == 1 { "" } else { "s" };
    write!(text, "\n{files} file{plural}, {}", size(bytes))?;
    let bad = closure.missing.len() + closure.refused().len() + closure.unmet_versions.len();
    if bad > 0 {
        let plural = if bad == 1 { "" } else { "s" };
        write!(text, ", {BAD}{bad} problem{plural}{BAD:#}")?;
    }
    text.write_char('\n')
}

/// Bytes in decimal units, to a tenth, rounded down.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{}.{} {name}", bytes / unit, bytes % unit / (unit / 10))
}

fn name_of(closure: &Closure, index: usize) -> Shown<String> {
    Shown(match closure.objects.get(index) {
        Some(object) => object.path.display().to_string(),
        None => "an object that is not in the closure".to_string(),
    })
}

fn path(path: &Path) -> Shown<std::path::Display<'_>> {
    Shown(path.display())
}

/// Shows a name with its control characters escaped.
struct Shown<T>(T);

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}
