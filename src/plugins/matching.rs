//! What a closure has that rules ask for.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::document::{Condition, Rule};
use super::pattern::{NamePattern, Variable};
use crate::ImagePath;
use crate::elf::{ByteOrder, Class, Closure, Finding, LoadedObject, Machine, ObjectKind, Symbols};
use crate::sysroot::Sysroot;

/// The version by which the parts of glibc know each other.
const PART_OF_GLIBC: &[u8] = b"GLIBC_PRIVATE";

/// Which functions that a rule asks for an object imports, by the object's place: once read, they
/// serve for every closure that the object is in.
pub(super) type Imports<'r> = HashMap<ImagePath, BTreeSet<&'r [u8]>>;

/// A closure as rules look at it.
pub(super) struct Facts<'a, 'r> {
    sysroot: &'a dyn Sysroot,
    objects: Vec<Fact<'a>>,
    /// The functions that any rule asks for.
    functions: BTreeSet<&'r [u8]>,
    imports: &'a mut Imports<'r>,
}

struct Fact<'a> {
    loaded: &'a LoadedObject,
    /// Its soname, or the name of its file; of a program all names of its file.
    names: Vec<&'a [u8]>,
    is_program: bool,
}

/// What a rule matched, from which its paths take their variables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Binding {
    directory: Option<PathBuf>,
    prefix: PathBuf,
    triplet: Option<&'static str>,
    wide: bool,
    captures: Vec<Vec<u8>>,
}

impl<'a, 'r> Facts<'a, 'r> {
    pub(super) fn new(
        sysroot: &'a dyn Sysroot,
        closure: &'a Closure,
        rules: &'r [Rule],
        imports: &'a mut Imports<'r>,
    ) -> Self {
        let conditions = rules
            .iter()
            .flat_map(|rule| rule.when.iter().chain(&rule.unless));
        Self {
            sysroot,
            objects: closure.objects.iter().map(Fact::new).collect(),
            functions: conditions
                .flat_map(|condition| &condition.imports)
                .map(String::as_bytes)
                .collect(),
            imports,
        }
    }

    /// All that `rule` matches, each once; nothing when it does not apply.
    pub(super) fn matches(&mut self, rule: &Rule) -> Vec<Binding> {
        let mut bindings = Vec::new();
        let anything = [Condition::default()];
        let conditions = match rule.when.is_empty() {
            true => &anything[..],
            false => &rule.when,
        };
        for condition in conditions {
            for binding in self.bindings(condition) {
                if !bindings.contains(&binding) {
                    bindings.push(binding);
                }
            }
        }
        let unless = |facts: &mut Self| {
            let mut conditions = rule.unless.iter();
            conditions.any(|condition| !facts.bindings(condition).is_empty())
        };
        if !bindings.is_empty() && unless(self) {
            bindings.clear();
        }
        bindings
    }

    /// What makes `condition` hold. What costs more is looked at later.
    fn bindings(&mut self, condition: &Condition) -> Vec<Binding> {
        let libraries = self.named(&condition.soname, false);
        let programs = self.named(&condition.program, true);
        if (!condition.soname.is_empty() && libraries.is_empty())
            || (!condition.program.is_empty() && programs.is_empty())
        {
            return Vec::new();
        }
        let mut bindings = match (condition.soname.is_empty(), condition.program.is_empty()) {
            (false, _) => libraries,
            (true, false) => programs,
            (true, true) => vec![self.of_no_object()],
        };
        if !condition.imports.is_empty() {
            let Some(importer) = self.importer(condition) else {
                return Vec::new();
            };
            if condition.anchors().is_empty() {
                bindings = vec![importer];
            }
        }
        if !condition.exists.is_empty() {
            bindings.retain(|binding| {
                let mut paths = condition.exists.iter();
                paths.any(|path| binding.finds(self.sysroot, path))
            });
        }
        bindings
    }

    /// The libraries, or the programs, that match one of `patterns`.
    fn named(&self, patterns: &[NamePattern], programs: bool) -> Vec<Binding> {
        if patterns.is_empty() {
            return Vec::new();
        }
        let objects = self
            .objects
            .iter()
            .filter(|fact| fact.is_program == programs);
        objects
            .filter_map(|fact| {
                let captures = patterns.iter().find_map(|pattern| {
                    fact.names.iter().find_map(|name| pattern.captures(name))
                })?;
                let captures = captures.into_iter().map(<[u8]>::to_vec).collect();
                Some(Binding::of(fact.loaded, captures))
            })
            .collect()
    }

    /// The first object that imports one of the functions and counts.
    fn importer(&mut self, condition: &Condition) -> Option<Binding> {
        let (sysroot, functions) = (self.sysroot, &self.functions);
        let known = &mut *self.imports;
        self.objects.iter().find_map(|fact| {
            let excepted = |pattern: &NamePattern| {
                fact.names
                    .iter()
                    .any(|name| pattern.captures(name).is_some())
            };
            if condition.except.iter().any(excepted) {
                return None;
            }
            let place = &fact.loaded.trace.target;
            if !known.contains_key(place) {
                known.insert(place.clone(), fact.imports(sysroot, functions));
            }
            let imports = known.get(place)?;
            let mut wanted = condition.imports.iter();
            wanted
                .any(|function| imports.contains(function.as_bytes()))
                .then(|| Binding::of(fact.loaded, Vec::new()))
        })
    }

    /// For a rule that matches no object: the system itself.
    fn of_no_object(&self) -> Binding {
        let machine = self.objects.first().map(|fact| fact.loaded.object.machine);
        Binding {
            directory: None,
            prefix: PathBuf::from("/usr"),
            triplet: machine.as_ref().and_then(triplet),
            wide: machine.is_none_or(|machine| machine.class == Class::Elf64),
            captures: Vec::new(),
        }
    }
}

impl<'a> Fact<'a> {
    fn new(loaded: &'a LoadedObject) -> Self {
        let started = |finding: &Finding| matches!(finding, Finding::Root);
        let is_program = matches!(loaded.object.kind, ObjectKind::Dynamic | ObjectKind::Static)
            && loaded
                .requests
                .iter()
                .any(|request| started(&request.finding));
        let file = |path: &'a Path| path.file_name().map(OsStrExt::as_bytes);
        let mut names = Vec::new();
        match (&loaded.object.soname, is_program) {
            (Some(soname), false) => names.push(soname.as_bytes()),
            _ => {
                names.extend(file(loaded.trace.target.as_path()));
                names.extend(file(&loaded.path));
                names.extend(loaded.aliases.iter().filter_map(|(path, _)| file(path)));
            }
        }
        Self {
            loaded,
            names,
            is_program,
        }
    }

    /// Which of `functions` it takes from others. libc and its parts use each other's functions
    /// whether the app does or not.
    fn imports<'r>(
        &self,
        sysroot: &dyn Sysroot,
        functions: &BTreeSet<&'r [u8]>,
    ) -> BTreeSet<&'r [u8]> {
        let loaded = self.loaded;
        let mut definitions = loaded.object.version_definitions.iter();
        if definitions.any(|definition| definition.version.as_bytes() == PART_OF_GLIBC) {
            return BTreeSet::new();
        }
        let file = sysroot.open(loaded.trace.target.as_path());
        match file.and_then(|file| Symbols::imports(&file)) {
            Ok(symbols) => symbols
                .undefined()
                .filter_map(|name| functions.get(name).copied())
                .collect(),
            // It was read a moment ago; what cannot be read now fails later.
            Err(_) => BTreeSet::new(),
        }
    }
}

impl Binding {
    fn of(loaded: &LoadedObject, captures: Vec<Vec<u8>>) -> Self {
        let directory = loaded.trace.target.parent().unwrap_or_else(ImagePath::root);
        let machine = &loaded.object.machine;
        Self {
            prefix: prefix(directory.as_path()),
            directory: Some(directory.into()),
            triplet: triplet(machine),
            wide: machine.class == Class::Elf64,
            captures,
        }
    }

    /// All that a variable may stand for.
    pub(super) fn values(&self, variable: Variable) -> Vec<Vec<u8>> {
        let bytes = |path: PathBuf| path.as_os_str().as_bytes().to_vec();
        match variable {
            Variable::Dir => self.directory.clone().map(bytes).into_iter().collect(),
            Variable::Prefix => vec![bytes(self.prefix.clone())],
            Variable::Lib => self.library_directories().map(bytes).collect(),
            Variable::Etc if self.prefix == Path::new("/usr") => vec![b"/etc".to_vec()],
            Variable::Etc => vec![bytes(self.prefix.join("etc"))],
            Variable::Triplet => self
                .triplet
                .iter()
                .map(|name| name.as_bytes().to_vec())
                .collect(),
            Variable::Capture(index) => {
                let capture = self.captures.get(index.wrapping_sub(1));
                capture.cloned().into_iter().collect()
            }
        }
    }

    /// Debian's, that of most others, and the one that every system has.
    fn library_directories(&self) -> impl Iterator<Item = PathBuf> {
        let multiarch = self.triplet.map(|name| self.prefix.join("lib").join(name));
        let sized = match self.wide {
            true => "lib64",
            false => "lib32",
        };
        let others = [sized, "lib"].map(|name| self.prefix.join(name));
        multiarch.into_iter().chain(others)
    }

    /// Whether anything is at a path of `pattern`.
    fn finds(&self, sysroot: &dyn Sysroot, pattern: &super::pattern::PathPattern) -> bool {
        let mut listings = super::gather::Listings::new();
        let steps = pattern.expand(|variable| self.values(variable));
        steps.iter().any(|steps| {
            let mut paths = super::gather::candidates(sysroot, steps, &mut listings).into_iter();
            paths.any(|path| crate::sysroot::trace(sysroot, &path).is_ok())
        })
    }
}

/// The directory that holds the `bin` or `lib` that `directory` is in. The root's own belong to
/// `/usr`, where most systems have them (FHS 3.0, section 3).
fn prefix(directory: &Path) -> PathBuf {
    const KINDS: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec"];
    let is_kind = |name: &Component<'_>| KINDS.iter().any(|kind| name.as_os_str() == *kind);
    let names: Vec<Component<'_>> = directory.components().collect();
    let prefix: PathBuf = match names.iter().rposition(is_kind) {
        Some(at) => names.iter().take(at).collect(),
        None => directory.to_path_buf(),
    };
    match prefix == Path::new("/") {
        true => PathBuf::from("/usr"),
        false => prefix,
    }
}

/// Debian's name of a machine (its wiki's `Multiarch/Tuples`).
fn triplet(machine: &Machine) -> Option<&'static str> {
    Some(match machine.platform()? {
        ("amd64", _) if machine.class == Class::Elf32 => "x86_64-linux-gnux32",
        ("amd64", _) => "x86_64-linux-gnu",
        ("386", _) => "i386-linux-gnu",
        ("arm", Some("v5")) => "arm-linux-gnueabi",
        ("arm", _) => "arm-linux-gnueabihf",
        ("arm64", _) => "aarch64-linux-gnu",
        ("ppc64le", _) => "powerpc64le-linux-gnu",
        ("ppc64", _) if machine.order == ByteOrder::Big => "powerpc64-linux-gnu",
        ("ppc", _) => "powerpc-linux-gnu",
        ("s390x", _) => "s390x-linux-gnu",
        ("riscv64", _) => "riscv64-linux-gnu",
        ("loong64", _) => "loongarch64-linux-gnu",
        ("mips64le", _) => "mips64el-linux-gnuabi64",
        ("mipsle", _) => "mipsel-linux-gnu",
        ("mips", _) => "mips-linux-gnu",
        ("sparc64", _) => "sparc64-linux-gnu",
        _ => return None,
    })
}
