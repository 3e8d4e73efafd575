//! Apps in Python: with their packages, their interpreter, and no more of it than they need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::container::Bundle;
use crate::image::{Image, contents};
use crate::kept::{copy, fetch, kept, write};
use crate::tools::{run, tool};
use crate::workshop::{Workshop, assert_tells};

/// Flask with all that it needs.
const FLASK: &[&str] = &[
    "blinker==1.9.0",
    "click==8.1.8",
    "flask==3.1.0",
    "gunicorn==23.0.0",
    "itsdangerous==2.2.0",
    "jinja2==3.1.6",
    "markupsafe==3.0.2",
    "packaging==24.2",
    "werkzeug==3.1.3",
];

/// Two packages of extension modules that have libraries of their own.
const SCIENCE: &[&str] = &[
    "numpy==2.2.6",
    "pandas==2.2.3",
    "python-dateutil==2.9.0.post0",
    "pytz==2025.2",
    "six==1.17.0",
    "tzdata==2025.2",
];

const NUMPY: &[&str] = &["numpy==2.2.6"];

const PIP: &str = "pip==25.0.1";

/// A project with a console script, a template beside its module, and a Flask app.
const GREETER: [(&str, &str); 3] = [
    (
        "pyproject.toml",
        r#"[build-system]
requires = ["setuptools==80.9.0"]
build-backend = "setuptools.build_meta"

[project]
name = "greeter"
version = "1.0"

[project.scripts]
greeter = "greeter:main"

[tool.setuptools.package-data]
greeter = ["templates/*"]
"#,
    ),
    (
        "src/greeter/__init__.py",
        r#"import importlib.metadata
import os

from flask import Flask, render_template

app = Flask(__name__)


@app.get("/")
def hello():
    return render_template(
        "hello.html", flask=importlib.metadata.version("flask"), user=os.getuid()
    )


def main():
    app.run(host="0.0.0.0", port=8080)
"#,
    ),
    (
        "src/greeter/templates/hello.html",
        "<p>hello from Flask {{ flask }}, user {{ user }}</p>",
    ),
];

const GREETING: &str = "<p>hello from Flask 3.1.0, user 65532</p>";

/// Debian's interpreter.
fn debian() -> PathBuf {
    PathBuf::from("/usr/bin/python3")
}

/// `X.Y.Z` of an interpreter.
fn version(python: &Path) -> String {
    let script = "import platform; print(platform.python_version())";
    run(Command::new(python).args(["-c", script])).output()
}

/// Fills `directory` with an environment of `python` with these requirements.
fn environment(python: &Path, directory: &Path, requirements: &[&str]) {
    run(Command::new(python)
        .args(["-m", "venv", "--without-pip"])
        .arg(directory))
    .output();
    if !requirements.is_empty() {
        install(directory, requirements);
    }
}

/// Installs into an environment, by a `pip` that is no part of it.
fn install(environment: &Path, arguments: &[&str]) {
    let recipe = format!("{} {PIP}", version(&debian()));
    let home = kept("pip", &recipe, |directory| {
        run(tool("python3").args(["-m", "venv"]).arg(directory)).output();
        // Debian's own one does not run in newer interpreters.
        fetch(pip(directory).args(["install", "--quiet", PIP]));
    });
    fetch(
        pip(&home)
            .arg("--python")
            .arg(environment.join("bin/python"))
            .args(["install", "--quiet"])
            .args(arguments),
    );
}

/// The `pip` of an environment.
fn pip(home: &Path) -> Command {
    let mut pip = Command::new(home.join("bin/python"));
    pip.args(["-m", "pip", "--no-input", "--disable-pip-version-check"]);
    pip
}

/// A text that changes with all that an environment is made of.
fn recipe(python: &Path, requirements: &[&str]) -> String {
    format!(
        "{} {} {requirements:?} {GREETER:?}",
        python.display(),
        version(python)
    )
}

/// A project directory in which `.venv` has Flask and the installed `greeter`.
fn flask() -> &'static Path {
    static PROJECT: OnceLock<PathBuf> = OnceLock::new();
    PROJECT.get_or_init(|| {
        kept("python-flask", &recipe(&debian(), FLASK), |project| {
            for (name, text) in GREETER {
                write(project, name, text);
            }
            environment(&debian(), &project.join(".venv"), FLASK);
            install(&project.join(".venv"), &[project.to_str().unwrap()]);
        })
    })
}

/// An environment of Debian's interpreter with numpy and pandas.
fn science() -> &'static Path {
    static ENVIRONMENT: OnceLock<PathBuf> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        kept("python-science", &recipe(&debian(), SCIENCE), |directory| {
            environment(&debian(), &directory.join(".venv"), SCIENCE)
        })
    })
}

/// An interpreter that is not Debian's: pyenv's newest for which there is a numpy, otherwise
/// Debian's moved to a prefix of its own, where it finds its library just as well.
fn other_python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let pyenv = std::env::var_os("PYENV_ROOT").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".pyenv"),
            PathBuf::from,
        );
        let versions = fs::read_dir(pyenv.join("versions")).into_iter().flatten();
        let newest = versions
            .map(|entry| entry.unwrap().path())
            .filter_map(|version| {
                let name = version.file_name()?.to_str()?.strip_prefix("3.")?;
                let minor: u32 = name.split('.').next()?.parse().ok()?;
                (10..=13).contains(&minor).then_some((minor, version))
            })
            .max();
        newest.map_or_else(moved_python, |(_, version)| version.join("bin/python3"))
    })
}

/// Debian's interpreter with its library in another prefix.
fn moved_python() -> PathBuf {
    let original = fs::canonicalize(debian()).unwrap();
    let name = original.file_name().unwrap().to_owned();
    let prefix = kept("python-moved", &version(&debian()), |prefix| {
        for directory in ["bin", "lib"] {
            fs::create_dir(prefix.join(directory)).unwrap();
        }
        copy(&original, &prefix.join("bin"));
        copy(&Path::new("/usr/lib").join(&name), &prefix.join("lib"));
    });
    prefix.join("bin").join(name)
}

/// An environment of [`other_python`] with numpy.
fn other_science() -> &'static Path {
    static ENVIRONMENT: OnceLock<PathBuf> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let python = other_python();
        kept("python-other", &recipe(python, NUMPY), |directory| {
            environment(python, &directory.join("venv"), NUMPY);
        })
    })
}

/// Two projects that are installed editable: one whose directory setuptools adds to the path, one
/// for which it makes an import hook.
fn editable() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    const PROJECT: &str = r#"[build-system]
requires = ["setuptools==80.9.0"]
build-backend = "setuptools.build_meta"

[project]
name = "NAME"
version = "1.0"

[project.scripts]
NAME = "NAME.command:main"
"#;
    const COMMAND: &str = "\
import pathlib
import sys


def main():
    words = pathlib.Path(__file__).with_name('words.txt').read_text()
    print(pathlib.Path(sys.argv[0]).name, words.strip())
";
    let recipe = recipe(&debian(), &[PROJECT, COMMAND]);
    DIRECTORY.get_or_init(|| {
        kept("python-editable", &recipe, |directory| {
            let venv = directory.join("venv");
            environment(&debian(), &venv, &[]);
            for (name, package) in [("lined", "src/lined"), ("hooked", "hooked")] {
                let project = directory.join(name);
                write(&project, "pyproject.toml", &PROJECT.replace("NAME", name));
                write(&project, &format!("{package}/__init__.py"), "");
                write(&project, &format!("{package}/command.py"), COMMAND);
                write(
                    &project,
                    &format!("{package}/words.txt"),
                    "from its source\n",
                );
                install(&venv, &["--editable", project.to_str().unwrap()]);
            }
        })
    })
}

/// The files of an image whose name ends in `end`.
fn ending_in(image: &Image, end: &str) -> Vec<String> {
    let paths = image.paths().into_iter();
    paths.filter(|path| path.ends_with(end)).collect()
}

/// Checks that no part of the image has one of these names: what is in a directory of that name,
/// or the file itself.
#[track_caller]
fn assert_absent(image: &Image, names: &[&str]) {
    let paths = image.paths();
    let found: Vec<_> = paths
        .iter()
        .filter(|path| path.split('/').any(|part| names.contains(&part)))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_console_script_of_a_flask_app_answers_http() {
    let workshop = Workshop::new();
    let image = workshop.build(
        flask().join(".venv/bin/greeter"),
        "greeter.oci",
        &["--port", "8080", "--smoke", "--smoke-port", "8080"],
    );
    let mut server = Bundle::of(&image, &workshop).read_only().start();
    assert_eq!(server.page(8080, "/"), GREETING);
    assert_absent(
        &image,
        &[
            "pip",
            "setuptools",
            "ensurepip",
            "idlelib",
            "tkinter",
            "test",
        ],
    );
    assert_eq!(ending_in(&image, ".a"), Vec::<String>::new());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn gunicorn_forks_workers_for_a_flask_app() {
    let workshop = Workshop::new();
    let image = workshop.build(
        flask().join(".venv/bin/gunicorn"),
        "gunicorn.oci",
        &[
            "--",
            "--bind",
            "0.0.0.0:8000",
            "--workers",
            "2",
            "greeter:app",
        ],
    );
    let mut server = Bundle::of(&image, &workshop)
        .scratch("/tmp")
        .read_only()
        .start();
    assert_eq!(server.page(8000, "/"), GREETING);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_script_beside_its_environment_answers_http() {
    let workshop = Workshop::new();
    let project = workshop.directory("project");
    copy(&flask().join(".venv"), &project);
    let app = workshop.write_script(
        "project/app.py",
        r#"#!/usr/bin/env python3
from flask import Flask

import pages

app = Flask(__name__)
app.add_url_rule("/", view_func=lambda: pages.FRONT)

if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5000)
"#,
    );
    workshop.write("project/pages.py", "FRONT = 'from the module beside it'\n");
    let image = workshop.build(&app, "app.oci", &[]);
    let mut server = Bundle::of(&image, &workshop).read_only().start();
    assert_eq!(server.page(5000, "/"), "from the module beside it");
}

/// Linear algebra by numpy's own BLAS, dates and groups by pandas; prints three numbers.
const COMPUTE: &str = r#"#!/usr/bin/env python3
import numpy
import pandas

solution = numpy.linalg.solve(numpy.array([[3.0, 1.0], [1.0, 2.0]]), numpy.array([9.0, 8.0]))
frame = pandas.DataFrame({
    "day": pandas.date_range("2024-02-28", periods=4, tz="Europe/Berlin"),
    "value": [1, 2, 3, 4],
})
months = frame.groupby(frame["day"].dt.month)["value"].sum()
print(solution.tolist(), months.to_dict())
"#;

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn numpy_and_pandas_compute() {
    let workshop = Workshop::new();
    let project = workshop.directory("science");
    // As a project has it whose environment is elsewhere: .venv may be a link.
    std::os::unix::fs::symlink(science().join(".venv"), project.join(".venv")).unwrap();
    let app = workshop.write_script("science/compute.py", COMPUTE);
    let image = workshop.build(
        &app,
        "compute.oci",
        &["--smoke", "--smoke-expect", "[2.0, 3.0] {2: 3, 3: 7}"],
    );
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, "[2.0, 3.0] {2: 3, 3: 7}\n");
    assert!(
        image
            .paths()
            .iter()
            .any(|path| path.contains("/numpy.libs/libscipy_openblas")),
        "numpy's own libraries stay beside it"
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_console_scripts_of_editable_installs_run_from_their_sources() {
    let workshop = Workshop::new();
    for name in ["lined", "hooked"] {
        let script = editable().join("venv/bin").join(name);
        let image = workshop.build(&script, &format!("{name}.oci"), &[]);
        let output = Bundle::of(&image, &workshop).read_only().run().output();
        assert_eq!(output, format!("{name} from its source\n"));
    }
}

/// Uses extension modules of the standard library that have libraries of their own.
const PACKAGE: &str = r#"
import ctypes
import decimal
import hashlib
import json
import lzma
import sqlite3
import ssl
import sys
import zoneinfo

from . import words

database = sqlite3.connect(":memory:")
print(json.dumps({
    "word": words.WORD,
    "arguments": sys.argv[1:],
    "sum": database.execute("select 20 + 22").fetchone()[0],
    "strlen": ctypes.CDLL(None).strlen(b"four"),
    "third": str(decimal.Decimal(1) / 8),
    "sha3": hashlib.sha3_256(b"abc").hexdigest()[:8],
    "lzma": lzma.decompress(lzma.compress(b"packed")).decode(),
    "tls": ssl.create_default_context().verify_mode.name,
    "zone": zoneinfo.ZoneInfo("Europe/Berlin").key,
}))
"#;

/// A package directory `greet` whose `__main__` is [`PACKAGE`].
fn package(workshop: &Workshop) -> PathBuf {
    workshop.write("greet/__init__.py", "");
    workshop.write("greet/words.py", "WORD = 'good morning'\n");
    workshop.write("greet/__main__.py", PACKAGE);
    workshop.path("greet")
}

fn package_output() -> serde_json::Value {
    serde_json::json!({
        "word": "good morning",
        "arguments": ["one", "two words"],
        "sum": 42,
        "strlen": 4,
        "third": "0.125",
        "sha3": "3a985da7",
        "lzma": "packed",
        "tls": "CERT_REQUIRED",
        "zone": "Europe/Berlin",
    })
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_package_directory_runs_with_debians_python() {
    let workshop = Workshop::new();
    let image = workshop.build(
        package(&workshop),
        "greet.oci",
        &["--smoke", "--", "one", "two words"],
    );
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    let value: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(value, package_output());
    assert_absent(
        &image,
        &[
            "pip",
            "setuptools",
            "ensurepip",
            "idlelib",
            "tkinter",
            "test",
        ],
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_package_directory_runs_with_another_python() {
    let workshop = Workshop::new();
    let package = package(&workshop);
    // The first python3 on the builder's PATH.
    let bin = other_python().parent().unwrap();
    let mut command = workshop.build_command(&package, "greet.oci", &["--", "one", "two words"]);
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    run(&mut command).output();
    let image = Image::new(workshop.path("greet.oci"), "latest");
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    let value: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(value, package_output());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_environment_of_another_python_computes() {
    let workshop = Workshop::new();
    let app = workshop.write(
        "invert.py",
        "import numpy\nprint(numpy.linalg.inv(numpy.array([[2.0, 0.0], [0.0, 4.0]])).tolist())\n",
    );
    let mut command = workshop.build_command(&app, "invert.oci", &[]);
    run(command.env("VIRTUAL_ENV", other_science().join("venv"))).output();
    let image = Image::new(workshop.path("invert.oci"), "latest");
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, "[[0.5, 0.0], [0.0, 0.25]]\n");
    // Nothing of it tells whose home directory it came from.
    let home = other_python().parent().unwrap().to_str().unwrap();
    let home = home.trim_start_matches('/');
    let paths = image.paths();
    assert!(
        !paths.iter().any(|path| path.starts_with(home)),
        "{paths:#?}"
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_environment_at_two_places_gives_the_same_bytes() {
    let workshop = Workshop::new();
    let mut images = Vec::new();
    for (number, place) in ["here", "quite/another-place"].into_iter().enumerate() {
        let project = workshop.directory(place);
        copy(&flask().join(".venv"), &project);
        // What moves an environment rewrites the first lines of its scripts.
        let script = project.join(".venv/bin/greeter");
        let text = fs::read_to_string(&script).unwrap();
        let original = flask().to_str().unwrap();
        assert!(text.contains(original), "{text}");
        fs::write(&script, text.replace(original, project.to_str().unwrap())).unwrap();
        let app = workshop.write(&format!("{place}/app.py"), "import flask\nprint(flask)\n");
        images.push([(app, "app"), (script, "script")].map(|(app, kind)| {
            let image = workshop.build(app, &format!("{kind}-{number}.oci"), &[]);
            contents(&image.layout)
        }));
    }
    assert_eq!(images[0], images[1]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_second_build_of_a_python_app_gives_the_same_bytes() {
    let workshop = Workshop::new();
    let app = package(&workshop);
    let first = workshop.build(&app, "first.oci", &["--no-cache", "-j1"]);
    let second = workshop.build(&app, "second.oci", &["--no-cache", "-j4"]);
    assert_eq!(contents(&first.layout), contents(&second.layout));
}

/// Checks every compiled module below a directory as the import system of PEP 552 reads it: by
/// the hash of its source, which is not to be compared at run time; prints how many there are.
const CHECK_BYTECODE: &str = r#"
import importlib.util
import marshal
import pathlib
import sys

count = 0
for compiled in pathlib.Path(sys.argv[1]).rglob("*.pyc"):
    data = compiled.read_bytes()
    source = pathlib.Path(importlib.util.source_from_cache(str(compiled))).read_bytes()
    assert data[:4] == importlib.util.MAGIC_NUMBER, compiled
    assert int.from_bytes(data[4:8], "little") == 1, (compiled, data[:16])
    assert data[8:16] == importlib.util.source_hash(source), compiled
    marshal.loads(data[16:])
    count += 1
print(count)
"#;

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn modules_are_compiled_once_and_their_sources_not_read_again() {
    let workshop = Workshop::new();
    let image = workshop.build(flask().join(".venv/bin/greeter"), "greeter.oci", &[]);
    let rootfs = Bundle::of(&image, &workshop).rootfs();
    let count = run(Command::new(debian())
        .args(["-c", CHECK_BYTECODE])
        .arg(rootfs))
    .output();
    let count: usize = count.trim().parse().unwrap();
    assert!(count > 100, "{count} compiled modules");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn what_an_app_imports_of_the_parts_left_out_comes_along() {
    let workshop = Workshop::new();
    let app = workshop.write(
        "app.py",
        "import ensurepip\nprint(ensurepip.version().split('.')[0].isdigit())\n",
    );
    let image = workshop.build(&app, "app.oci", &["--smoke"]);
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, "True\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_decision_for_python_is_told_with_the_flag_against_it() {
    let workshop = Workshop::new();
    let app = workshop.write_script("app.py", "#!/usr/bin/python3\nprint(6 * 7)\n");
    let stderr = {
        let outcome = workshop.try_build(&app, "app.oci", &[]);
        assert!(outcome.status.success(), "{outcome}");
        outcome.stderr
    };
    assert_tells(&stderr, &["Python 3.", "--runtime none"]);
    let image = Image::new(workshop.path("app.oci"), "latest");
    assert!(!ending_in(&image, "/os.py").is_empty());
    assert_eq!(Bundle::of(&image, &workshop).run().output(), "42\n");
    // As a script among others it brings its interpreter alone.
    let bare = workshop.build(&app, "bare.oci", &["--runtime", "none"]);
    assert_eq!(ending_in(&bare, "/os.py"), Vec::<String>::new());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_script_without_an_interpreter_is_refused() {
    let workshop = Workshop::new();
    let app = workshop.write_script("app.py", "#!/usr/bin/env python9.9\nprint()\n");
    assert_tells(&workshop.refusal(&app, &[]), &["app.py", "python9.9"]);
    let app = workshop.write_script("other.py", "#!/opt/nowhere/bin/python3\nprint()\n");
    let message = workshop.refusal(&app, &[]);
    assert_tells(&message, &["other.py", "/opt/nowhere/bin/python3"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_environment_whose_base_is_gone_is_refused() {
    let workshop = Workshop::new();
    let project = workshop.directory("project");
    copy(&flask().join(".venv"), &project);
    let bin = project.join(".venv/bin");
    for name in ["python", "python3", "python3.11"] {
        let _ = fs::remove_file(bin.join(name));
    }
    std::os::unix::fs::symlink("/opt/gone/bin/python3", bin.join("python3")).unwrap();
    std::os::unix::fs::symlink("python3", bin.join("python")).unwrap();
    let configuration = project.join(".venv/pyvenv.cfg");
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, text.replace("/usr/bin", "/opt/gone/bin")).unwrap();
    let app = workshop.write("project/app.py", "import flask\n");
    for app in [app, bin.join("flask")] {
        let message = workshop.refusal(&app, &[]);
        assert_tells(&message, &["project/.venv", "/opt/gone/bin"]);
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_package_directory_without_a_main_module_is_refused() {
    let workshop = Workshop::new();
    workshop.write("library/__init__.py", "");
    let message = workshop.refusal(workshop.path("library"), &[]);
    assert_tells(&message, &["library", "__main__.py"]);
}
