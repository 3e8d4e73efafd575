//! What a file is, told by its first bytes and its name: a program for Node.js, or something else.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::NodeError;
use super::disk::Disk;
use super::words::{assignment, plain};
use crate::ImagePath;

/// What of a file's beginning is looked at, in bytes.
const HEAD: usize = 4096;

/// What a file looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Looks {
    /// A program for Node.js, perhaps with a `#!` line for it.
    Node(Option<Shebang>),
    /// A text that says nothing.
    Text,
    Other(&'static str),
}

/// A `#!` line that starts node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shebang {
    /// Where node is, when the line says so.
    pub(super) path: Option<PathBuf>,
    pub(super) options: Vec<String>,
    pub(super) env: Vec<(String, String)>,
}

/// Tells a file by its first bytes and its names.
pub(super) fn looks(disk: &Disk<'_>, file: &ImagePath, given: &Path) -> Result<Looks, NodeError> {
    let open = disk.open(file.as_path())?;
    let mut head = [0; HEAD];
    let length = open
        .read_at(&mut head, 0)
        .map_err(|source| disk.failed(file.as_path(), source))?;
    let head = head.get(..length).unwrap_or_default();
    let names = [file.as_path(), given];
    let extensions = names.map(|path| path.extension().and_then(OsStr::to_str));
    let has = |wanted: &[&str]| extensions.iter().flatten().any(|own| wanted.contains(own));
    Ok(if head.starts_with(b"\x7fELF") {
        Looks::Other("a program")
    } else if let Some(rest) = head.strip_prefix(b"#!") {
        match shebang(rest) {
            Some(line) => Looks::Node(Some(line)),
            None => Looks::Other("a script of another interpreter"),
        }
    } else if head.contains(&0) {
        Looks::Other("a file with binary content")
    // `.ts` is also what Qt calls its translations.
    } else if has(&["js", "mjs", "cjs"]) || (has(TYPESCRIPT) && !head.starts_with(b"<")) {
        Looks::Node(None)
    } else {
        Looks::Text
    })
}

const TYPESCRIPT: &[&str] = &["ts", "mts", "cts"];

/// Whether the file is TypeScript by its name.
pub(super) fn is_typescript(file: &ImagePath) -> bool {
    let extension = file.as_path().extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| TYPESCRIPT.contains(&extension))
}

/// The `#!` line without its first two bytes, if it starts node (execve(2), env(1)).
fn shebang(rest: &[u8]) -> Option<Shebang> {
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = std::str::from_utf8(line).ok()?.trim();
    let (program, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let is_node = |name: &str| matches!(name.rsplit('/').next(), Some("node" | "nodejs"));
    if is_node(program) {
        // The kernel hands over all that follows as one argument.
        let option = rest.trim();
        return Some(Shebang {
            path: Some(PathBuf::from(program)).filter(|path| path.is_absolute()),
            options: (!option.is_empty())
                .then(|| option.to_owned())
                .into_iter()
                .collect(),
            env: Vec::new(),
        });
    }
    if program.rsplit('/').next() != Some("env") {
        return None;
    }
    let rest = rest.trim();
    let words = match rest
        .strip_prefix("-S")
        .or_else(|| rest.strip_prefix("--split-string="))
    {
        Some(list) => plain(list)?,
        None => rest.split_whitespace().map(str::to_owned).collect(),
    };
    let mut line = Shebang::default();
    let mut words = words.into_iter();
    for word in words.by_ref() {
        if let Some((name, value)) = assignment(&word) {
            line.env.push((name.to_owned(), value.to_owned()));
        } else if is_node(&word) {
            line.path = Some(PathBuf::from(&word)).filter(|path| path.is_absolute());
            line.options = words.collect();
            return Some(line);
        } else if !word.starts_with('-') {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_shebang_may_name_node_itself_or_ask_env() {
        let options = |line: &str| shebang(line.as_bytes()).map(|line| line.options);
        assert_eq!(options("/usr/bin/env node\n"), Some(vec![]));
        assert_eq!(
            options("/usr/bin/nodejs --no-warnings\nx"),
            Some(vec!["--no-warnings".into()])
        );
        assert_eq!(
            options("/usr/bin/env -S A=b node --a --b=c\r\n"),
            Some(vec!["--a".into(), "--b=c".into()])
        );
        let line = shebang(b"/usr/bin/env -S A=b /opt/node --a").unwrap();
        assert_eq!(line.env, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(line.path.as_deref(), Some(Path::new("/opt/node")));
        for other in [
            "/bin/sh",
            "/usr/bin/env deno",
            "/usr/bin/env -S bun run",
            "/usr/bin/env",
            "",
        ] {
            assert_eq!(shebang(other.as_bytes()), None, "{other}");
        }
    }
}
