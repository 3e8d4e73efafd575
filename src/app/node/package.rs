//! Which files of an installed package Node.js can load when it runs.

use std::path::{Component, Path};

use super::tree::Platform;

/// What is left out of packages.
///
/// Everything else stays: a program may read any file beside it, and a README weighs little.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) platform: Platform,
    /// Whether the TypeScript compiler comes along: it reads the declarations of all packages.
    pub(super) declarations: bool,
}

impl Rules {
    /// Whether the entry at `path`, relative to its package, comes along. A directory that does
    /// not is not entered.
    pub(super) fn keeps(self, path: &Path, is_directory: bool) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return true;
        };
        if is_directory {
            return self.keeps_directory(path, name);
        }
        // The compiler reads declarations, Node.js never does; what a build remembers of itself
        // and what its linker read is for the next build alone.
        let declares = || {
            [
                ".d.ts",
                ".d.mts",
                ".d.cts",
                ".d.ts.map",
                ".d.mts.map",
                ".d.cts.map",
            ]
            .iter()
            .any(|end| name.ends_with(end))
        };
        if (!self.declarations && declares())
            || name.ends_with(".tsbuildinfo")
            || name.ends_with(".o")
        {
            return false;
        }
        !is_in_prebuilds(path) || self.keeps_prebuild(name)
    }

    fn keeps_directory(self, path: &Path, name: &str) -> bool {
        let parent = path.parent().and_then(Path::file_name);
        match name {
            // For the forge that the package is developed at.
            ".github" => path.components().count() != 1,
            // Of node-gyp: what it compiled, and which headers that read.
            "obj.target" | ".deps" => !path
                .parent()
                .is_some_and(|parent| parent.ends_with("build/Release")),
            // Written by tools while they run, and again where it is missing.
            ".cache" => parent.is_none_or(|parent| parent != "node_modules"),
            _ if parent.is_some_and(|parent| parent == "prebuilds") => self.keeps_platform(name),
            _ => true,
        }
    }

    /// A directory of `prebuilds`: `linux-x64`, `darwin-x64+arm64` (node-gyp-build).
    fn keeps_platform(self, name: &str) -> bool {
        let Some((system, machines)) = name.split_once('-') else {
            return true;
        };
        let libc = match system {
            "linux" => {
                return machines
                    .split('+')
                    .any(|machine| machine == self.platform.cpu);
            }
            "linuxmusl" => "musl",
            "linuxglibc" => "glibc",
            // Names that are none of the systems of `process.platform` are kept.
            "aix" | "android" | "darwin" | "freebsd" | "ios" | "netbsd" | "openbsd"
            | "openharmony" | "sunos" | "win32" => {
                return false;
            }
            _ => return true,
        };
        libc == self.platform.libc && machines == self.platform.cpu
    }

    /// A file of such a directory: `node.napi.musl.node`. The tags between the dots say what it
    /// is for.
    fn keeps_prebuild(self, name: &str) -> bool {
        let Some(tags) = name.strip_suffix(".node") else {
            return true;
        };
        let other_libc = match self.platform.libc {
            "musl" => "glibc",
            _ => "musl",
        };
        !tags
            .split('.')
            .any(|tag| tag == other_libc || matches!(tag, "electron" | "node-webkit"))
    }
}

fn is_in_prebuilds(path: &Path) -> bool {
    let mut above = path.components().rev().skip(2);
    above.next() == Some(Component::Normal("prebuilds".as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        platform: Platform {
            cpu: "x64",
            libc: "glibc",
        },
        declarations: false,
    };

    fn keeps(path: &str) -> bool {
        RULES.keeps(Path::new(path), false)
    }

    fn enters(path: &str) -> bool {
        RULES.keeps(Path::new(path), true)
    }

    #[test]
    fn only_what_node_never_loads_is_left_out() {
        for kept in [
            "index.js",
            "x.ts",
            "README.md",
            "x.js.map",
            "build/Release/x.node",
            "package.json",
        ] {
            assert!(keeps(kept), "{kept}");
        }
        for left in [
            "index.d.ts",
            "x.d.mts",
            "a/x.d.cts",
            "x.d.ts.map",
            "x.tsbuildinfo",
            "build/x.o",
        ] {
            assert!(!keeps(left), "{left}");
        }
        assert!(
            !enters(".github")
                && !enters("build/Release/obj.target")
                && !enters("build/Release/.deps")
        );
        assert!(enters("build/Release") && enters("obj.target") && enters("dist/.github"));
    }

    #[test]
    fn prebuilds_of_other_platforms_are_left_out() {
        for left in [
            "darwin-x64",
            "darwin-x64+arm64",
            "linux-arm64",
            "win32-x64",
            "linuxmusl-x64",
        ] {
            assert!(!enters(&format!("prebuilds/{left}")), "{left}");
        }
        for kept in [
            "linux-x64",
            "linux-arm64+x64",
            "linuxglibc-x64",
            "data",
            "some-thing",
        ] {
            assert!(enters(&format!("prebuilds/{kept}")), "{kept}");
        }
        assert!(keeps("prebuilds/linux-x64/node.napi.node"));
        assert!(keeps("prebuilds/linux-x64/x.glibc.node"));
        assert!(!keeps("prebuilds/linux-x64/node.napi.musl.node"));
        assert!(!keeps("prebuilds/linux-x64/electron.napi.node"));
        assert!(keeps("lib/electron.node"));
    }

    #[test]
    fn the_compiler_gets_its_declarations() {
        let rules = Rules {
            declarations: true,
            ..RULES
        };
        assert!(rules.keeps(Path::new("lib/lib.es5.d.ts"), false));
    }
}
