//! The file that keeps what a traced run used.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Access, TraceError};

/// What a traced run, or a file that recorded one, tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The files, sorted by path, each once.
    pub files: Vec<ProfileFile>,
}

/// A file that an app uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileFile {
    /// As the app named it: absolute, or relative to the working directory.
    pub path: PathBuf,
    /// What it did with it.
    pub access: Access,
}

/// The version of the format.
const SCHEMA: u32 = 1;
/// The largest profile that is read, in bytes: some hundred thousand files.
const SIZE_LIMIT: u64 = 64 * 1024 * 1024;

const HEAD: &str = "\
# The files that an app uses, as `distrobuild --trace` saw them. With this file a build needs no
# run: give it with --profile. It may be edited: a line here is a file in the image.
# Paths that are not absolute are relative to the working directory.
";

/// A profile as TOML.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: u32,
    #[serde(default)]
    read: Vec<String>,
    #[serde(default)]
    execute: Vec<String>,
    #[serde(default)]
    list: Vec<String>,
}

impl Profile {
    /// Reads the profile at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is no profile, or one of a later version.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let read = |source| TraceError::Read {
            path: path.to_path_buf(),
            source,
        };
        let file = std::fs::File::open(path).map_err(read)?;
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, SIZE_LIMIT + 1), &mut text)
            .map_err(read)?;
        if text.len() as u64 > SIZE_LIMIT {
            return Err(read(io::ErrorKind::FileTooLarge.into()));
        }
        Self::parse(&text).map_err(|(line, message)| TraceError::Invalid {
            path: path.to_path_buf(),
            line,
            message,
        })
    }

    /// Writes the profile to `path`, aside and then in its place.
    ///
    /// # Errors
    /// When it cannot be written, or a path is not UTF-8.
    pub fn write(&self, path: &Path) -> Result<(), TraceError> {
        let write = |source| TraceError::Write {
            path: path.to_path_buf(),
            source,
        };
        let text = self.text().map_err(write)?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(directory)
            .map_err(write)?;
        file.write_all(text.as_bytes()).map_err(write)?;
        file.persist(path).map_err(|error| write(error.error))?;
        Ok(())
    }

    /// The profile as TOML.
    fn text(&self) -> io::Result<String> {
        let mut text = format!("{HEAD}schema = {SCHEMA}\n");
        for (name, comment, access) in [
            ("execute", "Programs that were executed.", Access::Execute),
            ("read", "Files that were opened.", Access::Read),
            (
                "list",
                "Directories that were opened; what was in them is not taken for that.",
                Access::List,
            ),
        ] {
            let mut paths = Vec::new();
            for file in self.files.iter().filter(|file| file.access == access) {
                paths.push(file.path.to_str().ok_or_else(|| {
                    let message = format!("the path {:?} is not UTF-8", file.path);
                    io::Error::new(io::ErrorKind::InvalidData, message)
                })?);
            }
            paths.sort_unstable();
            paths.dedup();
            // Writing to a string does not fail.
            let _ = write!(text, "\n# {comment}\n{name} = [");
            for path in &paths {
                let _ = write!(text, "\n    {},", quoted(path));
            }
            text.push_str(if paths.is_empty() { "]\n" } else { "\n]\n" });
        }
        Ok(text)
    }

    fn parse(text: &str) -> Result<Self, (Option<usize>, String)> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|before| before.matches('\n').count() + 1);
            (line, error.message().to_owned())
        })?;
        if document.schema != SCHEMA {
            let message = format!(
                "it is of schema {}, and this distrobuild reads schema {SCHEMA}",
                document.schema
            );
            return Err((None, message));
        }
        let mut files = BTreeMap::new();
        for (paths, access) in [
            (document.list, Access::List),
            (document.read, Access::Read),
            (document.execute, Access::Execute),
        ] {
            for path in paths {
                if path.is_empty() || path.contains('\0') {
                    return Err((None, format!("{path:?} is no path")));
                }
                files.insert(PathBuf::from(path), access);
            }
        }
        Ok(Self {
            files: files
                .into_iter()
                .map(|(path, access)| ProfileFile { path, access })
                .collect(),
        })
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            '\u{0}'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn profile(files: &[(&str, Access)]) -> Profile {
        Profile {
            files: files
                .iter()
                .map(|(path, access)| ProfileFile {
                    path: PathBuf::from(path),
                    access: *access,
                })
                .collect(),
        }
    }

    #[test]
    fn a_profile_is_text_that_people_can_read() {
        let profile = profile(&[
            ("/usr/bin/tool", Access::Execute),
            ("/usr/share/app", Access::List),
            ("data/\"odd\"", Access::Read),
        ]);
        assert_eq!(
            profile.text().unwrap(),
            format!(
                "{HEAD}schema = 1\n\n\
                 # Programs that were executed.\nexecute = [\n    \"/usr/bin/tool\",\n]\n\n\
                 # Files that were opened.\nread = [\n    \"data/\\\"odd\\\"\",\n]\n\n\
                 # Directories that were opened; what was in them is not taken for that.\n\
                 list = [\n    \"/usr/share/app\",\n]\n"
            )
        );
    }

    #[test]
    fn a_written_profile_replaces_the_former_one_and_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("profile.toml");
        let first = profile(&[("/a", Access::Read)]);
        first.write(&path).unwrap();
        Profile::default().write(&path).unwrap();
        assert_eq!(Profile::read(&path).unwrap(), Profile::default());
        first.write(&path).unwrap();
        assert_eq!(Profile::read(&path).unwrap(), first);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn errors_name_the_profile_and_the_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("profile.toml");
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Profile::read(&path).unwrap_err().to_string()
        };
        let name = path.display().to_string();
        assert!(error("schema = 1\nread = [1]\n").starts_with(&format!("{name}:2: ")));
        assert!(error("schema = 1\nwrite = []\n").contains("unknown field `write`"));
        assert!(error("schema = 2\n").contains("schema 2"));
        assert!(error("").contains("schema"));
        assert!(error("schema = 1\nread = [\"\"]\n").contains("is no path"));
        let missing = Profile::read(&directory.path().join("none")).unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("cannot read the trace profile")
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(names in proptest::collection::btree_map("[^\0]{1,20}", 0..3_u8, 0..20)) {
            let access = |number| match number {
                0 => Access::Read,
                1 => Access::Execute,
                _ => Access::List,
            };
            let mut profile = Profile {
                files: names
                    .into_iter()
                    .map(|(name, number)| ProfileFile { path: PathBuf::from(name), access: access(number) })
                    .collect(),
            };
            // Paths that differ in their spelling only are one path.
            profile.files.sort();
            profile.files.dedup_by(|a, b| a.path == b.path);
            prop_assert_eq!(Profile::parse(&profile.text().unwrap()).unwrap(), profile);
        }
    }
}
