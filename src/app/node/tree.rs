//! Which packages an app needs: a walk through the real node_modules, as Node.js resolves names
//! ("Modules: CommonJS modules", `LOAD_NODE_MODULES`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::path::Path;

use super::NodeError;
use super::disk::{Disk, upward};
use super::manifest::{Manifest, Need};
use crate::ImagePath;
use crate::elf::Machine;

/// More than the largest known trees have.
const MAX_PACKAGES: usize = 50_000;

/// What native code is for, in the words of Node.js (`process.platform` is `linux`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Platform {
    /// `process.arch`.
    pub(super) cpu: &'static str,
    /// `glibc` or `musl`.
    pub(super) libc: &'static str,
}

impl Platform {
    pub(super) fn new(machine: Machine, interpreter: Option<&Path>) -> Self {
        let cpu = match machine.platform().map_or("", |(name, _)| name) {
            "amd64" => "x64",
            "386" => "ia32",
            "arm64" => "arm64",
            "arm" => "arm",
            "ppc64le" | "ppc64" => "ppc64",
            "s390x" => "s390x",
            "riscv64" => "riscv64",
            "loong64" => "loong64",
            _ => "unknown",
        };
        let is_musl = interpreter
            .and_then(Path::file_name)
            .is_some_and(|name| name.to_string_lossy().starts_with("ld-musl"));
        let libc = if is_musl { "musl" } else { "glibc" };
        Self { cpu, libc }
    }

    /// Whether a package with these lists can be used here. `!x` in a list refuses `x`.
    fn allows(&self, manifest: &Manifest) -> bool {
        [
            (&manifest.os, "linux"),
            (&manifest.cpu, self.cpu),
            (&manifest.libc, self.libc),
        ]
        .into_iter()
        .all(|(list, own)| {
            let refuses = |word: &String| word.strip_prefix('!') == Some(own);
            let names = |word: &String| word == own || word == "any";
            let only_refusals = list.iter().all(|word| word.starts_with('!'));
            !list.iter().any(refuses) && (only_refusals || list.iter().any(names))
        })
    }
}

/// A package that comes along.
#[derive(Debug, Clone)]
pub(super) struct Package {
    pub(super) manifest: Manifest,
    /// The name by which it was asked for first.
    pub(super) name: String,
    /// Who asked for it first: `a dependency`, `which express needs`.
    pub(super) why: String,
}

/// One package that another names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edge {
    /// The real directory of the one that names.
    pub(super) from: ImagePath,
    pub(super) name: String,
    pub(super) need: Need,
    /// What was found.
    pub(super) to: Option<Found>,
}

/// Where a name led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The real directory whose node_modules has it.
    pub(super) holder: ImagePath,
    /// The real directory of the package.
    pub(super) directory: ImagePath,
}

/// The packages that an app needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    /// By their real directories. The project itself is not among them.
    pub(super) packages: BTreeMap<ImagePath, Package>,
    pub(super) edges: Vec<Edge>,
    /// Peers that need not be there, with the directory of the package that would use each.
    optional_peers: BTreeSet<(ImagePath, String)>,
}

impl Tree {
    /// Adds what a module in the real directory `from` names and all that this needs. The
    /// `project` itself is none of the packages.
    pub(super) fn grow(
        &mut self,
        disk: &mut Disk<'_>,
        platform: Platform,
        project: &ImagePath,
        from: &ImagePath,
        names: &BTreeMap<&str, Need>,
        why: &str,
    ) -> Result<(), NodeError> {
        let mut queue = VecDeque::new();
        for (name, need) in names {
            self.edge(disk, platform, project, from, name, *need, why, &mut queue)?;
        }
        while let Some(directory) = queue.pop_front() {
            let Some(package) = self.packages.get(&directory) else {
                continue;
            };
            let why = format!("which {} needs", package.name);
            let manifest = package.manifest.clone();
            for (name, need) in manifest.needs() {
                self.edge(
                    disk, platform, project, &directory, name, need, &why, &mut queue,
                )?;
            }
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step of `grow`, over its own state"
    )]
    fn edge(
        &mut self,
        disk: &mut Disk<'_>,
        platform: Platform,
        project: &ImagePath,
        from: &ImagePath,
        name: &str,
        need: Need,
        why: &str,
        queue: &mut VecDeque<ImagePath>,
    ) -> Result<(), NodeError> {
        if !is_name(name) {
            return Err(NodeError::PackageName {
                manifest: disk.shown(&from.as_path().join("package.json")),
                name: name.to_owned(),
            });
        }
        if need == Need::OptionalPeer {
            let peer = (from.clone(), name.to_owned());
            self.optional_peers.insert(peer);
            return Ok(());
        }
        let mut found = find(disk, from, name);
        if let Some(place) = &found
            && place.directory != *project
            && !self.packages.contains_key(&place.directory)
        {
            let manifest = Manifest::read(disk, &place.directory)?.unwrap_or_default();
            if need == Need::Optional && !platform.allows(&manifest) {
                found = None;
            } else {
                self.add(disk, project, place, manifest, name, why)?;
                queue.push_back(place.directory.clone());
            }
        }
        self.edges.push(Edge {
            from: from.clone(),
            name: name.to_owned(),
            need,
            to: found,
        });
        Ok(())
    }

    /// Adds the edges to peers that need not be there and that come along anyway, once all
    /// packages are known.
    pub(super) fn settle(&mut self, disk: &mut Disk<'_>) {
        for (from, name) in std::mem::take(&mut self.optional_peers) {
            let found = find(disk, &from, &name);
            let found = found.filter(|found| self.packages.contains_key(&found.directory));
            if found.is_some() {
                self.edges.push(Edge {
                    from,
                    name,
                    need: Need::OptionalPeer,
                    to: found,
                });
            }
        }
    }

    fn add(
        &mut self,
        disk: &Disk<'_>,
        project: &ImagePath,
        place: &Found,
        manifest: Manifest,
        name: &str,
        why: &str,
    ) -> Result<(), NodeError> {
        if self.packages.len() == MAX_PACKAGES {
            return Err(NodeError::TooMany {
                path: disk.shown(project.as_path()),
                what: "packages",
                limit: MAX_PACKAGES,
            });
        }
        let package = Package {
            manifest,
            name: name.to_owned(),
            why: why.to_owned(),
        };
        self.packages.insert(place.directory.clone(), package);
        Ok(())
    }

    /// Those that must be there and are not.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Edge> {
        self.edges
            .iter()
            .filter(|edge| edge.to.is_none() && matches!(edge.need, Need::Required | Need::Peer))
    }

    /// Whether a package of this name comes along.
    pub(super) fn has(&self, name: &str) -> bool {
        self.packages
            .values()
            .any(|package| package.manifest.name.as_deref() == Some(name))
    }
}

/// Where the name leads for a module in `from`: the nearest node_modules upward that has it.
pub(super) fn find(disk: &mut Disk<'_>, from: &ImagePath, name: &str) -> Option<Found> {
    for holder in upward(from) {
        if holder.file_name() == Some(OsStr::new("node_modules")) {
            continue;
        }
        // Most directories have none: one look at that is enough.
        let modules = holder.as_path().join("node_modules");
        if disk.directory(&modules).is_none() {
            continue;
        }
        let Some(directory) = disk.directory(&modules.join(name)) else {
            continue;
        };
        // An empty directory that was left behind is passed over, as Node.js does.
        let has =
            |disk: &mut Disk<'_>, file: &str| disk.file(&directory.as_path().join(file)).is_some();
        if has(disk, "package.json") || has(disk, "index.js") {
            return Some(Found { holder, directory });
        }
    }
    None
}

/// Whether it can be a package's name: `name` or `@scope/name`, and leads nowhere else.
pub(super) fn is_name(name: &str) -> bool {
    let mut parts = name.split('/');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let good = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.contains(['\0', '\\'])
            && part != "node_modules"
    };
    name.len() <= 255
        && match (first.strip_prefix('@'), rest.as_slice()) {
            (Some(scope), [name]) => good(scope) && good(name),
            (None, []) => good(first),
            _ => false,
        }
}

/// The package that a specifier names: `express/lib/x` → `express`; `None` for files, what is
/// built in, and the package's own `#names`.
pub(super) fn package_of(specifier: &str) -> Option<&str> {
    if specifier.contains(':') || specifier.starts_with(['.', '/', '#']) {
        return None;
    }
    let slashes = if specifier.starts_with('@') { 2 } else { 1 };
    let end = specifier.match_indices('/').nth(slashes - 1);
    let name = specifier.get(..end.map_or(specifier.len(), |(at, _)| at))?;
    (is_name(name) && !BUILT_IN.contains(&name)).then_some(name)
}

/// `module.builtinModules`, those that need no `node:` in front.
const BUILT_IN: [&str; 43] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
    "_http_common",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_specifier_names_a_package_a_file_or_what_is_built_in() {
        assert_eq!(package_of("express/lib/x.js"), Some("express"));
        assert_eq!(package_of("@img/sharp/x"), Some("@img/sharp"));
        for other in [
            "./x",
            "../x",
            "/x",
            "node:fs",
            "fs/promises",
            "#x",
            "..",
            "@x",
            "data:,x",
            "",
        ] {
            assert_eq!(package_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_list_may_name_or_refuse() {
        let platform = Platform {
            cpu: "x64",
            libc: "glibc",
        };
        let allows = |os: &[&str], libc: &[&str]| {
            let own = |list: &[&str]| list.iter().map(ToString::to_string).collect();
            platform.allows(&Manifest {
                os: own(os),
                libc: own(libc),
                ..Manifest::default()
            })
        };
        assert!(
            allows(&[], &[])
                && allows(&["darwin", "linux"], &["glibc"])
                && allows(&["!win32"], &[])
        );
        assert!(
            !allows(&["darwin"], &[])
                && !allows(&["!linux"], &[])
                && !allows(&["linux"], &["musl"])
        );
    }

    proptest! {
        #[test]
        fn a_name_never_leaves_its_node_modules(name in "[@a./\\\\]{0,12}") {
            if is_name(&name) {
                let base = ImagePath::new("/p/node_modules").unwrap();
                let joined = base.join(&name).unwrap();
                prop_assert!(joined.starts_with(&base) && joined != base);
            }
        }
    }
}
