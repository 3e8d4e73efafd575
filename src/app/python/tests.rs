#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::app::companion::{Companion, Companions, Role};
use crate::app::hosted::{Host, RuntimeChoice};
use crate::rootfs::{Content, EntryKind};
use crate::sysroot::Directory;

/// What an interpreter is known by: nothing of it is run here.
const PROGRAM: &[u8] = b"\x7fELF\0";

/// A system with Python 3.11 as Debian has it.
struct System {
    root: tempfile::TempDir,
    sysroot: Directory,
}

impl System {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let sysroot = Directory::new(root.path()).unwrap();
        let system = Self { root, sysroot };
        system.python("/usr", "3.11");
        system.link("/usr/bin/python3", "python3.11");
        system.file("/usr/lib/python3/dist-packages/README.txt", b"");
        system
    }

    /// An interpreter with a small standard library.
    fn python(&self, prefix: &str, version: &str) {
        let library = format!("{prefix}/lib/python{version}");
        self.program(&format!("{prefix}/bin/python{version}"), PROGRAM);
        let digits = version.replace('.', "");
        for (name, text) in [
            ("os.py", "import stat\n"),
            ("stat.py", ""),
            ("json/__init__.py", "from . import decoder\n"),
            ("json/decoder.py", "def f():\n    import tkinter\n"),
            ("test/__init__.py", ""),
            ("unittest/__init__.py", ""),
            ("unittest/test/__init__.py", ""),
            ("tkinter/__init__.py", "import _tkinter\n"),
            ("distutils/__init__.py", ""),
            ("__pycache__/os.cpython-311.pyc", "stale"),
            ("config-3.11-x86_64-linux-gnu/libpython3.11.a", ""),
            ("EXTERNALLY-MANAGED", ""),
        ] {
            self.file(&format!("{library}/{name}"), text.as_bytes());
        }
        for module in ["_json", "_ssl", "_tkinter", "_testcapi"] {
            let name = format!("{module}.cpython-{digits}-x86_64-linux-gnu.so");
            self.file(&format!("{library}/lib-dynload/{name}"), PROGRAM);
        }
    }

    /// A virtual environment with the packages pip and web, of which web brings a program.
    fn environment(&self, root: &str) {
        let site = format!("{root}/lib/python3.11/site-packages");
        self.file(
            &format!("{root}/pyvenv.cfg"),
            format!(
                "home = /usr/bin\nversion = 3.11.2\ncommand = /usr/bin/python3 -m venv {root}\n"
            )
            .as_bytes(),
        );
        self.link(&format!("{root}/bin/python"), "/usr/bin/python3");
        self.link(&format!("{root}/lib64"), "lib");
        self.script(
            &format!("{root}/bin/web"),
            &format!("#!{root}/bin/python\nfrom web.cli import main\nmain()\n"),
        );
        self.script(
            &format!("{root}/bin/pip"),
            &format!("#!{root}/bin/python\nfrom pip import main\n"),
        );
        for (name, text) in [
            ("web/__init__.py", "import json\n"),
            ("web/cli.py", "import web.core\n"),
            ("web/core.cpython-311-x86_64-linux-gnu.so", "\x7fELF"),
            ("web/core.cpython-310-x86_64-linux-gnu.so", "\x7fELF"),
            ("web/page.html", "<p>"),
            ("web.libs/libz-1234.so.1", "\x7fELF"),
            ("web/__pycache__/cli.cpython-311.pyc", "stale"),
            ("web-1.0.dist-info/METADATA", "Name: web\n"),
            (
                "web-1.0.dist-info/RECORD",
                "web/__init__.py,,\nweb/cli.py,,\nweb/page.html,,\nweb.libs/libz-1234.so.1,,\n\
                 web/core.cpython-311-x86_64-linux-gnu.so,,\nweb-1.0.dist-info/METADATA,,\n\
                 web-1.0.dist-info/RECORD,,\n../../../bin/web,,\n",
            ),
            ("web-1.0.dist-info/INSTALLER", "pip"),
            ("pip/__init__.py", ""),
            ("pip-23.0.dist-info/METADATA", "Name: pip\n"),
            (
                "pip-23.0.dist-info/RECORD",
                "pip/__init__.py,,\npip-23.0.dist-info/METADATA,,\n../../../bin/pip,,\n",
            ),
        ] {
            self.file(&format!("{site}/{name}"), text.as_bytes());
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(&path[1..])
    }

    fn file(&self, path: &str, content: &[u8]) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
    }

    fn program(&self, path: &str, content: &[u8]) {
        self.file(path, content);
        std::fs::set_permissions(self.at(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn script(&self, path: &str, content: &str) {
        self.program(path, content.as_bytes());
    }

    fn link(&self, path: &str, says: &str) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(says, path).unwrap();
    }

    fn look(
        &self,
        path: &str,
        runtime: RuntimeChoice,
        host: Option<&Host>,
    ) -> Result<Option<Hosted>, PythonError> {
        let search = ["/usr/local/bin", "/usr/bin"].map(PathBuf::from);
        let scene = Scene {
            sysroot: &self.sysroot,
            search: &search,
            runtime,
            shell: false,
            host,
            ground: None,
        };
        recognise(&scene, Path::new(path))
    }

    fn app(&self, path: &str) -> Hosted {
        self.look(path, RuntimeChoice::Auto, None).unwrap().unwrap()
    }

    /// The message, with the sysroot's own directory left out.
    fn message(&self, path: &str, runtime: RuntimeChoice) -> String {
        let message = self.look(path, runtime, None).unwrap_err().to_string();
        message.replace(self.sysroot.path().to_str().unwrap(), "")
    }
}

const PYTHON: RuntimeChoice = RuntimeChoice::Only(Runtime::Python);

fn companions(app: &Hosted) -> BTreeMap<String, &Companion> {
    let files = app.companions.iter().flat_map(|group| &group.files);
    files
        .map(|companion| (companion.path.to_string(), companion))
        .collect()
}

fn has(app: &Hosted, path: &str) -> bool {
    companions(app).contains_key(path)
}

fn content(app: &Hosted, path: &str) -> String {
    match &companions(app)[path].entry.kind {
        EntryKind::File(Content::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        EntryKind::File(Content::Host { path, .. }) => std::fs::read_to_string(path).unwrap(),
        EntryKind::Symlink(says) => format!("-> {}", says.display()),
        other => panic!("{other:?}"),
    }
}

fn reasons(app: &Hosted) -> Vec<&str> {
    let groups: &[Companions] = &app.companions;
    groups.iter().map(|group| group.reason.as_str()).collect()
}

#[test]
fn a_script_brings_what_it_imports_beside_it_and_nothing_else() {
    let system = System::new();
    system.script(
        "/home/me/app.py",
        "#!/usr/bin/env -S MODE=fast python3 -u\nimport near, pack.deep, space.x, json\n",
    );
    system.file("/home/me/near.py", b"");
    system.file("/home/me/far.py", b"");
    system.file("/home/me/pack/__init__.py", b"");
    system.file("/home/me/pack/deep.py", b"");
    system.file("/home/me/pack/data.txt", b"");
    system.file("/home/me/pack/.git/config", b"");
    system.file("/home/me/space/x.py", b"");
    system.file("/home/me/secret.txt", b"");
    let app = system.app("/home/me/app.py");
    assert_eq!(app.command, ["/usr/bin/python3.11", "-u", "/app/app.py"]);
    assert!(app.env.contains(&("MODE".into(), "fast".into())));
    let own: Vec<String> = companions(&app)
        .into_keys()
        .filter(|path| path.starts_with("/app"))
        .collect();
    assert_eq!(
        own,
        [
            "/app/app.py",
            "/app/near.py",
            "/app/pack/__init__.py",
            "/app/pack/data.txt",
            "/app/pack/deep.py",
            "/app/space/x.py",
        ]
    );
    assert!(app.hidden.is_empty());
    assert_eq!(app.version, "3.11");
}

#[test]
fn the_standard_library_comes_without_what_only_developers_need() {
    let system = System::new();
    system.file("/srv/app.py", b"import json, _json\n");
    let app = system.app("/srv/app.py");
    let library = |name: &str| has(&app, &format!("/usr/lib/python3.11/{name}"));
    for name in ["os.py", "json/decoder.py", "unittest/__init__.py"] {
        assert!(library(name), "{name}");
    }
    for name in [
        "test/__init__.py",
        "unittest/test/__init__.py",
        "tkinter/__init__.py",
        "distutils/__init__.py",
        "config-3.11-x86_64-linux-gnu/libpython3.11.a",
        "__pycache__/os.cpython-311.pyc",
        "EXTERNALLY-MANAGED",
    ] {
        assert!(!library(name), "{name}");
    }
    let extension = |name: &str| {
        let name =
            format!("/usr/lib/python3.11/lib-dynload/{name}.cpython-311-x86_64-linux-gnu.so");
        companions(&app).get(&name).map(|companion| companion.role)
    };
    assert_eq!(extension("_json"), Some(Role::Object));
    assert_eq!(extension("_ssl"), Some(Role::Optional));
    assert_eq!(extension("_tkinter"), None);
    assert_eq!(extension("_testcapi"), None);
}

#[test]
fn what_is_imported_comes_even_if_others_do_without_it() {
    let system = System::new();
    system.file("/srv/app.py", b"def f():\n    import tkinter, distutils\n");
    let app = system.app("/srv/app.py");
    for name in [
        "tkinter/__init__.py",
        "distutils/__init__.py",
        "lib-dynload/_tkinter.cpython-311-x86_64-linux-gnu.so",
    ] {
        assert!(has(&app, &format!("/usr/lib/python3.11/{name}")), "{name}");
    }
}

#[test]
fn a_program_of_an_environment_runs_in_it() {
    let system = System::new();
    system.environment("/home/me/venv");
    let app = system.app("/home/me/venv/bin/web");
    assert_eq!(app.command, ["/app/venv/bin/python", "/app/venv/bin/web"]);
    assert_eq!(app.version, "3.11.2");
    let path = app.env.iter().find(|(name, _)| name == "PATH").unwrap();
    assert_eq!(path.1, "/app/venv/bin:/usr/local/bin:/usr/bin");
    assert_eq!(
        content(&app, "/app/venv/bin/web"),
        "#!/app/venv/bin/python\nfrom web.cli import main\nmain()\n"
    );
    assert_eq!(
        content(&app, "/app/venv/bin/python"),
        "-> /usr/bin/python3.11"
    );
    assert_eq!(content(&app, "/app/venv/lib64"), "-> lib");
    assert_eq!(
        content(&app, "/app/venv/pyvenv.cfg"),
        "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n"
    );
    let site = |name: &str| {
        has(
            &app,
            &format!("/app/venv/lib/python3.11/site-packages/{name}"),
        )
    };
    assert!(site("web/page.html") && site("web-1.0.dist-info/METADATA"));
    assert!(site("web/core.cpython-311-x86_64-linux-gnu.so"));
    for name in [
        "web/core.cpython-310-x86_64-linux-gnu.so",
        "web/__pycache__/cli.cpython-311.pyc",
        "web-1.0.dist-info/RECORD",
        "web-1.0.dist-info/INSTALLER",
        "pip/__init__.py",
        "pip-23.0.dist-info/METADATA",
    ] {
        assert!(!site(name), "{name}");
    }
    assert!(!has(&app, "/app/venv/bin/pip"));
    let vendored = "/app/venv/lib/python3.11/site-packages/web.libs/libz-1234.so.1";
    assert_eq!(companions(&app)[vendored].role, Role::Object);
    assert!(reasons(&app).contains(&"the package web 1.0"));
    assert_eq!(app.hidden, [ImagePath::new("/home/me/venv").unwrap()]);
    assert!(app.decisions[0].starts_with("Python 3.11.2 of the virtual environment"));
    assert!(
        app.decisions
            .iter()
            .any(|text| text.starts_with("pip stays out"))
    );
}

#[test]
fn pip_comes_when_it_is_imported() {
    let system = System::new();
    system.environment("/srv/.venv");
    system.file("/srv/app.py", b"import pip\n");
    let app = system.app("/srv/app.py");
    assert!(has(
        &app,
        "/app/venv/lib/python3.11/site-packages/pip/__init__.py"
    ));
    assert!(
        app.decisions
            .iter()
            .all(|text| !text.contains("out, because"))
    );
}

#[test]
fn an_environment_is_the_same_wherever_it_was_made() {
    let system = System::new();
    system.environment("/home/me/venv");
    system.environment("/tmp/x/y/env");
    let facts = |root: &str| -> Vec<(String, u32, String, Role)> {
        let app = system.app(&format!("{root}/bin/web"));
        let all = companions(&app);
        all.iter()
            .map(|(path, companion)| {
                let content = content(&app, path);
                (path.clone(), companion.entry.mode, content, companion.role)
            })
            .collect()
    };
    assert_eq!(facts("/home/me/venv"), facts("/tmp/x/y/env"));
}

#[test]
fn the_trampoline_of_a_long_path_is_rewritten() {
    let system = System::new();
    system.environment("/srv/venv");
    system.script(
        "/srv/venv/bin/web",
        "#!/bin/sh\n'''exec' \"/srv/venv/bin/python\" \"$0\" \"$@\"\n' '''\nimport web\n",
    );
    let app = system.app("/srv/venv/bin/web");
    assert_eq!(
        content(&app, "/app/venv/bin/web"),
        "#!/app/venv/bin/python\nimport web\n"
    );
}

#[test]
fn an_interpreter_in_a_home_directory_moves() {
    let system = System::new();
    let prefix = "/home/me/.pyenv/versions/3.12.4";
    system.python(prefix, "3.12");
    system.file(
        &format!("{prefix}/lib/python3.12/site-packages/six.py"),
        b"",
    );
    system.file(
        &format!("{prefix}/lib/python3.12/site-packages/seven.py"),
        b"",
    );
    system.script(
        "/home/me/app.py",
        &format!("#!{prefix}/bin/python3.12\nimport six\n"),
    );
    let app = system.app("/home/me/app.py");
    assert_eq!(app.command, ["/usr/local/bin/python3.12", "/app/app.py"]);
    assert_eq!(app.version, "3.12.4");
    assert!(has(&app, "/usr/local/bin/python3.12"));
    assert!(has(&app, "/usr/local/lib/python3.12/os.py"));
    assert!(has(&app, "/usr/local/lib/python3.12/site-packages/six.py"));
    assert!(!has(
        &app,
        "/usr/local/lib/python3.12/site-packages/seven.py"
    ));
    assert_eq!(app.hidden, [ImagePath::new(prefix).unwrap()]);
    let (here, there) = &app.moved[0];
    assert_eq!(
        (here, there.to_string().as_str()),
        (&system.at(prefix), "/usr/local")
    );
}

#[test]
fn a_package_is_run_by_its_name_from_where_it_is() {
    let system = System::new();
    for (name, text) in [
        ("outer/__init__.py", ""),
        ("outer/tool/__init__.py", ""),
        (
            "outer/tool/__main__.py",
            "from ..base import x\nimport beside, nowhere\n",
        ),
        ("outer/base.py", ""),
        ("outer/.env", "PASSWORD=1"),
        ("outer/node_modules/x.js", ""),
        ("beside.py", ""),
        ("unrelated.py", ""),
    ] {
        system.file(&format!("/home/me/{name}"), text.as_bytes());
    }
    let app = system.app("/home/me/outer/tool");
    assert_eq!(app.command, ["/usr/bin/python3.11", "-m", "outer.tool"]);
    assert_eq!(app.workdir, Some(ImagePath::new("/app").unwrap()));
    assert!(has(&app, "/app/outer/base.py") && has(&app, "/app/beside.py"));
    assert!(!has(&app, "/app/unrelated.py"));
    assert!(!has(&app, "/app/outer/.env") && !has(&app, "/app/outer/node_modules/x.js"));
    assert!(app.notices[0].contains("outer/.env") && app.notices[0].contains("node_modules"));
    assert!(app.notices[1].contains("not found: nowhere;"));
}

#[test]
fn an_environment_stands_beside_a_package_or_in_it() {
    let system = System::new();
    system.environment("/home/one/.venv");
    system.file("/home/one/tool/__init__.py", b"");
    system.file("/home/one/tool/__main__.py", b"");
    system.environment("/home/two/venv");
    system.file("/home/two/__main__.py", b"");
    let app = system.app("/home/one/tool");
    assert_eq!(app.command, ["/app/venv/bin/python", "-m", "tool"]);
    let app = system.app("/home/two");
    assert_eq!(app.command, ["/app/venv/bin/python", "/app/two"]);
    assert!(!has(&app, "/app/two/venv/pyvenv.cfg"));
}

#[test]
fn a_directory_without_init_is_run_by_its_path() {
    let system = System::new();
    system.file("/home/me/tool/__main__.py", b"import part\n");
    system.file("/home/me/tool/part.py", b"");
    let app = system.app("/home/me/tool");
    assert_eq!(app.command, ["/usr/bin/python3.11", "/app/tool"]);
    assert!(has(&app, "/app/tool/part.py"));
}

#[test]
fn a_package_is_run_by_its_path_when_its_main_module_imports_from_beside_itself() {
    let system = System::new();
    system.file("/home/me/tool/__init__.py", b"");
    system.file("/home/me/tool/words.py", b"");
    system.file("/home/me/tool/abc.py", b"");
    let main = |text: &str| {
        system.file("/home/me/tool/__main__.py", text.as_bytes());
        system.app("/home/me/tool")
    };
    let app = main("import words\n");
    assert_eq!(app.command, ["/usr/bin/python3.11", "/app/tool"]);
    assert!(has(&app, "/app/tool/words.py"));
    assert!(
        app.decisions[1].starts_with("`python tool` runs it, not `python -m tool`, because"),
        "{:?}",
        app.decisions
    );
    let as_package = ["/usr/bin/python3.11", "-m", "tool"];
    for text in [
        "from .words import x\nimport words",
        "import tool.words",
        "import os",
    ] {
        assert_eq!(main(text).command, as_package, "{text}");
    }
    // One of the standard library is found by a package, too.
    system.file("/usr/lib/python3.11/abc.py", b"");
    assert_eq!(main("import abc\n").command, as_package);
    // A name that `python -m` cannot say matters only for what names the package.
    system.file("/home/me/my-tool/__init__.py", b"");
    system.file("/home/me/my-tool/__main__.py", b"import os\n");
    let app = system.app("/home/me/my-tool");
    assert_eq!(app.command, ["/usr/bin/python3.11", "/app/my-tool"]);
    system.file("/home/me/my-tool/__main__.py", b"from . import x\n");
    let message = system.message("/home/me/my-tool", RuntimeChoice::Auto);
    assert!(
        message.contains("is no name of a Python package"),
        "{message}"
    );
}

#[test]
fn modules_that_strings_of_the_app_name_come_along() {
    let system = System::new();
    for (name, text) in [
        (
            "manage.py",
            "set('SETTINGS', 'site1.settings')\nrun('server:app', 'unrelated', 'os.path')\n",
        ),
        ("site1/__init__.py", ""),
        (
            "site1/settings.py",
            "APPS = ['polls.apps.PollsConfig', 'blog']\n",
        ),
        ("polls/__init__.py", ""),
        ("polls/apps.py", ""),
        ("blog/__init__.py", ""),
        ("server.py", ""),
        ("unrelated.py", ""),
    ] {
        system.file(&format!("/home/me/{name}"), text.as_bytes());
    }
    let app = system.app("/home/me/manage.py");
    for name in [
        "site1/settings.py",
        "polls/apps.py",
        "blog/__init__.py",
        "server.py",
    ] {
        assert!(has(&app, &format!("/app/{name}")), "{name}");
    }
    assert!(!has(&app, "/app/unrelated.py"));
}

#[test]
fn editable_installs_come_along_and_are_found() {
    let system = System::new();
    system.environment("/home/me/.venv");
    let site = "/home/me/.venv/lib/python3.11/site-packages";
    system.file("/home/me/lib/pyproject.toml", b"");
    system.file("/home/me/lib/src/one/__init__.py", b"");
    system.file("/home/me/lib/src/one/data.txt", b"");
    system.file("/home/flat/setup.py", b"");
    system.file("/home/flat/two/__init__.py", b"");
    system.file("/home/flat/tests/__init__.py", b"");
    system.file(
        &format!("{site}/one.pth"),
        b"/home/me/lib/src\n/home/gone\n",
    );
    system.file(
        &format!("{site}/__editable__.two-1.pth"),
        b"import __editable___two_1_finder; __editable___two_1_finder.install()\n",
    );
    system.file(
        &format!("{site}/__editable___two_1_finder.py"),
        b"MAPPING: dict[str, str] = {'two': '/home/flat/two'}\nNAMESPACES = {}\n",
    );
    system.file("/home/me/app.py", b"import one, two\n");
    let app = system.app("/home/me/app.py");
    let image = "/app/venv/lib/python3.11/site-packages";
    assert_eq!(content(&app, &format!("{image}/one.pth")), "/app/lib/src\n");
    assert_eq!(
        content(&app, &format!("{image}/__editable___two_1_finder.py")),
        "MAPPING: dict[str, str] = {'two': '/app/flat/two'}\nNAMESPACES = {}\n"
    );
    assert!(has(&app, "/app/lib/src/one/data.txt"));
    assert!(has(&app, "/app/flat/two/__init__.py"));
    assert!(!has(&app, "/app/flat/tests/__init__.py"));
    assert!(
        app.notices.iter().any(|text| text.contains("/home/gone")),
        "{:?}",
        app.notices
    );
    assert!(
        app.notices.iter().all(|text| !text.contains("not found")),
        "{:?}",
        app.notices
    );
}

#[test]
fn of_the_systems_packages_come_those_that_are_imported_with_their_metadata() {
    let system = System::new();
    let site = "/usr/lib/python3/dist-packages";
    for (name, text) in [
        ("yaml/__init__.py", "import _yaml\n"),
        ("yaml/data.bin", ""),
        ("_yaml.cpython-311-x86_64-linux-gnu.so", "x\0_speedup\0"),
        ("_speedup.cpython-311-x86_64-linux-gnu.so", ""),
        ("_other.cpython-311-x86_64-linux-gnu.so", ""),
        ("PyYAML-6.0.dist-info/METADATA", ""),
        ("PyYAML-6.0.dist-info/top_level.txt", "yaml\n_yaml\n"),
        ("apt/__init__.py", ""),
    ] {
        system.file(&format!("{site}/{name}"), text.as_bytes());
    }
    system.file("/srv/app.py", b"import yaml\n");
    let app = system.app("/srv/app.py");
    let names: Vec<String> = companions(&app)
        .into_keys()
        .filter_map(|path| Some(path.strip_prefix(site)?.to_owned()))
        .collect();
    assert_eq!(
        names,
        [
            "/PyYAML-6.0.dist-info/METADATA",
            "/PyYAML-6.0.dist-info/top_level.txt",
            "/_speedup.cpython-311-x86_64-linux-gnu.so",
            "/_yaml.cpython-311-x86_64-linux-gnu.so",
            "/yaml/__init__.py",
            "/yaml/data.bin",
        ]
    );
    assert!(reasons(&app).contains(&"the package PyYAML 6.0"));
}

#[test]
fn a_zipapp_brings_what_the_sources_in_it_import() {
    let system = System::new();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("__main__.py", stored).unwrap();
    archive.write_all(b"import tkinter, own, gone\n").unwrap();
    archive.start_file("own.py", stored).unwrap();
    let mut bytes = b"#!/usr/bin/env python3\n".to_vec();
    bytes.extend(archive.finish().unwrap().into_inner());
    system.program("/home/me/tool", &bytes);
    let app = system.app("/home/me/tool");
    assert_eq!(app.command, ["/usr/bin/python3.11", "/app/tool"]);
    assert!(has(&app, "/usr/lib/python3.11/tkinter/__init__.py"));
    assert!(
        app.notices[0].contains("not found: gone;"),
        "{:?}",
        app.notices
    );
    system.file("/home/me/bad.pyz", b"PK\x03\x04 and no more");
    let message = system.message("/home/me/bad.pyz", RuntimeChoice::Auto);
    assert!(
        message.starts_with("/home/me/bad.pyz: is no good zipapp: "),
        "{message}"
    );
}

#[test]
fn what_is_no_python_is_left_to_others_unless_it_was_asked_for() {
    let system = System::new();
    system.script("/srv/run", "#!/bin/sh\nexit\n");
    system.script("/srv/odd.py", "#!/usr/bin/pypy3\n");
    system.script("/srv/page.js", "x\n");
    system.file("/srv/dir/x.py", b"");
    for path in [
        "/srv/run",
        "/srv/odd.py",
        "/srv/page.js",
        "/srv/dir",
        "/srv/none",
        "/usr/bin/python3",
    ] {
        let found = system.look(path, RuntimeChoice::Auto, None).unwrap();
        assert!(found.is_none(), "{path}");
    }
    assert!(
        system
            .message("/usr/bin/python3", PYTHON)
            .contains("is no Python app")
    );
    assert!(
        system
            .message("/srv/dir", PYTHON)
            .contains("has no __main__.py")
    );
    assert!(system.look("/srv/page.js", PYTHON, None).unwrap().is_some());
}

#[test]
fn an_environment_as_a_whole_is_refused_with_its_programs() {
    let system = System::new();
    system.environment("/srv/venv");
    assert_eq!(
        system.message("/srv/venv", RuntimeChoice::Auto),
        "/srv/venv: is a virtual environment, not a program; give one of its programs: \
         /srv/venv/bin/web"
    );
}

#[test]
fn an_environment_whose_python_is_gone_or_another_is_refused() {
    let system = System::new();
    system.environment("/srv/venv");
    let configuration = "home = /opt/py/bin\nversion = 3.11.2\n";
    system.file("/srv/venv/pyvenv.cfg", configuration.as_bytes());
    std::fs::remove_file(system.at("/srv/venv/bin/python")).unwrap();
    let message = system.message("/srv/venv/bin/web", RuntimeChoice::Auto);
    assert!(
        message.contains("/opt/py/bin/python3.11, is gone; install it again"),
        "{message}"
    );
    system.file(
        "/srv/venv/pyvenv.cfg",
        b"home = /usr/bin\nversion = 3.9.2\n",
    );
    let message = system.message("/srv/venv/bin/web", RuntimeChoice::Auto);
    assert!(
        message.contains("was made for Python 3.9.2, but"),
        "{message}"
    );
    system.file("/srv/venv/pyvenv.cfg", b"version = 3.9.2\n");
    let message = system.message("/srv/venv/bin/web", RuntimeChoice::Auto);
    assert!(
        message.contains("has no line `home = DIRECTORY`"),
        "{message}"
    );
}

#[test]
fn interpreters_that_cannot_be_used_are_told() {
    let system = System::new();
    for (line, expected) in [
        (
            "#!/opt/python3",
            "/opt/python3 of its `#!` line does not exist",
        ),
        (
            "#!/usr/bin/python2",
            "its interpreter /usr/bin/python2 is Python 2",
        ),
        (
            "#!/usr/bin/env python3.9",
            "no python3.9 in /usr/local/bin:/usr/bin",
        ),
        (
            "#!/lost/bin/python3.11",
            "the standard library of this interpreter is not found",
        ),
        ("#!/sh/bin/python3", "is no CPython program"),
    ] {
        system.program("/lost/bin/python3.11", PROGRAM);
        system.program("/sh/bin/python3", b"#!/bin/sh\n");
        system.script("/srv/app", &format!("{line}\n"));
        let message = system.message("/srv/app", RuntimeChoice::Auto);
        // Directories of the search are shown in the sysroot, too.
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn the_environment_that_is_active_and_the_shims_of_pyenv_count_on_the_building_machine_only() {
    let system = System::new();
    system.environment("/home/venv");
    let pyenv = "/home/.pyenv";
    system.python(&format!("{pyenv}/versions/3.10.9"), "3.10");
    system.python(&format!("{pyenv}/versions/3.10.13"), "3.10");
    system.link(
        &format!("{pyenv}/versions/3.10.9/bin/python3"),
        "python3.10",
    );
    system.link(
        &format!("{pyenv}/versions/3.10.13/bin/python3"),
        "python3.10",
    );
    system.script(
        &format!("{pyenv}/shims/python3"),
        "#!/usr/bin/env bash\nexec pyenv exec\n",
    );
    system.file("/srv/.python-version", b"3.10\n");
    system.file("/srv/app.py", b"");
    let scratch = tempfile::tempdir().unwrap();
    let host = |variables: &[(&str, &str)]| Host {
        variables: variables
            .iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        scratch: scratch.path().to_path_buf(),
        threads: 2,
    };
    let version = |host: Option<&Host>| {
        let app = system.look("/srv/app.py", RuntimeChoice::Auto, host);
        app.unwrap().unwrap().version
    };
    assert_eq!(version(None), "3.11");
    assert_eq!(
        version(Some(&host(&[("VIRTUAL_ENV", "/home/venv")]))),
        "3.11.2"
    );
    let path = ("PATH", "/home/.pyenv/shims:/usr/bin");
    assert_eq!(version(Some(&host(&[path]))), "3.10.13");
    assert_eq!(
        version(Some(&host(&[path, ("PYENV_VERSION", "3.10.9")]))),
        "3.10.9"
    );
    assert_eq!(
        version(Some(&host(&[path, ("PYENV_VERSION", "system")]))),
        "3.11"
    );
}

#[test]
fn an_environment_above_the_app_counts_up_to_the_root_of_its_project() {
    let system = System::new();
    system.environment("/home/me/.venv");
    system.file("/home/me/a/b/app.py", b"");
    assert_eq!(system.app("/home/me/a/b/app.py").version, "3.11");
    system.file("/home/me/pyproject.toml", b"");
    assert_eq!(system.app("/home/me/a/b/app.py").version, "3.11.2");
    system.file("/home/me/a/pyproject.toml", b"");
    assert_eq!(system.app("/home/me/a/b/app.py").version, "3.11");
}

#[test]
fn links_in_circles_end() {
    let system = System::new();
    system.file("/home/tool/__main__.py", b"");
    system.file("/home/other/x.txt", b"");
    system.link("/home/tool/self", ".");
    system.link("/home/tool/up", "/home");
    system.link("/home/tool/other", "/home/other");
    system.link("/home/other/back", "/home/tool");
    system.link("/home/tool/loop", "loop");
    let app = system.app("/home/tool");
    assert_eq!(content(&app, "/app/tool/self"), "-> .");
    assert!(has(&app, "/app/tool/other/x.txt"));
    assert!(!has(&app, "/app/tool/other/back/__main__.py"));
}

#[test]
fn threads_change_nothing() {
    let system = System::new();
    for number in 0..40 {
        system.file(
            &format!("/srv/m{number}.py"),
            format!("import m{}, m{}\n", (number + 1) % 40, (number * 7) % 40).as_bytes(),
        );
    }
    let all: Vec<String> = (0..40).map(|number| format!("m{number}")).collect();
    system.file(
        "/srv/app.py",
        format!("import {}\n", all.join(", ")).as_bytes(),
    );
    let scratch = tempfile::tempdir().unwrap();
    let with = |threads| {
        let host = Host {
            variables: BTreeMap::new(),
            scratch: scratch.path().to_path_buf(),
            threads,
        };
        system
            .look("/srv/app.py", RuntimeChoice::Auto, Some(&host))
            .unwrap()
            .unwrap()
    };
    assert_eq!(with(1), with(5));
}
