#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::*;
use crate::app::{Companion, Host, Role};
use crate::elf::Root;
use crate::rootfs::EntryKind;
use crate::sysroot::Directory;

/// A program that says of itself which Node.js it is, compiled once.
fn node() -> &'static [u8] {
    static NODE: OnceLock<Vec<u8>> = OnceLock::new();
    NODE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("x.c");
        let output = directory.path().join("x");
        let text = "const char mark[] = \"node.js/v20.19.2\";\n\
                    const char beside[] = \"/usr/share/nodejs/acorn/acorn.js\";\n\
                    void _start(void) { for (;;); }";
        std::fs::write(&source, text).unwrap();
        let status = Command::new("cc")
            .args([&source, Path::new("-o"), &output])
            .args(["-static", "-nostdlib"])
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::read(output).unwrap()
    })
}

/// A system with `/usr/bin/node`.
struct System {
    root: tempfile::TempDir,
    sysroot: Directory,
    runtime: RuntimeChoice,
}

impl System {
    fn new() -> Self {
        let system = Self::empty();
        system.program("/usr/bin/node", node());
        system
    }

    fn empty() -> Self {
        let root = tempfile::tempdir().unwrap();
        let sysroot = Directory::new(root.path()).unwrap();
        Self {
            root,
            sysroot,
            runtime: RuntimeChoice::Auto,
        }
    }

    fn host(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.host(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
    }

    fn program(&self, path: &str, content: impl AsRef<[u8]>) {
        self.file(path, content);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.host(path), mode).unwrap();
    }

    fn link(&self, path: &str, says: &str) {
        let path = self.host(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(says, path).unwrap();
    }

    /// An installed package with an `index.js`; `more` is the rest of its package.json.
    fn package(&self, directory: &str, version: &str, more: &str) {
        let name = directory.rsplit("node_modules/").next().unwrap();
        let name = name
            .rsplit('/')
            .next()
            .filter(|_| !name.starts_with('@'))
            .unwrap_or(name);
        let manifest = format!(r#"{{"name": "{name}", "version": "{version}"{more}}}"#);
        self.file(&format!("{directory}/package.json"), manifest);
        self.file(&format!("{directory}/index.js"), "");
    }

    fn recognise_on(&self, path: &str, host: Option<&Host>) -> Result<Option<Hosted>, NodeError> {
        let search = [PathBuf::from("/usr/local/bin"), PathBuf::from("/usr/bin")];
        let scene = Scene {
            sysroot: &self.sysroot,
            search: &search,
            runtime: self.runtime,
            shell: false,
            host,
            ground: None,
        };
        recognise(&scene, Path::new(path))
    }

    fn recognise(&self, path: &str) -> Result<Option<Hosted>, NodeError> {
        self.recognise_on(path, None)
    }

    fn hosted(&self, path: &str) -> Hosted {
        self.recognise(path).unwrap().unwrap()
    }

    /// The message, with the sysroot's own directory left out.
    fn message(&self, path: &str) -> String {
        let message = self.recognise(path).unwrap_err().to_string();
        message.replace(self.sysroot.path().to_str().unwrap(), "")
    }
}

fn companions(hosted: &Hosted) -> BTreeMap<String, &Companion> {
    let all = hosted.companions.iter().flat_map(|group| &group.files);
    let mut by_path = BTreeMap::new();
    for companion in all {
        let before = by_path.insert(companion.path.to_string(), companion);
        assert!(before.is_none(), "{} comes twice", companion.path);
    }
    by_path
}

/// The paths, links with what they say.
fn paths(hosted: &Hosted) -> Vec<String> {
    let shown = |(path, companion): (String, &Companion)| match &companion.entry.kind {
        EntryKind::Symlink(says) => format!("{path} -> {}", says.display()),
        _ => path,
    };
    companions(hosted).into_iter().map(shown).collect()
}

fn reasons(hosted: &Hosted) -> Vec<&str> {
    hosted
        .companions
        .iter()
        .map(|group| group.reason.as_str())
        .collect()
}

fn told<'a>(sentences: &'a [String], part: &str) -> &'a str {
    let found = sentences.iter().find(|sentence| sentence.contains(part));
    found.unwrap_or_else(|| panic!("{part:?} is not in {sentences:?}"))
}

#[test]
fn a_project_comes_with_its_production_packages_alone() {
    let system = System::new();
    system.file(
        "/home/me/shop/package.json",
        r#"{"name": "shop", "version": "1.2.0", "main": "server.js",
            "dependencies": {"express": "^4"}, "devDependencies": {"jest": "*"},
            "optionalDependencies": {"fsevents": "*"}}"#,
    );
    system.file("/home/me/shop/server.js", "require('express')");
    system.file("/home/me/shop/views/index.html", "");
    system.file("/home/me/shop/.git/config", "");
    system.file("/home/me/shop/.env", "PASSWORD=x");
    let modules = "/home/me/shop/node_modules";
    system.package(
        &format!("{modules}/express"),
        "4.18.2",
        r#", "dependencies": {"ms": "2"}"#,
    );
    system.file(&format!("{modules}/express/types.d.ts"), "");
    system.package(&format!("{modules}/ms"), "2.1.3", "");
    system.package(&format!("{modules}/jest"), "29.0.0", "");
    let hosted = system.hosted("/home/me/shop");
    assert_eq!(hosted.command, ["/usr/bin/node", "/app/server.js"]);
    assert_eq!(hosted.workdir.as_ref().unwrap().to_string(), "/app");
    assert_eq!(
        hosted.env,
        [("NODE_ENV".to_owned(), "production".to_owned())]
    );
    assert_eq!(hosted.version, "20.19.2");
    assert_eq!(
        paths(&hosted),
        [
            "/app/node_modules/express/index.js",
            "/app/node_modules/express/package.json",
            "/app/node_modules/ms/index.js",
            "/app/node_modules/ms/package.json",
            "/app/package.json",
            "/app/server.js",
            "/app/views/index.html"
        ]
    );
    assert_eq!(
        reasons(&hosted),
        [
            "the package express 4.18.2, a dependency",
            "the package ms 2.1.3, which express needs",
            "the project shop 1.2.0"
        ]
    );
    told(&hosted.decisions, "started by `main`");
    told(&hosted.decisions, "(jest)");
    told(&hosted.notices, "secrets are left out: .env");
    assert_eq!(hosted.hidden, [ImagePath::new("/home/me/shop").unwrap()]);
    let root = PathBuf::from("/usr/bin/node");
    assert_eq!(hosted.roots, [Root::Program { path: root }]);
}

#[test]
fn the_same_project_at_two_places_gives_the_same() {
    let system = System::new();
    for home in ["/home/a/x/p", "/srv/q"] {
        system.file(
            &format!("{home}/package.json"),
            r#"{"name": "p", "dependencies": {"a": "1", "z": "1"}}"#,
        );
        system.file(&format!("{home}/index.js"), "");
        system.package(
            &format!("{home}/node_modules/.pnpm/a@1/node_modules/a"),
            "1.0.0",
            "",
        );
        system.link(
            &format!("{home}/node_modules/a"),
            ".pnpm/a@1/node_modules/a",
        );
        system.package(&format!("{home}/node_modules/z"), "1.0.0", "");
    }
    let shape = |path: &str| {
        let hosted = system.hosted(path);
        let groups: Vec<_> = hosted
            .companions
            .iter()
            .map(|group| {
                let files = group.files.iter();
                let files: Vec<_> = files
                    .map(|file| (file.path.clone(), file.entry.mode, file.role))
                    .collect();
                (group.by.clone(), group.reason.clone(), files)
            })
            .collect();
        (hosted.command, groups)
    };
    assert_eq!(shape("/home/a/x/p"), shape("/srv/q"));
}

#[test]
fn links_of_pnpm_lead_to_the_same_package_as_before() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "dependencies": {"a": "1"}}"#,
    );
    system.file("/p/index.js", "");
    let store = "/p/node_modules/.pnpm";
    system.package(
        &format!("{store}/a@1/node_modules/a"),
        "1.0.0",
        r#", "dependencies": {"b": "1"}"#,
    );
    system.package(
        &format!("{store}/b@1/node_modules/b"),
        "1.0.0",
        r#", "dependencies": {"a": "1"}"#,
    );
    system.package(&format!("{store}/c@1/node_modules/c"), "1.0.0", "");
    system.link("/p/node_modules/a", ".pnpm/a@1/node_modules/a");
    system.link(
        &format!("{store}/a@1/node_modules/b"),
        "../../b@1/node_modules/b",
    );
    system.link(
        &format!("{store}/b@1/node_modules/a"),
        "../../a@1/node_modules/a",
    );
    assert_eq!(
        paths(&system.hosted("/p/index.js")),
        [
            "/app/index.js",
            "/app/node_modules/.pnpm/a@1/node_modules/a/index.js",
            "/app/node_modules/.pnpm/a@1/node_modules/a/package.json",
            "/app/node_modules/.pnpm/a@1/node_modules/b -> ../../b@1/node_modules/b",
            "/app/node_modules/.pnpm/b@1/node_modules/a -> ../../a@1/node_modules/a",
            "/app/node_modules/.pnpm/b@1/node_modules/b/index.js",
            "/app/node_modules/.pnpm/b@1/node_modules/b/package.json",
            "/app/node_modules/a -> .pnpm/a@1/node_modules/a",
            "/app/package.json"
        ]
    );
}

#[test]
fn a_member_of_a_workspace_keeps_its_distance_from_the_others() {
    let system = System::new();
    system.file(
        "/w/package.json",
        r#"{"name": "w", "workspaces": ["packages/*"]}"#,
    );
    system.file(
        "/w/package-lock.json",
        r#"{"packages": {"": {}, "node_modules/b": {"resolved": "packages/b", "link": true},
            "packages/a": {"version": "1.0.0"}, "packages/b": {"version": "1.0.0"},
            "node_modules/ms": {"version": "2.1.3"}}}"#,
    );
    system.file(
        "/w/packages/a/package.json",
        r#"{"name": "a", "dependencies": {"b": "1"}}"#,
    );
    system.file("/w/packages/a/index.js", "require('../../shared/x')");
    system.file("/w/shared/x.js", "");
    system.file("/w/packages/b/.env", "");
    system.package("/w/packages/b", "1.0.0", r#", "dependencies": {"ms": "2"}"#);
    system.package("/w/packages/unused", "1.0.0", "");
    system.package("/w/node_modules/ms", "2.1.3", "");
    system.link("/w/node_modules/b", "../packages/b");
    let hosted = system.hosted("/w/packages/a");
    assert_eq!(
        hosted.command,
        ["/usr/bin/node", "/app/packages/a/index.js"]
    );
    assert_eq!(
        hosted.workdir.as_ref().unwrap().to_string(),
        "/app/packages/a"
    );
    assert_eq!(
        paths(&hosted),
        [
            "/app/node_modules/b -> ../packages/b",
            "/app/node_modules/ms/index.js",
            "/app/node_modules/ms/package.json",
            "/app/package.json",
            "/app/packages/a/index.js",
            "/app/packages/a/package.json",
            "/app/packages/b/index.js",
            "/app/packages/b/package.json",
            "/app/shared/x.js"
        ]
    );
}

#[test]
fn a_package_that_is_linked_from_elsewhere_comes_with_its_own_packages() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "dependencies": {"lib": "*"}}"#,
    );
    system.file("/p/index.js", "");
    system.link("/p/node_modules/lib", "/else/lib");
    system.package("/else/lib", "1.0.0", r#", "dependencies": {"ms": "2"}"#);
    system.package("/else/lib/node_modules/ms", "2.0.0", "");
    let hosted = system.hosted("/p");
    let paths = paths(&hosted);
    assert!(
        paths.contains(&"/app/node_modules/lib -> ../.linked/lib".to_owned()),
        "{paths:?}"
    );
    assert!(
        paths.contains(&"/app/.linked/lib/node_modules/ms/index.js".to_owned()),
        "{paths:?}"
    );
}

#[test]
fn what_is_installed_must_be_what_the_lock_file_says() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "dependencies": {"a": "1"}}"#,
    );
    system.file("/p/index.js", "");
    assert!(
        system.message("/p").contains(
            "/p/package.json: has dependencies (1) and no node_modules; run `npm ci` in /p"
        )
    );
    system.package(
        "/p/node_modules/a",
        "1.0.0",
        r#", "dependencies": {"b": "1"}, "optionalDependencies": {"c": "1"}"#,
    );
    assert_eq!(
        system.message("/p"),
        "/p/package.json: dependencies are not installed: b for a; run `npm ci`"
    );
    let lock = |text: &str| {
        system.file(
            "/p/package-lock.json",
            format!(r#"{{"lockfileVersion": 3, "packages": {{"": {{}}, {text}}}}}"#),
        )
    };
    lock(
        r#""node_modules/a": {"version": "1.0.1"}, "node_modules/b": {"version": "1.5.0"}, "node_modules/c": {"version": "1.0.0", "optional": true}"#,
    );
    assert_eq!(
        system.message("/p"),
        "/p/package-lock.json: does not match node_modules: a is 1.0.0 in node_modules and 1.0.1 in the \
         lock file; b 1.5.0 is not installed; run `npm ci`"
    );
    system.package("/p/node_modules/b", "1.5.0", "");
    lock(r#""node_modules/a": {"version": "1.0.0"}, "node_modules/b": {"version": "1.5.0"}"#);
    assert!(system.recognise("/p").unwrap().is_some());
    lock(r#""node_modules/b": {"version": "1.5.0"}"#);
    assert!(
        system
            .message("/p")
            .ends_with("it does not know a, which package.json names; run `npm install`")
    );
    system.file("/p/package-lock.json", "{");
    assert!(
        system
            .message("/p")
            .starts_with("/p/package-lock.json:1:1: is no valid JSON")
    );
}

#[test]
fn optional_packages_for_other_platforms_are_no_loss() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "optionalDependencies": {"mac": "1", "gone": "1"}, "peerDependencies": {"peer": "1"}}"#,
    );
    system.file("/p/index.js", "");
    system.package("/p/node_modules/mac", "1.0.0", r#", "os": ["darwin"]"#);
    let hosted = system.hosted("/p");
    assert_eq!(paths(&hosted), ["/app/index.js", "/app/package.json"]);
    told(&hosted.notices, "peers are not installed: peer");
}

#[test]
fn a_file_alone_comes_with_what_it_requires() {
    let system = System::new();
    system.file(
        "/srv/x/bin/server.mjs",
        "import '../lib/a.js'; import 'ms'; import 'gone'; import(y)",
    );
    system.file(
        "/srv/x/lib/a.js",
        "require('./data.json'); require('../../../etc/passwd')",
    );
    system.file("/srv/x/lib/data.json", "{}");
    system.file("/srv/x/lib/unused.js", "");
    system.file("/etc/passwd", "root");
    system.package("/srv/x/node_modules/ms", "2.1.3", "");
    let hosted = system.hosted("/srv/x/bin/server.mjs");
    assert_eq!(hosted.command, ["/usr/bin/node", "/app/bin/server.mjs"]);
    assert_eq!(
        paths(&hosted),
        [
            "/app/bin/server.mjs",
            "/app/lib/a.js",
            "/app/lib/data.json",
            "/app/node_modules/ms/index.js",
            "/app/node_modules/ms/package.json"
        ]
    );
    assert!(reasons(&hosted).contains(&"the package ms 2.1.3, which server.mjs requires"));
    told(&hosted.notices, "/etc/passwd; `--include` adds one");
    told(&hosted.notices, "not installed: gone (in server.mjs)");
    told(
        &hosted.notices,
        "compute the names of what they load: server.mjs",
    );
    told(&hosted.decisions, "there is no package.json");
}

#[test]
fn undeclared_packages_come_along_and_dev_dependencies_do_not() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "devDependencies": {"dev": "1"}}"#,
    );
    system.file(
        "/p/index.js",
        "require('extra'); require('dev'); require('locked')",
    );
    system.file(
        "/p/package-lock.json",
        r#"{"packages": {"": {}, "node_modules/locked": {"version": "1.0.0", "dev": true}}}"#,
    );
    for name in ["extra", "dev", "locked"] {
        system.package(&format!("/p/node_modules/{name}"), "1.0.0", "");
    }
    let hosted = system.hosted("/p");
    assert!(companions(&hosted).contains_key("/app/node_modules/extra/index.js"));
    assert_eq!(hosted.companions.len(), 2);
    told(&hosted.notices, "extra (in index.js)");
    told(&hosted.notices, "dev (in index.js), locked (in index.js)");
}

#[test]
fn native_modules_are_objects_and_of_several_each_is_optional() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "dependencies": {"a": "1"}}"#,
    );
    system.file("/p/index.js", "");
    let package = "/p/node_modules/a";
    system.package(package, "1.0.0", "");
    for file in [
        "build/Release/a.node",
        "build/Release/obj.target/a.o",
        "lib/liba.so.1",
        "prebuilds/darwin-x64/a.node",
        "prebuilds/linux-x64/node.napi.node",
        "prebuilds/linux-x64/node.abi93.node",
        "prebuilds/linux-arm64/a.node",
    ] {
        system.file(&format!("{package}/{file}"), "");
    }
    system.program(&format!("{package}/bin/tool"), "");
    let hosted = system.hosted("/p");
    let all = companions(&hosted);
    let role = |file: &str| {
        all.get(&format!("/app/node_modules/a/{file}"))
            .map(|companion| companion.role)
    };
    if cfg!(target_arch = "x86_64") {
        assert_eq!(
            role("prebuilds/linux-x64/node.napi.node"),
            Some(Role::Optional)
        );
        assert_eq!(role("prebuilds/linux-arm64/a.node"), None);
    }
    assert_eq!(role("build/Release/a.node"), Some(Role::Object));
    assert_eq!(role("lib/liba.so.1"), Some(Role::Object));
    assert_eq!(role("bin/tool"), Some(Role::Object));
    assert_eq!(role("index.js"), Some(Role::Data));
    assert_eq!(role("build/Release/obj.target/a.o"), None);
    assert_eq!(role("prebuilds/darwin-x64/a.node"), None);
}

#[test]
fn the_start_script_gives_options_arguments_and_variables() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "scripts": {"start": "npm run prod", "prod": "cross-env A=1 node -r ./t --watch --no-warnings src/x --port '8 0'"}}"#,
    );
    system.file("/p/src/x.js", "");
    system.file("/p/t.js", "require('./t2')");
    system.file("/p/t2.js", "");
    let hosted = system.hosted("/p");
    assert_eq!(
        hosted.command,
        [
            "/usr/bin/node",
            "-r",
            "./t",
            "--no-warnings",
            "/app/src/x.js",
            "--port",
            "8 0"
        ]
    );
    assert!(hosted.env.contains(&("A".to_owned(), "1".to_owned())));
    told(&hosted.decisions, "`scripts.start`");
    told(&hosted.notices, "`--watch` is left out");
}

#[test]
fn the_start_script_may_start_a_program_of_a_package() {
    let system = System::new();
    let manifest = |start: &str| {
        let text = format!(
            r#"{{"scripts": {{"start": "{start}"}}, "dependencies": {{"serve": "1"}}, "devDependencies": {{"vite": "1"}}}}"#
        );
        system.file("/p/package.json", text);
    };
    system.package(
        "/p/node_modules/serve",
        "1.0.0",
        r#", "bin": {"serve-it": "bin/x.js"}"#,
    );
    system.program(
        "/p/node_modules/serve/bin/x.js",
        "#!/usr/bin/env -S node --no-warnings\n",
    );
    system.link("/p/node_modules/.bin/serve-it", "../serve/bin/x.js");
    manifest("serve-it -p 80");
    let hosted = system.hosted("/p");
    assert_eq!(
        hosted.command,
        [
            "/usr/bin/node",
            "--no-warnings",
            "/app/node_modules/serve/bin/x.js",
            "-p",
            "80"
        ]
    );
    assert!(
        paths(&hosted).contains(&"/app/node_modules/.bin/serve-it -> ../serve/bin/x.js".to_owned())
    );
    for (start, part) in [
        ("tsx src/x.ts", "compile it before (`npx tsc`)"),
        ("node --import tsx x.js", "compile it before"),
        ("nodemon x.js", "watches over the app"),
        ("a && b", "needs a shell"),
        ("vite", "vite is a dev dependency"),
        ("other", "no installed dependency has a program `other`"),
        ("npm run start", "starts itself"),
        ("node", "names no file"),
    ] {
        manifest(start);
        let message = system.message("/p");
        assert!(message.contains(part), "{start}: {message}");
    }
    // Where there is something else to run, that is taken.
    system.file("/p/index.js", "");
    assert_eq!(
        system.hosted("/p").command,
        ["/usr/bin/node", "/app/index.js"]
    );
}

#[test]
fn the_program_of_the_packages_own_name_comes_first() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "@s/p", "bin": {"other": "o.js", "p": "cli"}, "main": "index.js"}"#,
    );
    system.program("/p/cli", "#!/usr/bin/node --no-warnings\n");
    system.file("/p/index.js", "");
    assert_eq!(
        system.hosted("/p").command,
        ["/usr/bin/node", "--no-warnings", "/app/cli"]
    );
    system.file(
        "/p/package.json",
        r#"{"name": "q", "bin": {"other": "o.js", "p": "cli"}}"#,
    );
    assert_eq!(
        system.hosted("/p").command,
        ["/usr/bin/node", "/app/index.js"]
    );
    std::fs::remove_file(system.host("/p/index.js")).unwrap();
    assert!(
        system
            .message("/p")
            .contains("names several programs (other, p)")
    );
}

#[test]
fn an_entry_that_is_missing_or_lies_outside_is_told() {
    let system = System::new();
    let main = |main: &str| {
        let text = format!(r#"{{"name": "p", "main": "{main}", "scripts": {{"build": "tsc"}}}}"#);
        system.file("/p/package.json", text);
        system.message("/p")
    };
    assert_eq!(
        main("dist/x.js"),
        "/p/package.json: `main` names dist/x.js, which does not exist; build it first: `npm run build`"
    );
    system.file("/etc/passwd", "");
    assert!(main("../../etc/passwd").contains("lies outside of the project"));
    system.link("/p/x.js", "/etc/passwd");
    assert!(main("x.js").contains("lies outside of the project"));
    system.file("/q/package.json", "{}");
    assert!(system.message("/q").contains("says nowhere what to run"));
    system.file("/q/package.json", "{\n \"a\": }");
    assert!(system.message("/q").starts_with("/q/package.json:2:7: "));
}

#[test]
fn what_is_no_app_of_node_is_left_to_others_unless_asked_for() {
    let mut system = System::new();
    system.file("/x/a.py", "#!/usr/bin/python3\n");
    system.file("/x/deno.js", "#!/usr/bin/env deno\n");
    system.file("/x/film.ts", [0x47, 0, 0]);
    system.file("/x/qt.ts", "<?xml?>");
    system.file("/x/text", "console.log(1)");
    for path in [
        "/x",
        "/x/a.py",
        "/x/deno.js",
        "/x/film.ts",
        "/x/qt.ts",
        "/x/text",
        "/usr/bin/node",
        "/gone",
    ] {
        assert_eq!(system.recognise(path).unwrap(), None, "{path}");
    }
    system.runtime = RuntimeChoice::Only(Runtime::Node);
    assert_eq!(
        system.hosted("/x/text").command,
        ["/usr/bin/node", "/app/text"]
    );
    assert!(
        system
            .message("/x/a.py")
            .contains("is a script of another interpreter, which Node.js cannot run")
    );
    assert!(system.message("/usr/bin/node").contains("is a program"));
    assert!(
        system
            .message("/x")
            .contains("a directory without package.json")
    );
    assert!(system.message("/gone").contains("cannot be read"));
    system.runtime = RuntimeChoice::None;
    assert_eq!(system.recognise("/x/deno.js").unwrap(), None);
}

#[test]
fn typescript_needs_a_node_that_runs_it() {
    let system = System::new();
    system.file("/x/a.ts", "import type { A } from './b.ts'");
    assert!(
        system
            .message("/x/a.ts")
            .contains("from 22.18 on, and the one at /usr/bin/node is 20.19.2")
    );
    let version = "#define NODE_MAJOR_VERSION 22\n#define NODE_MINOR_VERSION 18\n#define NODE_PATCH_VERSION 0\n";
    system.file("/usr/include/node/node_version.h", version);
    assert_eq!(system.hosted("/x/a.ts").version, "22.18.0");
}

#[test]
fn a_node_of_a_home_directory_moves() {
    let system = System::empty();
    system.file("/p/a.js", "");
    assert!(
        system
            .message("/p/a.js")
            .contains("there is no `node` in /usr/local/bin:/usr/bin")
    );
    system.program("/home/me/.nvm/v20/bin/node", node());
    let path = OsString::from("/shims:/home/me/.nvm/v20/bin");
    let host = Host {
        variables: BTreeMap::from([(OsString::from("PATH"), path)]),
        scratch: PathBuf::from("/gone"),
        threads: 1,
    };
    // A shim that fails is passed over.
    system.program("/shims/node", "#!/bin/false\n");
    let hosted = system
        .recognise_on("/p/a.js", Some(&host))
        .unwrap()
        .unwrap();
    assert_eq!(hosted.command, ["/usr/local/bin/node", "/app/a.js"]);
    assert_eq!(
        hosted.roots,
        [Root::Program {
            path: "/usr/local/bin/node".into()
        }]
    );
    let all = companions(&hosted);
    let moved = all.get("/usr/local/bin/node").unwrap();
    assert_eq!(moved.entry.mode, 0o755);
    assert!(moved.source.ends_with("home/me/.nvm/v20/bin/node"));
    std::fs::remove_file(system.host("/home/me/.nvm/v20/bin/node")).unwrap();
    let error = system.recognise_on("/p/a.js", Some(&host)).unwrap_err();
    assert!(matches!(error, NodeError::Shim { .. }), "{error}");
}

#[test]
fn a_shim_is_asked_for_the_node_that_it_starts() {
    let system = System::empty();
    system.file("/p/a.js", "");
    system.program("/opt/node/bin/node", node());
    system.program(
        "/shims/node",
        "#!/bin/sh\n[ \"$1$2\" = -pprocess.execPath ] && echo /opt/node/bin/node\n",
    );
    let host = Host {
        variables: BTreeMap::from([(OsString::from("PATH"), OsString::from("/shims"))]),
        scratch: PathBuf::from("/gone"),
        threads: 1,
    };
    let hosted = system
        .recognise_on("/p/a.js", Some(&host))
        .unwrap()
        .unwrap();
    assert_eq!(hosted.command, ["/opt/node/bin/node", "/app/a.js"]);
    told(&hosted.decisions, "shims/node starts");
}

#[test]
fn debians_node_comes_with_the_files_that_it_names() {
    let system = System::new();
    system.file("/p/a.js", "");
    system.link(
        "/usr/share/nodejs/acorn/acorn.js",
        "../../javascript/acorn.js",
    );
    system.file("/usr/share/javascript/acorn.js", "");
    assert_eq!(
        paths(&system.hosted("/p/a.js")),
        [
            "/app/a.js",
            "/usr/share/javascript/acorn.js",
            "/usr/share/nodejs/acorn/acorn.js -> ../../javascript/acorn.js"
        ]
    );
}

#[test]
fn ignored_files_stay_unless_the_app_requires_them() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "main": "dist/x.js", "engines": {"node": ">=22"}}"#,
    );
    system.file("/p/.dockerignore", "dist\ntest\n");
    system.file("/p/dist/x.js", "require('./y')");
    system.file("/p/dist/y.js", "");
    system.file("/p/dist/z.js", "");
    system.file("/p/test/x.js", "");
    system.file("/p/old.oci/oci-layout", "{}");
    system.file("/p/image/oci-layout", "{}");
    std::fs::create_dir(system.host("/p/uploads")).unwrap();
    let hosted = system.hosted("/p");
    assert_eq!(
        paths(&hosted),
        [
            "/app/dist/x.js",
            "/app/dist/y.js",
            "/app/package.json",
            "/app/uploads"
        ]
    );
    told(
        &hosted.decisions,
        "because the app requires them: /app/dist/x.js, /app/dist/y.js",
    );
    told(
        &hosted.notices,
        "wants Node.js >=22 (`engines`), and the one found is 20.19.2",
    );
}

#[test]
fn hostile_trees_end_and_lead_nowhere() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "dependencies": {"a": "1"}}"#,
    );
    system.file("/p/index.js", "require('./loop')");
    system.link("/p/loop", "loop");
    system.link("/p/up", "..");
    system.link("/p/root", "/");
    system.link("/p/self", ".");
    system.package(
        "/p/node_modules/a",
        "1.0.0",
        r#", "dependencies": {"a": "1"}, "main": "../../../etc/x""#,
    );
    system.link("/p/node_modules/a/secret", "/etc/shadow");
    system.file("/etc/shadow", "");
    system.link("/p/node_modules/b", "b");
    let hosted = system.hosted("/p");
    assert_eq!(
        paths(&hosted),
        [
            "/app/index.js",
            "/app/node_modules/a/index.js",
            "/app/node_modules/a/package.json",
            "/app/package.json",
            "/app/self -> ."
        ]
    );
    told(&hosted.notices, "lead out of the app");
    for name in ["../../etc", "/etc", "a/../../b", "@s", ".bin", ""] {
        let text = format!(r#"{{"name": "p", "dependencies": {{"{name}": "1"}}}}"#);
        system.file("/p/package.json", text);
        assert!(
            system.message("/p").contains("is no name of a package"),
            "{name}"
        );
    }
}

#[test]
fn an_optional_peer_comes_along_only_where_another_brings_it() {
    let system = System::new();
    system.file("/p/index.js", "");
    let store = "/p/node_modules/.pnpm";
    let peers = r#", "peerDependencies": {"b": "1", "typescript": "5"},
        "peerDependenciesMeta": {"b": {"optional": true}, "typescript": {"optional": true}}"#;
    system.package(&format!("{store}/a@1/node_modules/a"), "1.0.0", peers);
    system.package(&format!("{store}/b@1/node_modules/b"), "1.0.0", "");
    system.package("/p/node_modules/typescript", "5.0.0", "");
    system.link("/p/node_modules/a", ".pnpm/a@1/node_modules/a");
    system.link(
        &format!("{store}/a@1/node_modules/b"),
        "../../b@1/node_modules/b",
    );
    let link = "/app/node_modules/.pnpm/a@1/node_modules/b -> ../../b@1/node_modules/b".to_owned();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "dependencies": {"a": "1"}}"#,
    );
    let hosted = system.hosted("/p");
    assert_eq!(hosted.companions.len(), 2, "{:?}", reasons(&hosted));
    assert!(!paths(&hosted).contains(&link));
    system.link("/p/node_modules/b", ".pnpm/b@1/node_modules/b");
    system.file(
        "/p/package.json",
        r#"{"name": "p", "dependencies": {"a": "1", "b": "1"}}"#,
    );
    assert!(paths(&system.hosted("/p")).contains(&link));
}

#[test]
fn native_code_that_was_not_compiled_is_told() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "dependencies": {"a": "1", "b": "1"}}"#,
    );
    system.file("/p/index.js", "");
    for name in ["a", "b"] {
        system.package(&format!("/p/node_modules/{name}"), "1.0.0", "");
        system.file(&format!("/p/node_modules/{name}/binding.gyp"), "");
    }
    system.file("/p/node_modules/b/build/Release/b.node", "");
    let notice = told(&system.hosted("/p").notices, "not compiled").to_owned();
    assert!(notice.contains(": a; `npm rebuild"), "{notice}");
}

#[test]
fn a_workspace_of_plug_and_play_is_refused_with_what_to_do() {
    let system = System::new();
    system.file(
        "/p/package.json",
        r#"{"name": "p", "dependencies": {"a": "1"}}"#,
    );
    system.file("/p/index.js", "");
    system.file("/p/yarn.lock", "");
    assert!(
        system
            .message("/p")
            .contains("run `yarn install --frozen-lockfile` in /p")
    );
    system.file("/p/.pnp.cjs", "");
    assert!(system.message("/p").contains("nodeLinker: node-modules"));
}

#[test]
fn a_start_script_that_names_a_file_to_be_built_is_not_passed_over() {
    let system = System::new();
    let text = r#"{"name": "p", "scripts": {"start": "node dist/main", "build": "tsc"}}"#;
    system.file("/p/package.json", text);
    system.file("/p/index.js", "");
    assert_eq!(
        system.message("/p"),
        "/p/package.json: `scripts.start` names dist/main, which does not exist; build it first: `npm run build`"
    );
}
