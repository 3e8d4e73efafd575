#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use super::super::super::hosted::RuntimeChoice;
use super::*;
use crate::sysroot::Directory;

/// A source with what comes out differently from one compilation to the next.
const SOURCE: &str = "\
'''Doc.'''
import os
class A:
    '''B.'''
    ä = ('a b', b'x', 1.5, 2j, 10**30, -1, ..., None, True, frozenset())
    def f(self, x, *, y=('A.f', 'x')):
        if x in {'aa', 'bb', 'cc', 'dd', 'ee'} or x in {'ee', 'dd', 'cc', 'bb', 'aa'}:
            return lambda: (x, y, {1, 2, 3}, 'A.f.<locals>.<lambda>', '{', '}')
        return [z[1:2] for z in y if z not in {'aa', ('b', 1)}]
print(A().f(os.name), __file__)
";

/// A directory of sources, and the interpreter of the machine that runs the test.
struct Workshop {
    python: PathBuf,
    version: (u32, u32),
    directory: tempfile::TempDir,
    scratch: tempfile::TempDir,
}

impl Workshop {
    /// `None`, said aloud, when the machine has no Python of a known version.
    fn open() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut candidates = std::env::split_paths(&path).map(|place| place.join("python3"));
        let found = candidates.find_map(|python| {
            let script = "import sys; print(sys.executable, *sys.version_info[:2])";
            let output = Command::new(&python).args(["-I", "-c", script]).output();
            let output = String::from_utf8(output.ok()?.stdout).ok()?;
            let mut words = output.split_whitespace();
            let python = PathBuf::from(words.next()?);
            let version = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Format::of(version).map(|_| (python, version))
        });
        let Some((python, version)) = found else {
            eprintln!("skipped: no python3 of a known version is on PATH");
            return None;
        };
        Some(Self {
            python,
            version,
            directory: tempfile::tempdir().unwrap(),
            scratch: tempfile::tempdir().unwrap(),
        })
    }

    fn format(&self) -> Format {
        Format::of(self.version).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, source: impl AsRef<[u8]>) -> Module {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, source).unwrap();
        Module {
            source: path,
            image: ImagePath::new(format!("/app/{name}")).unwrap(),
            cached: None,
        }
    }

    /// Has Python itself compile the module, with these options, and knows of the result.
    fn precompile(&self, module: &mut Module, options: &str, seed: &str) {
        let script = format!(
            "import py_compile, sys; print(py_compile.compile(sys.argv[1], doraise=True{options}))"
        );
        let mut command = Command::new(&self.python);
        command.args(["-c", &script]).arg(&module.source);
        let output = command.env("PYTHONHASHSEED", seed).output().unwrap();
        assert!(output.status.success());
        let path = String::from_utf8(output.stdout).unwrap();
        module.cached = Some(PathBuf::from(path.trim()));
    }

    fn compile(&self, modules: &[Module]) -> Compiled {
        self.compile_with(modules, 2, self.scratch.path())
    }

    fn compile_with(&self, modules: &[Module], threads: usize, scratch: &Path) -> Compiled {
        let host = Host {
            variables: BTreeMap::new(),
            scratch: scratch.to_path_buf(),
            threads,
        };
        self.compile_on(Some(&host), modules)
    }

    fn compile_on(&self, host: Option<&Host>, modules: &[Module]) -> Compiled {
        let sysroot = Directory::host().unwrap();
        let scene = Scene {
            sysroot: &sysroot,
            search: &[],
            runtime: RuntimeChoice::Auto,
            shell: false,
            host,
            ground: None,
        };
        compile(&scene, &self.python, self.version, modules)
    }

    /// All that is in the directory, with times.
    fn listing(&self) -> Vec<(PathBuf, std::time::SystemTime)> {
        let mut found = Vec::new();
        let mut work = vec![self.directory.path().to_path_buf()];
        while let Some(path) = work.pop() {
            found.push((
                path.clone(),
                fs::metadata(&path).unwrap().modified().unwrap(),
            ));
            if let Ok(entries) = fs::read_dir(&path) {
                work.extend(entries.map(|entry| entry.unwrap().path()));
            }
        }
        found.sort();
        found
    }
}

#[track_caller]
fn only(compiled: Compiled) -> Vec<u8> {
    assert_eq!(compiled.notices, Vec::<String>::new());
    let [(_, pyc)] = <[_; 1]>::try_from(compiled.pycs).unwrap();
    pyc
}

#[test]
fn python_runs_what_was_compiled_whatever_the_time_of_the_source() {
    let Some(shop) = Workshop::open() else { return };
    let module = shop.write("pkg/mod.py", SOURCE);
    let compiled = shop.compile(std::slice::from_ref(&module));
    let tag = shop.format().tag();
    assert_eq!(
        compiled.pycs[0].0.to_string(),
        format!("/app/pkg/__pycache__/mod.{tag}.pyc")
    );
    // The source says something else now: the file was not asked for it.
    let cache = shop.path("pkg/__pycache__");
    fs::create_dir(&cache).unwrap();
    fs::write(cache.join(format!("mod.{tag}.pyc")), only(compiled)).unwrap();
    fs::write(&module.source, "raise SystemExit(3)").unwrap();
    // Python sets the names of files anew while it imports when they are not where it is.
    let script = "import marshal, sys; sys.path.insert(0, sys.argv[1]); import pkg.mod as m; \
                  code = marshal.loads(open(m.__cached__, 'rb').read()[16:]); \
                  print(code.co_filename, m.A.f.__qualname__)";
    let mut command = Command::new(&shop.python);
    command
        .args(["-I", "-B", "-c", script])
        .arg(shop.directory.path());
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(shown.ends_with("/app/pkg/mod.py A.f\n"), "{shown}");
}

#[test]
fn the_same_source_gives_the_same_bytes_whoever_compiled_it_where_and_when() {
    let Some(shop) = Workshop::open() else { return };
    let mut here = shop.write("here/mod.py", SOURCE);
    here.image = ImagePath::new("/app/mod.py").unwrap();
    let expected = only(shop.compile(std::slice::from_ref(&here)));
    for seed in ["0", "1", "2", "3"] {
        let mut there = shop.write(&format!("there{seed}/longer/path/mod.py"), SOURCE);
        shop.precompile(&mut there, "", seed);
        there.image = here.image.clone();
        // Nothing is compiled: there is no host.
        assert_eq!(only(shop.compile_on(None, &[there])), expected, "{seed}");
    }
    let others = ["ä = 'aa'\n'{'\n", "class A:\n  def f(): 'A.f'\n", SOURCE];
    let mut modules: Vec<Module> = others
        .iter()
        .enumerate()
        .map(|(at, source)| shop.write(&format!("other{at}.py"), source))
        .collect();
    modules.push(here.clone());
    for threads in 1..4 {
        let scratch = tempfile::tempdir().unwrap();
        let compiled = shop.compile_with(&modules, threads, scratch.path());
        assert_eq!(compiled.pycs.last().unwrap().1, expected, "{threads}");
        modules.swap(0, 1);
    }
}

#[test]
fn threads_change_nothing_and_the_order_is_that_of_the_modules() {
    let Some(shop) = Workshop::open() else { return };
    let modules: Vec<Module> = (0..20)
        .map(|at| {
            let mut module = shop.write(&format!("m{at}.py"), format!("x = {at}\n{SOURCE}"));
            if at % 3 == 0 {
                shop.precompile(&mut module, "", "1");
            }
            module
        })
        .collect();
    let one = shop.compile_with(&modules, 1, tempfile::tempdir().unwrap().path());
    assert_eq!(one.pycs.len(), modules.len());
    for threads in [2, 5, 64] {
        let more = shop.compile_with(&modules, threads, tempfile::tempdir().unwrap().path());
        assert_eq!(more, one);
    }
}

#[test]
fn what_python_would_not_load_is_compiled_anew() {
    let Some(shop) = Workshop::open() else { return };
    let module = shop.write("mod.py", SOURCE);
    let expected = only(shop.compile(std::slice::from_ref(&module)));
    let mut stale = shop.write("stale/mod.py", "old = 1");
    stale.image = module.image.clone();
    let hashed = ", invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH";
    for options in ["", hashed, ", optimize=1"] {
        fs::write(&stale.source, "old = 1").unwrap();
        shop.precompile(&mut stale, options, "0");
        fs::write(&stale.source, SOURCE).unwrap();
        let missing = shop.compile_on(None, std::slice::from_ref(&stale));
        assert!(missing.pycs.is_empty(), "{options}");
        assert!(missing.notices[0].starts_with("1 module has no bytecode"));
        assert_eq!(only(shop.compile(&[stale.clone()])), expected, "{options}");
    }
    // The same size, but another second.
    shop.precompile(&mut stale, "", "0");
    let file = fs::File::options().write(true).open(&stale.source).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000))
        .unwrap();
    assert!(shop.compile_on(None, &[stale.clone()]).pycs.is_empty());
    shop.precompile(&mut stale, "", "0");
    assert_eq!(only(shop.compile_on(None, &[stale.clone()])), expected);
    shop.precompile(&mut stale, hashed, "0");
    assert_eq!(only(shop.compile_on(None, &[stale.clone()])), expected);
    // Damaged within.
    let cached = stale.cached.clone().unwrap();
    let bytes = fs::read(&cached).unwrap();
    fs::write(&cached, &bytes[..bytes.len() - 1]).unwrap();
    assert!(shop.compile_on(None, &[stale.clone()]).pycs.is_empty());
    assert_eq!(only(shop.compile(&[stale])), expected);
}

#[test]
fn a_module_with_errors_leaves_only_itself_out() {
    let Some(shop) = Workshop::open() else { return };
    let sources: [&[u8]; 6] = [
        b"x = 1",
        b"x = {{ template }} %",
        b"x = '\0'",
        b"# coding: no-such-encoding\n",
        b"# coding: latin-1\nx = '\xe4'",
        b"raise SystemExit('it was run')",
    ];
    let modules: Vec<Module> = sources
        .iter()
        .enumerate()
        .map(|(at, source)| shop.write(&format!("m{at}.py"), source))
        .chain([Module {
            source: shop.path("missing.py"),
            image: ImagePath::new("/app/missing.py").unwrap(),
            cached: None,
        }])
        .collect();
    let before = shop.listing();
    let compiled = shop.compile(&modules);
    assert_eq!(compiled.notices, Vec::<String>::new());
    let names: Vec<String> = compiled
        .pycs
        .iter()
        .map(|(path, _)| path.file_name().unwrap().to_string_lossy()[..2].to_owned())
        .collect();
    assert_eq!(names, ["m0", "m4", "m5"]);
    assert_eq!(shop.listing(), before, "the user's directory is left alone");
}

#[test]
fn the_header_holds_the_hash_that_python_makes() {
    let Some(shop) = Workshop::open() else { return };
    let module = shop.write("mod.py", SOURCE);
    let pyc = only(shop.compile(std::slice::from_ref(&module)));
    let script = "import importlib.util as u, sys; m = u.MAGIC_NUMBER; \
                  print((m + bytes([1, 0, 0, 0]) + u.source_hash(open(sys.argv[1], 'rb').read())).hex())";
    let mut command = Command::new(&shop.python);
    let output = command
        .args(["-I", "-c", script])
        .arg(&module.source)
        .output();
    let expected = String::from_utf8(output.unwrap().stdout).unwrap();
    let header: String = pyc[..format::HEADER]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(header, expected.trim());
}

#[test]
fn what_was_compiled_once_is_found_again_unless_it_was_damaged() {
    let Some(mut shop) = Workshop::open() else {
        return;
    };
    let module = [shop.write("mod.py", SOURCE)];
    let first = shop.compile(&module);
    let python = std::mem::replace(&mut shop.python, PathBuf::from("/nonexistent/python"));
    assert_eq!(shop.compile(&module), first, "no interpreter was needed");
    let stored = fs::read_dir(shop.scratch.path().join("pyc")).unwrap();
    for entry in stored {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let without = shop.compile(&module);
    assert!(without.pycs.is_empty());
    assert!(without.notices[0].contains("/nonexistent/python cannot be run"));
    shop.python = python;
    assert_eq!(shop.compile(&module), first);
}

#[test]
fn an_interpreter_of_another_version_is_found_out() {
    let Some(mut shop) = Workshop::open() else {
        return;
    };
    let module = [shop.write("mod.py", SOURCE)];
    shop.version.1 = if shop.version.1 == 8 { 9 } else { 8 };
    let compiled = shop.compile(&module);
    assert!(compiled.pycs.is_empty());
    assert!(
        compiled.notices[0].contains("another version"),
        "{:?}",
        compiled.notices
    );
}

#[test]
fn modules_that_end_the_interpreter_are_counted_and_too_many_leave_nothing() {
    // A shell that ends at every source that is not one byte long, and compiles none.
    let directory = tempfile::tempdir().unwrap();
    let wrapped = Workshop {
        python: directory.path().join("python"),
        version: (3, 11),
        directory,
        scratch: tempfile::tempdir().unwrap(),
    };
    let magic: String = wrapped
        .format()
        .magic()
        .iter()
        .map(|byte| format!("\\{byte:03o}"))
        .collect();
    let script = format!(
        "printf '{magic}'; while size=$(dd bs=1 count=4 2>/dev/null | od -An -tu1 | tr -d ' \n'); \
         [ \"$size\" = 1000 ]; do dd bs=1 count=1 >/dev/null 2>&1; printf '\\0\\0\\0\\0'; done"
    );
    compiler::tests::write_program(&wrapped.python, &script);
    let module = |at: usize, source: &str| wrapped.write(&format!("m{at}.py"), source);
    let mut modules = vec![
        module(0, "x"),
        module(1, "crash"),
        module(2, "x"),
        module(3, "crash"),
    ];
    for threads in [1, 3] {
        let compiled = wrapped.compile_with(&modules, threads, wrapped.scratch.path());
        assert!(compiled.pycs.is_empty());
        let [notice] = <[_; 1]>::try_from(compiled.notices).unwrap();
        assert!(notice.starts_with("2 modules have no bytecode"), "{notice}");
        assert!(notice.contains("ended while it compiled"), "{notice}");
    }
    modules.extend((4..20).map(|at| module(at, "crash")));
    let compiled = wrapped.compile(&modules);
    assert!(
        compiled.notices[0].starts_with("20 modules have"),
        "{:?}",
        compiled.notices
    );
}

#[test]
fn an_unknown_version_is_said_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let sysroot = Directory::new(directory.path()).unwrap();
    let scene = Scene {
        sysroot: &sysroot,
        search: &[],
        runtime: RuntimeChoice::Auto,
        shell: false,
        host: None,
        ground: None,
    };
    let compiled = compile(&scene, Path::new("/usr/bin/python3"), (3, 99), &[]);
    assert!(compiled.pycs.is_empty());
    assert!(compiled.notices[0].contains("Python 3.99"));
}

#[test]
fn results_come_in_the_order_of_the_items_for_any_number_of_threads() {
    let items: Vec<usize> = (0..1000).collect();
    for threads in [0, 1, 3, 2000] {
        let states = AtomicUsize::new(0);
        let state = || states.fetch_add(1, Ordering::Relaxed);
        let doubled = spread(threads, &items, state, |_, item| item * 2);
        assert!(
            doubled
                .iter()
                .enumerate()
                .all(|(at, double)| at * 2 == *double)
        );
        assert!(states.into_inner() <= threads.max(1));
    }
    assert!(spread(4, &[] as &[usize], || (), |(), item| *item).is_empty());
}
