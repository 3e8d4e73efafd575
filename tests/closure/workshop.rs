//! Builds programs and libraries with the C compiler, and asks the real loader about them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use distrobuild::elf::{Closure, Finding, Resolver, Root, resolve};
use distrobuild::sysroot::Directory;

/// What the loader says: name asked for → path, or `None` where it says "not found".
pub type Answers = BTreeMap<String, Option<String>>;

pub struct Workshop {
    directory: tempfile::TempDir,
}

impl Workshop {
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// A path in the workshop, its directory made.
    pub fn at(&self, name: &str) -> PathBuf {
        let root = self.directory.path().canonicalize().unwrap();
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// A path in the workshop, as an argument; `name` may hold `{}` for the root.
    fn flag(&self, flag: &str) -> String {
        flag.replace("{}", &self.at("x").parent().unwrap().display().to_string())
    }

    fn compile(&self, output: &Path, source: &str, flags: &[&str]) {
        let file = output.with_extension("build.c");
        std::fs::write(&file, source).unwrap();
        let done = Command::new("cc")
            .arg("-o")
            .arg(output)
            .arg(&file)
            .args([
                "-Wl,--no-as-needed",
                "-Wl,--unresolved-symbols=ignore-all",
                "-Wno-attributes",
            ])
            .args(flags.iter().map(|flag| self.flag(flag)))
            .output()
            .unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// A shared library with the file's name as its soname.
    pub fn library(&self, name: &str, flags: &[&str]) -> PathBuf {
        let path = self.at(name);
        let soname = format!(
            "-Wl,-soname,{}",
            path.file_name().unwrap().to_string_lossy()
        );
        self.plain_library(name, &[&[soname.as_str()], flags].concat())
    }

    /// A shared library without a soname of its own.
    pub fn plain_library(&self, name: &str, flags: &[&str]) -> PathBuf {
        let path = self.at(name);
        let source = "__attribute__((weak)) int shared(void) { return 1; }\n";
        self.compile(
            &path,
            source,
            &[&["-shared", "-fPIC", "-nostdlib"], flags].concat(),
        );
        path
    }

    pub fn library_from(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let path = self.at(name);
        self.compile(&path, source, &[&["-shared", "-fPIC"], flags].concat());
        path
    }

    pub fn program(&self, name: &str, flags: &[&str]) -> PathBuf {
        self.program_from(name, "int main(void) { return 0; }\n", flags)
    }

    pub fn program_from(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let path = self.at(name);
        self.compile(&path, source, flags);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The closure of a program, looked up on this machine.
    pub fn closure(&self, program: &Path) -> Closure {
        self.closure_with(program, &[])
    }

    pub fn closure_with(&self, program: &Path, library_path: &[&str]) -> Closure {
        let resolver = Resolver {
            library_path: library_path
                .iter()
                .map(|path| PathBuf::from(self.flag(path)))
                .collect(),
            ..Resolver::default()
        };
        let root = Root::Program {
            path: program.to_path_buf(),
        };
        resolve(&Directory::host().unwrap(), &[root], &resolver).unwrap()
    }

    /// Checks that our closure is what the loader maps, and returns it.
    pub fn agrees(&self, program: &Path) -> Closure {
        self.agrees_with(program, &[])
    }

    pub fn agrees_with(&self, program: &Path, library_path: &[&str]) -> Closure {
        let closure = self.closure_with(program, library_path);
        let paths: Vec<String> = library_path.iter().map(|path| self.flag(path)).collect();
        let (oracle, error) = oracle(program, &paths.join(":"));
        assert_eq!(error, None, "the loader refuses {}", program.display());
        assert_eq!(answers(&closure), oracle, "{}", program.display());
        closure
    }

    /// Checks that the loader refuses to start the program for the reason `text`, and that we
    /// refuse the file at `path`.
    pub fn refuses(&self, program: &Path, path: &Path, text: &str) {
        let error = oracle(program, "").1.unwrap_or_default();
        assert!(error.contains(text), "the loader says {error:?}");
        let closure = self.closure(program);
        assert!(
            closure
                .rejected
                .iter()
                .any(|rejected| rejected.path == path && rejected.needed_by == Some(0)),
            "{:?}",
            closure.rejected
        );
        assert!(
            closure.objects.iter().all(|object| object.path != path),
            "a refused file is no part of the closure"
        );
    }
}

/// Where the closure has a name from; `None` if nowhere.
pub fn found(closure: &Closure, name: &str) -> Option<PathBuf> {
    closure
        .objects
        .iter()
        .find(|object| object.requests.iter().any(|request| request.name == name))
        .map(|object| object.path.clone())
}

/// The start-up objects of a closure as the loader would print them.
pub fn answers(closure: &Closure) -> Answers {
    let at_start = |finding: &Finding| {
        matches!(
            finding,
            Finding::Needed | Finding::Filter | Finding::Interpreter
        )
    };
    let mut started = BTreeSet::from([0]);
    let mut answers = Answers::new();
    loop {
        let before = started.len();
        for (index, object) in closure.objects.iter().enumerate().skip(1) {
            // The loader itself is listed only where an object names it.
            let named = object
                .requests
                .iter()
                .any(|request| request.finding != Finding::Interpreter);
            let first = object.requests.iter().find(|request| {
                named
                    && at_start(&request.finding)
                    && request.by.is_some_and(|by| started.contains(&by))
            });
            if let Some(request) = first
                && started.insert(index)
            {
                answers.insert(
                    request.name.to_string_lossy().into_owned(),
                    Some(object.path.display().to_string()),
                );
            }
        }
        if started.len() == before {
            break;
        }
    }
    for missing in &closure.missing {
        answers.insert(missing.name.to_string_lossy().into_owned(), None);
    }
    answers
}

/// Runs the program with `LD_TRACE_LOADED_OBJECTS=1`: what the loader maps, and its fatal error.
pub fn oracle(program: &Path, library_path: &str) -> (Answers, Option<String>) {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .stdin(std::process::Stdio::null())
        .current_dir("/");
    if !library_path.is_empty() {
        command.env("LD_LIBRARY_PATH", library_path);
    }
    let done = command.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    let error = [&text, &errors]
        .into_iter()
        .flat_map(|text| text.lines())
        .find(|line| line.contains("error while loading shared libraries"))
        .map(str::to_owned);
    let mut answers = Answers::new();
    for line in text.lines().map(str::trim) {
        let line = line.rsplit_once(" (0x").map_or(line, |(line, _)| line);
        match line.split_once(" => ") {
            Some((name, "not found")) => answers.insert(name.to_owned(), None),
            Some((name, path)) => answers.insert(name.to_owned(), Some(path.to_owned())),
            None if line.starts_with('/') => answers.insert(line.to_owned(), Some(line.to_owned())),
            None => None,
        };
    }
    (answers, error)
}
