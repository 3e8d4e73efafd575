//! `package.json` (package.json(5) of npm, and "Modules: Packages" of Node.js).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

use super::NodeError;
use super::disk::Disk;
use crate::ImagePath;

/// The largest known have some hundred kilobytes.
const LIMIT: u64 = 8 << 20;

/// What of a `package.json` matters for running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) main: Option<String>,
    /// Programs: name and file.
    pub(super) bin: BTreeMap<String, String>,
    pub(super) scripts: BTreeMap<String, String>,
    pub(super) dependencies: BTreeMap<String, String>,
    pub(super) optional: BTreeMap<String, String>,
    pub(super) peers: BTreeMap<String, String>,
    /// Peers that need not be there.
    pub(super) optional_peers: BTreeSet<String>,
    pub(super) dev: BTreeSet<String>,
    /// What npm would publish.
    pub(super) files: Option<Vec<String>>,
    /// `engines.node`.
    pub(super) engine: Option<String>,
    pub(super) os: Vec<String>,
    pub(super) cpu: Vec<String>,
    pub(super) libc: Vec<String>,
    pub(super) workspaces: bool,
}

/// How much a package needs another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// It does not run without.
    Required,
    /// Its user should have it installed.
    Peer,
    /// It runs without; what is installed comes along.
    Optional,
    /// It runs without, and uses it when somebody else brings it.
    OptionalPeer,
}

impl Manifest {
    /// That of the directory, if it has one.
    pub(super) fn read(
        disk: &mut Disk<'_>,
        directory: &ImagePath,
    ) -> Result<Option<Self>, NodeError> {
        let path = directory.as_path().join("package.json");
        if disk.file(&path).is_none() {
            return Ok(None);
        }
        let bytes = disk.read(&path, LIMIT)?;
        Self::parse(&bytes, &disk.shown(&path)).map(Some)
    }

    /// Parses the bytes of a file that is shown as `path`.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, NodeError> {
        let wrong = |field: &str, what: &str| NodeError::Manifest {
            path: path.to_path_buf(),
            field: field.to_owned(),
            what: what.to_owned(),
        };
        let Value::Object(fields) = parse_json(bytes, path)? else {
            return Err(wrong("{}", "is missing: the file holds no object"));
        };
        let name = text(&fields, "name");
        let bin = match fields.get("bin") {
            Some(Value::String(file)) => {
                let name = name.as_deref().unwrap_or_default();
                let own = name.rsplit('/').next().unwrap_or_default().to_owned();
                BTreeMap::from([(own, file.clone())])
            }
            Some(Value::Null) | None => BTreeMap::new(),
            Some(Value::Object(programs)) => strings(programs),
            Some(_) => return Err(wrong("bin", "must be a file or an object of files")),
        };
        if let Some(dependencies) = fields.get("dependencies")
            && !matches!(dependencies, Value::Object(_) | Value::Null)
            // What npm 2 wrote for an empty object.
            && !matches!(dependencies, Value::Array(items) if items.is_empty())
        {
            return Err(wrong(
                "dependencies",
                "must be an object of names and versions",
            ));
        }
        let optional = table(&fields, "optionalDependencies");
        let mut dependencies = table(&fields, "dependencies");
        // npm lists optional ones in both.
        dependencies.retain(|name, _| !optional.contains_key(name));
        Ok(Self {
            version: text(&fields, "version"),
            main: text(&fields, "main").filter(|main| !main.is_empty()),
            bin,
            scripts: table(&fields, "scripts"),
            dependencies,
            optional,
            peers: table(&fields, "peerDependencies"),
            optional_peers: optional_peers(&fields),
            dev: table(&fields, "devDependencies").into_keys().collect(),
            files: fields
                .get("files")
                .filter(|files| files.is_array())
                .map(|_| list(&fields, "files")),
            engine: match fields.get("engines") {
                Some(Value::Object(engines)) => text(engines, "node"),
                _ => None,
            },
            os: list(&fields, "os"),
            cpu: list(&fields, "cpu"),
            libc: list(&fields, "libc"),
            workspaces: fields
                .get("workspaces")
                .is_some_and(|value| value.is_array() || value.is_object()),
            name,
        })
    }

    /// Whether it only says something of the files beside it (`{"type": "module"}`), and the
    /// project's own one is further up.
    pub(super) fn is_marker(&self) -> bool {
        let nothing = Self {
            version: self.version.clone(),
            ..Self::default()
        };
        *self == nothing
    }

    /// All that it names to run, by name. Peers that need not be there are among them.
    pub(super) fn needs(&self) -> BTreeMap<&str, Need> {
        let mut needs = BTreeMap::new();
        for name in self.peers.keys() {
            let need = match self.optional_peers.contains(name) {
                true => Need::OptionalPeer,
                false => Need::Peer,
            };
            needs.insert(name.as_str(), need);
        }
        // A package may say of a peer only that it is optional.
        for name in &self.optional_peers {
            needs.entry(name.as_str()).or_insert(Need::OptionalPeer);
        }
        let optional = self.optional.keys();
        needs.extend(optional.map(|name| (name.as_str(), Need::Optional)));
        let required = self.dependencies.keys();
        needs.extend(required.map(|name| (name.as_str(), Need::Required)));
        needs
    }

    /// The version, or words for none.
    pub(super) fn version(&self) -> &str {
        self.version.as_deref().unwrap_or("without a version")
    }
}

/// Parses JSON, whose depth the parser limits to 128 levels.
pub(super) fn parse_json(bytes: &[u8], path: &Path) -> Result<Value, NodeError> {
    // Node.js skips a byte order mark, too.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| {
        let what = error.to_string();
        // The place stands in front of the message.
        let what = what.split(" at line ").next().unwrap_or(&what).to_owned();
        NodeError::Json {
            path: path.to_path_buf(),
            line: error.line(),
            column: error.column(),
            what,
        }
    })
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    Some(fields.get(name)?.as_str()?.to_owned())
}

/// An object of texts; what is none in it is passed over, as npm does.
fn table(fields: &Map<String, Value>, name: &str) -> BTreeMap<String, String> {
    match fields.get(name) {
        Some(Value::Object(values)) => strings(values),
        _ => BTreeMap::new(),
    }
}

fn strings(values: &Map<String, Value>) -> BTreeMap<String, String> {
    values
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// A list of texts, or a single one.
fn list(fields: &Map<String, Value>, name: &str) -> Vec<String> {
    match fields.get(name) {
        Some(Value::String(single)) => vec![single.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

fn optional_peers(fields: &Map<String, Value>) -> BTreeSet<String> {
    let Some(Value::Object(peers)) = fields.get("peerDependenciesMeta") else {
        return BTreeSet::new();
    };
    peers
        .iter()
        .filter(|(_, facts)| facts.get("optional").and_then(Value::as_bool) == Some(true))
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn parse(text: &str) -> Result<Manifest, NodeError> {
        Manifest::parse(text.as_bytes(), Path::new("/p/package.json"))
    }

    #[test]
    fn a_broken_one_is_told_with_line_and_column() {
        let message = parse("{\n  \"name\": \"x\",\n}").unwrap_err().to_string();
        assert!(message.starts_with("/p/package.json:3:1: "), "{message}");
        assert!(message.contains("trailing comma"), "{message}");
    }

    #[test]
    fn deep_json_is_an_error_and_no_overflow() {
        let deep = "[".repeat(100_000);
        let message = parse(&deep).unwrap_err().to_string();
        assert!(message.contains("recursion limit"), "{message}");
    }

    #[test]
    fn a_single_program_has_the_name_without_the_scope() {
        let manifest = parse(r#"{"name": "@s/tool", "bin": "./cli.js"}"#).unwrap();
        assert_eq!(
            manifest.bin,
            BTreeMap::from([("tool".into(), "./cli.js".into())])
        );
    }

    #[test]
    fn an_optional_dependency_is_not_required_where_it_is_listed_twice() {
        let manifest = parse(
            r#"{"dependencies": {"a": "1", "b": "1"}, "optionalDependencies": {"a": "1"},
                "peerDependencies": {"c": "1", "d": "1"},
                "peerDependenciesMeta": {"d": {"optional": true}}}"#,
        )
        .unwrap();
        let needs: Vec<_> = manifest.needs().into_iter().collect();
        assert_eq!(
            needs,
            [
                ("a", Need::Optional),
                ("b", Need::Required),
                ("c", Need::Peer),
                ("d", Need::OptionalPeer)
            ]
        );
    }

    #[test]
    fn values_of_other_types_are_passed_over_where_npm_does() {
        let manifest =
            parse(r#"{"name": 3, "scripts": [], "files": {}, "main": "", "os": "linux"}"#);
        let expected = Manifest {
            os: vec!["linux".into()],
            ..Manifest::default()
        };
        assert_eq!(manifest.unwrap(), expected);
        assert!(parse("[]").is_err());
        assert!(parse(r#"{"dependencies": "express"}"#).is_err());
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert!(parse("\u{feff}{}").unwrap().is_marker());
        assert!(parse(r#"{"type": "module"}"#).unwrap().is_marker());
        assert!(!parse(r#"{"name": "x"}"#).unwrap().is_marker());
    }
}
