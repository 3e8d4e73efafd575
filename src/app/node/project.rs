//! Which files of the project itself come along.

use std::path::Path;

use super::NodeError;
use super::disk::Disk;
use super::ignore::{Patterns, Sense};
use super::manifest::Manifest;
use crate::ImagePath;
use crate::sysroot::Node;

/// A `.dockerignore` is a few lines.
const MAX_IGNORE: u64 = 1 << 20;

/// What is chosen of one project directory.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// `files` of package.json.
    files: Option<Patterns>,
    /// `.dockerignore`.
    ignored: Patterns,
}

/// What becomes of one entry of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Take,
    /// A directory that is not chosen as a whole, of which parts may be.
    Enter,
    Leave,
    /// It looks like something that must not be handed on.
    Secret,
}

impl Selection {
    /// That of the project in `directory`.
    pub(super) fn read(
        disk: &mut Disk<'_>,
        directory: &ImagePath,
        manifest: &Manifest,
    ) -> Result<Self, NodeError> {
        let path = directory.as_path().join(".dockerignore");
        let ignored = match disk.file(&path) {
            Some(_) => {
                let text = disk.read(&path, MAX_IGNORE)?;
                Patterns::dockerignore(&String::from_utf8_lossy(&text))
            }
            None => Patterns::default(),
        };
        Ok(Self {
            files: manifest.files.as_deref().map(Patterns::files),
            ignored,
        })
    }

    /// Patterns that could not be understood.
    pub(super) fn bad_patterns(&self) -> impl Iterator<Item = &str> {
        let files = self.files.iter().flat_map(|files| &files.bad);
        self.ignored.bad.iter().chain(files).map(String::as_str)
    }

    /// What becomes of the entry at `path`, relative to the project.
    pub(super) fn verdict(&self, path: &Path, is_directory: bool) -> Verdict {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ignored = self.ignored.sense(path);
        // Who excepts a file from being ignored wants it.
        if ignored != Some(Sense::Excepted) {
            if !is_directory && is_secret(&name) {
                return Verdict::Secret;
            }
            if is_tool(&name, is_directory) || (!is_directory && is_output(&name)) {
                return Verdict::Leave;
            }
        }
        if ignored == Some(Sense::Listed) {
            return match is_directory && self.ignored.has_exceptions() {
                true => Verdict::Enter,
                false => Verdict::Leave,
            };
        }
        match &self.files {
            None => Verdict::Take,
            Some(_) if path == Path::new("package.json") => Verdict::Take,
            Some(files) => match files.sense(path) {
                Some(Sense::Listed) => Verdict::Take,
                _ if is_directory => Verdict::Enter,
                _ => Verdict::Leave,
            },
        }
    }
}

/// Whether the name is one under which keys, tokens or passwords are kept.
pub(super) fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let ends = [
        ".pem",
        ".key",
        ".p12",
        ".pfx",
        ".jks",
        ".keystore",
        ".kdbx",
        ".ppk",
    ];
    // `id_ed25519`, not `id_generator.js`.
    let is_key = |rest: &str| !rest.contains('.');
    lower.starts_with(".env")
        || ends.iter().any(|end| lower.ends_with(end))
        || lower.strip_prefix("id_").is_some_and(is_key)
        || matches!(
            lower.as_str(),
            ".npmrc"
                | ".yarnrc"
                | ".yarnrc.yml"
                | ".netrc"
                | ".git-credentials"
                | ".htpasswd"
                | ".pgpass"
        )
}

/// Whether it belongs to a tool that works on the project: version control, an editor, a test.
fn is_tool(name: &str, is_directory: bool) -> bool {
    match is_directory {
        true => matches!(
            name,
            ".git"
                | ".hg"
                | ".svn"
                | ".bzr"
                | ".jj"
                | "_darcs"
                | "CVS"
                | ".github"
                | ".gitlab"
                | ".husky"
                | ".vscode"
                | ".idea"
                | ".devcontainer"
                | ".nyc_output"
                | "coverage"
                | ".yarn"
                | ".pnpm-store"
                | ".turbo"
                | ".ssh"
                | ".aws"
                | ".gnupg"
        ),
        false => {
            matches!(
                name,
                // Of a worktree or a submodule.
                ".git"
                    | ".gitignore"
                    | ".gitattributes"
                    | ".gitmodules"
                    | ".dockerignore"
                    | ".DS_Store"
                    | "Dockerfile"
                    | ".editorconfig"
                    | ".pnp.loader.mjs"
            ) || (name.starts_with("npm-debug.log") || name.starts_with("yarn-error.log"))
        }
    }
}

/// Whether it is an image that was written here before.
fn is_output(name: &str) -> bool {
    name.ends_with(".tar") || name.ends_with(".oci")
}

/// Whether the directory is an image layout (image-spec, `image-layout.md`): an output of before.
pub(super) fn is_layout(disk: &Disk<'_>, directory: &ImagePath) -> bool {
    let mark = directory.join("oci-layout");
    mark.is_ok_and(|mark| matches!(disk.sysroot().node(&mark), Ok(Node::File(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(files: Option<&[&str]>, ignore: &str) -> Selection {
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        Selection {
            files: files.map(|files| Patterns::files(&own(files))),
            ignored: Patterns::dockerignore(ignore),
        }
    }

    #[test]
    fn secrets_outputs_and_what_tools_keep_stay_behind() {
        let all = selection(None, "");
        let file = |path: &str| all.verdict(Path::new(path), false);
        for path in [
            ".env",
            "a/.env.local",
            "k/server.key",
            "x.PEM",
            "id_rsa",
            "id_ed25519",
            ".npmrc",
        ] {
            assert_eq!(file(path), Verdict::Secret, "{path}");
        }
        for path in ["app.tar", "x.oci", ".gitignore", "npm-debug.log.1"] {
            assert_eq!(file(path), Verdict::Leave, "{path}");
        }
        for path in [
            "server.js",
            "id_generator.js",
            "environment.js",
            "keys.json",
            "env.js",
        ] {
            assert_eq!(file(path), Verdict::Take, "{path}");
        }
        for path in [".git", "a/coverage", ".nyc_output"] {
            assert_eq!(all.verdict(Path::new(path), true), Verdict::Leave, "{path}");
        }
    }

    #[test]
    fn a_dockerignore_is_honoured_and_may_ask_for_a_key() {
        let some = selection(None, "test\n*.md\n!public.pem\nlogs/*\n!logs/keep");
        assert_eq!(some.verdict(Path::new("test"), true), Verdict::Enter);
        assert_eq!(some.verdict(Path::new("test/x.js"), false), Verdict::Leave);
        assert_eq!(some.verdict(Path::new("public.pem"), false), Verdict::Take);
        assert_eq!(some.verdict(Path::new("other.pem"), false), Verdict::Secret);
        assert_eq!(some.verdict(Path::new("logs/keep"), false), Verdict::Take);
        assert_eq!(some.verdict(Path::new("logs/x"), false), Verdict::Leave);
    }

    #[test]
    fn files_choose_what_comes_along() {
        let some = selection(Some(&["dist", "lib/*.js"]), "");
        assert_eq!(some.verdict(Path::new("dist"), true), Verdict::Take);
        assert_eq!(some.verdict(Path::new("dist/.env"), false), Verdict::Secret);
        assert_eq!(some.verdict(Path::new("src/x.js"), false), Verdict::Leave);
        assert_eq!(some.verdict(Path::new("lib"), true), Verdict::Enter);
        assert_eq!(
            some.verdict(Path::new("package.json"), false),
            Verdict::Take
        );
    }
}
