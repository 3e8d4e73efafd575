//! The machine's own programs.

use std::path::PathBuf;

use distrobuild::elf::{Object, ObjectKind, Resolver, Root, resolve};
use distrobuild::sysroot::{Directory, Sysroot};

use crate::workshop::{answers, oracle};

/// How many programs are compared: a spread over the directory, not its beginning.
const SAMPLE: usize = 60;

#[test]
fn the_programs_of_this_machine_get_just_what_the_loader_maps() {
    let host = Directory::host().unwrap();
    let dynamic = |path: &PathBuf| {
        let file = host.open(path).ok()?;
        let object = Object::read(&file).ok()?;
        // A setuid program cannot be traced in the same mode.
        let plain = file.mode & 0o6000 == 0 && file.mode & 0o111 != 0;
        (object.kind == ObjectKind::Dynamic && plain && object.heeds_the_variable()).then_some(())
    };
    let mut names: Vec<PathBuf> = host
        .read_dir("/usr/bin".as_ref())
        .unwrap()
        .into_iter()
        .map(|name| PathBuf::from("/usr/bin").join(name))
        .filter(|path| dynamic(path).is_some())
        .collect();
    let step = names.len().div_ceil(SAMPLE).max(1);
    names = names.into_iter().step_by(step).collect();
    assert!(!names.is_empty());
    for path in names {
        let (wanted, error) = oracle(&path, "");
        assert_eq!(error, None);
        let roots = [Root::Program { path: path.clone() }];
        let closure = resolve(&host, &roots, &Resolver::default()).unwrap();
        assert_eq!(answers(&closure), wanted, "{}", path.display());
        assert!(closure.unmet_versions.is_empty(), "{}", path.display());
    }
}

/// A program with another loader would run instead of telling what it loads.
trait HeedsTheVariable {
    fn heeds_the_variable(&self) -> bool;
}

impl HeedsTheVariable for Object {
    fn heeds_the_variable(&self) -> bool {
        let own = Directory::host()
            .unwrap()
            .open(&std::env::current_exe().unwrap())
            .unwrap();
        self.interpreter == Object::read(&own).unwrap().interpreter
    }
}
