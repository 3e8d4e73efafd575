//! Which roots are to blame for a closure that is not complete.

use std::collections::{BTreeMap, BTreeSet};

use crate::ImagePath;
use crate::elf::Closure;

/// The roots that may be left out and alone lead to what is missing or refused, each with what is
/// wrong, for people. What others need too is not to be mended by leaving anything out.
pub(super) fn to_blame(
    closure: &Closure,
    may_be_left_out: impl Fn(&ImagePath) -> bool,
) -> BTreeMap<ImagePath, String> {
    let mut blamed = BTreeMap::new();
    for file in closure
        .rejected
        .iter()
        .filter(|file| file.needed_by.is_none())
    {
        if let Ok(path) = ImagePath::new(&file.path)
            && may_be_left_out(&path)
        {
            blamed.insert(path, format!("the loader refuses it: {}", file.reason));
        }
    }
    for (askers, why) in wrongs(closure) {
        let roots = roots_of(closure, askers);
        let targets: Option<Vec<&ImagePath>> = roots
            .iter()
            .map(|index| {
                let object = closure.objects.get(*index)?;
                may_be_left_out(&object.trace.target).then_some(&object.trace.target)
            })
            .collect();
        for target in targets.unwrap_or_default() {
            blamed.entry(target.clone()).or_insert_with(|| why.clone());
        }
    }
    blamed
}

/// All that is wrong: the objects that ask for it, and the reason.
fn wrongs(closure: &Closure) -> Vec<(Vec<usize>, String)> {
    let missing = closure.missing.iter().map(|library| {
        let name = library.name.to_string_lossy();
        (library.needed_by.clone(), format!("{name} is missing"))
    });
    let rejected = closure.rejected.iter().map(|file| {
        let path = file.path.display();
        let why = format!("the loader refuses {path}: {}", file.reason);
        (file.needed_by.into_iter().collect(), why)
    });
    let versions = closure.unmet_versions.iter().map(|unmet| {
        let version = unmet.version.to_string_lossy();
        (vec![unmet.required_by], format!("{version} is not defined"))
    });
    missing.chain(rejected).chain(versions).collect()
}

/// The roots from which these objects are reached; the objects themselves where they are roots.
fn roots_of(closure: &Closure, objects: Vec<usize>) -> BTreeSet<usize> {
    let mut roots = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut todo = objects;
    while let Some(index) = todo.pop() {
        if !seen.insert(index) {
            continue;
        }
        let requests = closure.objects.get(index).map(|object| &object.requests);
        for request in requests.into_iter().flatten() {
            match request.by {
                Some(by) => todo.push(by),
                None => {
                    roots.insert(index);
                }
            }
        }
    }
    roots
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::elf::{Resolver, Root, resolve};
    use crate::sysroot::Directory;

    /// A program and libraries of which some need one that is missing.
    fn system(sources: &[(&str, &[&str])]) -> (tempfile::TempDir, Closure) {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::write(at("e.c"), "int e;").unwrap();
        for (name, needs) in sources {
            // What it needs is there for the linker, and is removed afterwards.
            let mut cc = std::process::Command::new("cc");
            cc.args(["-shared", "-nostdlib", "-Wl,--no-as-needed"])
                .arg(format!("-Wl,-soname,{name}"))
                .arg("-Wl,-rpath,$ORIGIN")
                .arg("-o")
                .arg(at(name))
                .arg(at("e.c"))
                .args(needs.iter().map(|need| at(need)));
            assert!(cc.status().unwrap().success());
        }
        std::fs::remove_file(at("gone.so")).unwrap();
        std::fs::write(at("main.c"), "int main(void) { return 0; }").unwrap();
        let mut cc = std::process::Command::new("cc");
        cc.arg("-o").arg(at("program")).arg(at("main.c"));
        assert!(cc.status().unwrap().success());
        let path = at("program");
        let mut roots = vec![Root::Program { path }];
        roots.extend(["a.so", "b.so"].map(|name| Root::Plugin { path: at(name) }));
        let host = Directory::host().unwrap();
        let closure = resolve(&host, &roots, &Resolver::default()).unwrap();
        (root, closure)
    }

    fn blamed(closure: &Closure, may: &[&str]) -> Vec<String> {
        let blamed = to_blame(closure, |path| {
            (path.file_name()).is_some_and(|name| may.iter().any(|may| name == *may))
        });
        assert!(blamed.values().all(|why| why == "gone.so is missing"));
        let names = blamed.keys().filter_map(|path| path.file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_root_is_to_blame_for_what_its_libraries_miss() {
        let (_root, closure) = system(&[
            ("gone.so", &[]),
            ("between.so", &["gone.so"]),
            ("a.so", &["between.so"]),
            ("b.so", &[]),
        ]);
        assert_eq!(blamed(&closure, &["a.so", "b.so"]), ["a.so"]);
        assert!(blamed(&closure, &["b.so"]).is_empty());
    }

    #[test]
    fn nothing_is_left_out_for_what_is_missed_by_others_too() {
        let (_root, closure) = system(&[
            ("gone.so", &[]),
            ("a.so", &["gone.so"]),
            ("b.so", &["gone.so"]),
        ]);
        assert!(blamed(&closure, &["a.so"]).is_empty());
        assert_eq!(blamed(&closure, &["a.so", "b.so"]).len(), 2);
    }
}
