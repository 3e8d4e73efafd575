//! Builds on images: the base is in a layout that the test makes, the app is compiled here or of
//! objects that were never linked.

#![cfg(target_arch = "x86_64")]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub
)]

#[path = "closure/builder.rs"]
#[allow(dead_code)]
mod builder;
#[path = "../src/parent/tests/fixture.rs"]
#[allow(dead_code)]
mod fixture;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use builder::Elf;
use distrobuild::elf::cache::{Cache, CacheEntry};
use distrobuild::helper::Helper;
use distrobuild::image::{Platform, validate};
use distrobuild::parent::{Parent, Unpacking};
use distrobuild::report::Report;
use distrobuild::rootfs::{Base, Content, EntryKind, Include, Origin};
use distrobuild::smoke::{Smoke, SmokeError};
use distrobuild::store::{Layout, Source, select};
use distrobuild::{Builder, ImagePath, Output, Plan};
use fixture::{Form, Images, Tar, config};
use serde_json::{Value, json};
use tempfile::TempDir;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const NAME: &str = "registry.test/the/base:1";

/// A place for what is compiled and built.
struct Place {
    directory: TempDir,
    images: Images,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            images: Images::new(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn compile(&self, name: &str, source: &str, options: &[&str]) -> PathBuf {
        let code = self.at(&format!("{name}.c"));
        std::fs::create_dir_all(code.parent().unwrap()).unwrap();
        std::fs::write(&code, source).unwrap();
        let program = self.at(name);
        let mut cc = Command::new("cc");
        cc.current_dir(self.directory.path());
        let output = cc.args(["-w", "-o"]).args([&program, &code]).args(options);
        let output = output.output().expect("a C compiler");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        program
    }

    /// A program that needs libgcc_s.so.1, as C++ and Rust programs do.
    fn program(&self) -> PathBuf {
        let options = ["-Wl,--no-as-needed", "-l:libgcc_s.so.1"];
        self.compile("app", "int main(void) { return 7; }", &options)
    }

    fn base(&self, layers: Vec<Tar>, process: Value) -> Base {
        self.base_for("amd64", layers, process)
    }

    fn base_for(&self, architecture: &str, layers: Vec<Tar>, process: Value) -> Base {
        let layers: Vec<Vec<u8>> = layers.into_iter().map(Tar::bytes).collect();
        let config = config(architecture, process);
        let manifest = self.images.image(&layers, config, Form::Gzip);
        let source = Arc::new(Layout::open(self.images.path()).unwrap());
        let unpacking = Unpacking {
            kept: Some(self.at("unpacked")),
        };
        Parent::open(source, &manifest, Some(NAME.into()), "the-base", &unpacking).unwrap()
    }

    fn builder(&self, app: impl Into<PathBuf>, base: Base) -> Builder {
        let mut builder = Builder::new(app, base);
        builder
            .variables
            .remove(std::ffi::OsStr::new("VIRTUAL_ENV"));
        builder
    }
}

/// The libc and the loader of this machine, as a layer.
fn libc_of_this_machine(place: &Place) -> Tar {
    let program = place.compile("plain", "int main(void) { return 0; }", &[]);
    let mut builder = Builder::new(program, Base::none());
    builder.records = false;
    let plan = builder.plan().unwrap();
    let mut tar = Tar::new();
    for (path, entry) in plan.rootfs.iter() {
        let name = path.to_string();
        let name = name.trim_start_matches('/');
        tar = match &entry.kind {
            _ if entry.origin != Origin::Library => tar,
            EntryKind::Directory => tar.directory(name, entry.mode),
            EntryKind::Symlink(target) => tar.link(name, target.to_str().unwrap()),
            EntryKind::File(Content::Host { path, .. }) => {
                tar.program(name, std::fs::read(path).unwrap())
            }
            other => panic!("{path}: {other:?}"),
        };
    }
    tar
}

/// A base of objects that were never linked, with glibc's loader and a libc.
fn fake_system(versions: &[&str]) -> Tar {
    let loader = Elf::glibc(31, &["/lib64/", "/usr/lib64/"]).bytes();
    let libc = Elf::library("libc.so.6").defines(versions).bytes();
    Tar::new()
        .directory("usr", 0o755)
        .directory("usr/lib64", 0o755)
        .link("lib64", "usr/lib64")
        .program("usr/lib64/ld-linux-x86-64.so.2", loader)
        .program("usr/lib64/libc.so.6", libc)
}

fn uses(libraries: &[&str]) -> Elf {
    let program = Elf::program(LOADER);
    libraries.iter().fold(program, |elf, name| elf.needs(name))
}

fn executable(path: &Path, elf: &Elf) {
    use std::os::unix::fs::PermissionsExt;
    elf.write(path);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn message(builder: &Builder) -> String {
    builder.plan().unwrap_err().to_string()
}

/// The names of the layers that are packed, with their paths.
fn parts(plan: &Plan) -> Vec<(&'static str, Vec<String>)> {
    let parts = plan.parts.iter().map(|part| {
        let paths = part.paths.iter().map(ImagePath::to_string);
        (part.name, paths.collect())
    });
    parts.collect()
}

fn lent(plan: &Plan) -> Vec<String> {
    plan.lent.iter().map(|lent| lent.name.clone()).collect()
}

/// Every file of the image that the layout has under the tag `latest`.
fn documents(layout: &Path) -> (Value, Value) {
    let source = Layout::open(layout).unwrap();
    let descriptor = select(&source, Some("latest"), None).unwrap();
    let read = |digest: &str| -> Value {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let bytes = std::fs::read(layout.join("blobs/sha256").join(hex)).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let manifest = read(descriptor.digest().as_ref());
    let config = read(manifest["config"]["digest"].as_str().unwrap());
    (manifest, config)
}

#[test]
fn an_image_has_the_layers_of_its_base_by_their_digests_and_the_app_above_them() {
    let place = Place::new();
    let app = place.compile("app", "int main(void) { return 7; }", &[]);
    let layers = vec![
        libc_of_this_machine(&place),
        Tar::new().file("etc/passwd", "root:x:0:0::/:/\nnobody:x:65534:65534::/:/\n"),
    ];
    let base = place.base(
        layers,
        json!({"Env": ["PATH=/usr/bin", "LANG=C"], "Cmd": ["bash"], "Labels": {"of": "base"}, "StopSignal": "SIGINT"}),
    );
    let parent = Arc::clone(base.parent().unwrap());
    let mut builder = place.builder(&app, base);
    builder.env.push(("LANG".into(), "C.UTF-8".into()));
    let plan = builder.plan().unwrap();
    assert_eq!(
        parts(&plan),
        [("app", vec!["/app".to_owned(), "/app/app".to_owned()])]
    );
    assert!(plan.lent.is_empty());
    let root = "the base the-base runs as root";
    assert!(
        plan.notices.iter().any(|notice| notice.starts_with(root)),
        "{:?}",
        plan.notices
    );

    let output = Output::layout(place.at("out.oci"));
    let built = plan.write(&output).unwrap();
    let problems = validate(&Layout::open(place.at("out.oci")).unwrap());
    assert!(problems.is_empty(), "{problems:#?}");
    let (manifest, config) = documents(&place.at("out.oci"));
    let digests: Vec<&str> = (manifest["layers"].as_array().unwrap().iter())
        .map(|layer| layer["digest"].as_str().unwrap())
        .collect();
    let below: Vec<String> = parent
        .layers
        .iter()
        .map(|layer| layer.digest.to_string())
        .collect();
    assert_eq!(digests.len(), 3);
    assert_eq!(digests[..2], below);
    assert_eq!(
        config["config"],
        json!({
            "Entrypoint": ["/app/app"], "Env": ["PATH=/usr/bin", "LANG=C.UTF-8"],
            "Labels": {"of": "base"}, "StopSignal": "SIGINT",
        })
    );
    let annotations = &manifest["annotations"];
    assert_eq!(annotations["org.opencontainers.image.base.name"], NAME);
    assert_eq!(
        annotations["org.opencontainers.image.base.digest"],
        parent.digest.to_string()
    );
    assert_eq!(annotations["dev.distrobuild.base.layers"], "2");

    // The report of the build is that of the image, read back.
    let source = Layout::open(place.at("out.oci")).unwrap();
    let descriptor = select(&source, Some("latest"), None).unwrap();
    let mut again = Report::of_image(&source, "x", &descriptor).unwrap();
    again.reference.clone_from(&built.report.reference);
    assert_eq!(again, built.report);
    let names: Vec<&str> = built
        .report
        .layers
        .iter()
        .map(|layer| layer.what.as_str())
        .collect();
    assert_eq!(names, ["base", "base", "app"]);

    // Again, from what was unpacked and into the same store: nothing is read or packed anew.
    let again = builder.plan().unwrap().write(&output).unwrap();
    assert_eq!(again.image, built.image);
    assert!(again.reused.contains(&"base"), "{:?}", again.reused);
}

#[test]
fn every_form_of_store_takes_the_layers_of_a_base() {
    use distrobuild::store::{Destination, Reference, open};
    let place = Place::new();
    let app = place.compile("app", "int main(void) { return 7; }", &[]);
    let base = place.base(vec![libc_of_this_machine(&place)], json!({}));
    let plan = place.builder(&app, base).plan().unwrap();
    for destination in [
        Destination::OciArchive(place.at("out.tar")),
        Destination::DockerArchive(place.at("docker.tar")),
    ] {
        let mut output = Output::layout("");
        let path = destination.path().to_path_buf();
        output.destination = destination;
        output.tag = "app:latest".into();
        if path.ends_with("out.tar") {
            output.tag = "latest".into();
        }
        plan.write(&output).unwrap();
        let reference = Reference {
            form: None,
            path,
            tag: None,
        };
        let source = open(&reference).unwrap();
        let problems = validate(source.as_ref());
        assert!(problems.is_empty(), "{problems:#?}");
    }
}

#[test]
fn what_the_user_says_goes_before_what_the_base_says() {
    let place = Place::new();
    let app = place.compile("app", "int main(void) { return 7; }", &[]);
    let process = json!({
        "User": "1000", "WorkingDir": "/srv", "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "1", "b": "1"},
    });
    let base = place.base(vec![libc_of_this_machine(&place)], process);
    let mut builder = place.builder(&app, base);
    let settings = builder.plan().unwrap().settings;
    assert_eq!(
        (settings.user.as_str(), settings.workdir.as_str()),
        ("1000", "/srv")
    );
    let name = "org.opencontainers.image.base.name";
    builder.user = Some("0".into());
    builder.workdir = Some(path("/app"));
    builder.ports = vec!["80/tcp".into(), "81/tcp".into()];
    builder.labels = [("b".to_owned(), "2".to_owned())].into();
    builder.annotations = [(name.to_owned(), "mine".to_owned())].into();
    builder.cmd = vec!["-v".into()];
    let plan = builder.plan().unwrap();
    let settings = plan.settings;
    assert_eq!(
        (settings.user.as_str(), settings.workdir.as_str()),
        ("0", "/app")
    );
    assert_eq!(settings.ports, ["80/tcp", "81/tcp"]);
    assert_eq!(settings.labels["a"], "1");
    assert_eq!(settings.labels["b"], "2");
    assert_eq!(settings.annotations[name], "mine");
    assert_eq!(settings.cmd, ["-v"]);
    assert!(
        !plan
            .notices
            .iter()
            .any(|notice| notice.contains("runs as root"))
    );
}

#[test]
fn a_library_that_the_base_lacks_is_lent_to_it_and_told() {
    let place = Place::new();
    let app = place.program();
    let base = place.base(vec![libc_of_this_machine(&place)], json!({"User": "65532"}));
    let plan = place.builder(&app, base.clone()).plan().unwrap();
    assert_eq!(lent(&plan), ["libgcc_s.so.1"]);
    let parts = parts(&plan);
    assert_eq!(parts[0].0, "libraries");
    assert_eq!(parts[0].1, [plan.lent[0].at.to_string()]);
    // It stands beside the libc, where the loader of the base looks.
    let libc = plan
        .closure
        .objects
        .iter()
        .find(|it| it.path.ends_with("libc.so.6"))
        .unwrap();
    assert_eq!(plan.lent[0].at.parent(), libc.trace.target.parent());
    let told = "from this machine, as the base the-base lacks them: ";
    assert!(
        plan.notices
            .iter()
            .any(|it| it.starts_with(told) && it.contains("libgcc_s.so.1")),
        "{:?}",
        plan.notices
    );
    let resolved = place.builder(&app, base).resolve().unwrap();
    assert_eq!(resolved.lent, plan.lent);
}

#[test]
fn what_the_base_has_is_used_and_nothing_is_lent() {
    let place = Place::new();
    let app = place.program();
    let found = Builder::new(&app, Base::none()).resolve().unwrap();
    let library = found
        .closure
        .objects
        .iter()
        .find(|it| it.path.ends_with("libgcc_s.so.1"));
    let bytes = std::fs::read(library.unwrap().trace.target.as_path()).unwrap();
    let own = Tar::new().file("usr/local/lib/libgcc_s.so.1", bytes);
    let entry = CacheEntry {
        soname: b"libgcc_s.so.1".to_vec(),
        path: b"/usr/local/lib/libgcc_s.so.1".to_vec(),
        flags: 0x0303,
        hwcap: None,
    };
    let own = own.file("etc/ld.so.cache", Cache::write(&[entry]));
    let base = place.base(vec![libc_of_this_machine(&place), own], json!({}));
    let plan = place.builder(&app, base).plan().unwrap();
    assert!(plan.lent.is_empty(), "{:?}", plan.lent);
    assert_eq!(parts(&plan).len(), 1, "{:?}", parts(&plan));
}

#[test]
fn a_base_without_any_loader_gets_all_from_this_machine() {
    let place = Place::new();
    let app = place.program();
    let tar = Tar::new()
        .file("etc/passwd", "nonroot:x:65532:65532::/:/\n")
        .directory("lib", 0o755);
    let base = place.base(vec![tar], json!({"User": "nonroot"}));
    let plan = place.builder(&app, base).plan().unwrap();
    let mut names = lent(&plan);
    names.sort();
    assert_eq!(names, [LOADER, "libc.so.6", "libgcc_s.so.1"]);
    assert_eq!(
        plan.rootfs.get(&path(LOADER)).map(|entry| entry.origin),
        Some(Origin::Library)
    );
    let built = plan.write(&Output::layout(place.at("out.oci"))).unwrap();
    assert_eq!(built.image.layers.len(), 3);
}

#[test]
fn images_on_bases_start() {
    let place = Place::new();
    let source = "#include <stdio.h>\nint main(void) { puts(\"alive\"); return 0; }";
    let app = place.compile("app", source, &["-Wl,--no-as-needed", "-l:libgcc_s.so.1"]);
    let smoke = Smoke {
        expect: vec!["alive".into()],
        limit: Duration::from_secs(60),
        helper: Helper::at(env!("CARGO_BIN_EXE_distrobuild")),
        ..Smoke::default()
    };
    let layers = [
        vec![libc_of_this_machine(&place)],
        vec![Tar::new().file("etc/passwd", "nonroot:x:65532:65532::/:/\n")],
    ];
    for layers in layers {
        let base = place.base(layers, json!({"User": "65532:65532"}));
        let plan = place.builder(&app, base).plan().unwrap();
        match plan.smoke(&smoke) {
            Ok(_) => {}
            Err(distrobuild::Error::Smoke(SmokeError::Unavailable { .. })) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_base_with_another_libc_is_refused_and_a_part_of_the_libc_never_lent() {
    let place = Place::new();
    let app = place.compile("app", "int main(void) { return 7; }", &[]);
    let musl = Tar::new().program("lib/ld-musl-x86_64.so.1", Elf::musl().bytes());
    let base = place.base(vec![musl], json!({}));
    let text = message(&place.builder(&app, base));
    assert!(text.contains("is linked for glibc"), "{text}");
    assert!(
        text.contains("the base the-base has musl: take a base with glibc"),
        "{text}"
    );

    let system = fake_system(&["GLIBC_2.2.5"]);
    let base = place.base(vec![system], json!({}));
    let app = place.at("of-musl");
    executable(&app, &Elf::program("/lib/ld-musl-x86_64.so.1"));
    let text = message(&place.builder(&app, base.clone()));
    assert!(text.contains("is linked for musl"), "{text}");

    let app = place.at("mathematics");
    executable(&app, &uses(&["libm.so.6", "libc.so.6"]));
    let text = message(&place.builder(&app, base));
    assert!(
        text.starts_with("a library is missing:\n  libm.so.6\n"),
        "{text}"
    );
    assert!(text.contains("Parts of the libc are never lent"), "{text}");
    assert!(!text.contains("--package"), "{text}");
}

#[test]
fn versions_that_the_libc_of_the_base_lacks_are_refused_by_name() {
    let place = Place::new();
    // A libc of tomorrow, to link against.
    std::fs::write(
        place.at("map"),
        "GLIBC_2.98 { new; };\nGLIBC_2.99 { newer; };\n",
    )
    .unwrap();
    let source = "int new(void) { return 0; } int newer(void) { return 0; }";
    let options = [
        "-shared",
        "-nostdlib",
        "-Wl,-soname,libc.so.6",
        "-Wl,--version-script=map",
    ];
    place.compile("tomorrow/libc.so.6", source, &options);
    let source = "int new(void); int newer(void); void _start(void) { new(); newer(); }";
    let app = place.compile("app", source, &["-nostdlib", "tomorrow/libc.so.6"]);
    let base = place.base(vec![fake_system(&["GLIBC_2.2.5", "GLIBC_2.31"])], json!({}));
    let text = message(&place.builder(&app, base.clone()));
    assert!(text.starts_with("symbol versions are missing:\n"), "{text}");
    let shown = app.display();
    for version in ["GLIBC_2.98", "GLIBC_2.99"] {
        assert!(
            text.contains(&format!(
                "{version} not found in the-base:/lib64/libc.so.6 (required by {shown})"
            )),
            "{text}"
        );
    }
    assert!(
        text.contains("The newest version of glibc that the base the-base has is 2.31"),
        "{text}"
    );
    assert!(
        text.contains("Take a newer base, or build it on a system with glibc 2.31 or older"),
        "{text}"
    );

    // A library that is lent is held to the same.
    let app = place.at("borrows");
    executable(&app, &uses(&["libgcc_s.so.1", "libc.so.6"]));
    let text = message(&place.builder(&app, base));
    assert!(text.contains("libgcc_s.so.1)"), "{text}");
    assert!(text.contains(" not found in the-base:/"), "{text}");
}

#[test]
fn nothing_is_lent_for_another_machine() {
    let place = Place::new();
    let elf = |elf: Elf| elf.for_machine(183, true, false);
    let loader = elf(Elf::glibc(36, &["/lib/"])).bytes();
    let tar = Tar::new().program("lib/ld-linux-aarch64.so.1", loader);
    let base = place.base_for("arm64", vec![tar], json!({}));
    let app = place.at("app");
    let program = Elf::program("/lib/ld-linux-aarch64.so.1").needs("libgcc_s.so.1");
    executable(&app, &elf(program));
    let text = message(&place.builder(&app, base.clone()));
    assert!(
        text.starts_with("a library is missing:\n  libgcc_s.so.1\n"),
        "{text}"
    );

    // And a base with a loader for another machine is told by its platform.
    let app = place.program();
    let text = message(&place.builder(&app, base));
    assert!(
        text.contains("the base the-base is for linux/arm64: take the base for linux/amd64 (--platform linux/amd64)"),
        "{text}"
    );
}

#[test]
fn a_base_for_another_platform_is_refused_also_when_no_loader_tells() {
    let place = Place::new();
    let app = place.compile("app", "int main(void) { return 7; }", &["-static"]);
    let base = place.base_for("arm64", vec![Tar::new().file("a", "1")], json!({}));
    let mut builder = place.builder(&app, base);
    let text = message(&builder);
    assert!(
        text.contains("is a program for linux/amd64, and the base the-base is for linux/arm64"),
        "{text}"
    );
    builder.base = place.base(vec![Tar::new().file("a", "1")], json!({}));
    let plan = builder.plan().unwrap();
    assert_eq!(plan.platform, Platform::linux("amd64", None));
    assert!(plan.lent.is_empty());
}

#[test]
fn only_what_is_new_or_changed_lands_in_layers_above_those_of_the_base() {
    let place = Place::new();
    let entry = CacheEntry {
        soname: b"libold.so".to_vec(),
        path: b"/opt/old/libold.so".to_vec(),
        flags: 0x0303,
        hwcap: None,
    };
    let tar = fake_system(&["GLIBC_2.2.5"])
        .directory("tmp", 0o1777)
        .directory("etc", 0o755)
        .file("etc/config", "of the base")
        .hard_link("etc/same", "etc/config")
        .hard_link("etc/third", "etc/config")
        .file("etc/ld.so.cache", Cache::write(&[entry]));
    let base = place.base(vec![tar], json!({}));
    let app = place.at("app");
    executable(&app, &uses(&["libmine.so", "libc.so.6"]));
    Elf::library("libmine.so").write(&place.at("more/libmine.so"));
    std::fs::write(place.at("config"), "mine").unwrap();
    let mut builder = place.builder(&app, base.clone());
    builder.library_path = vec![place.at("more")];
    for (from, to) in [("config", "/etc/config"), ("config", "/tmp/below")] {
        let spelled = format!("{}:{to}", place.at(from).display());
        builder.includes.push(Include::parse(&spelled).unwrap());
    }
    let plan = builder.plan().unwrap();
    let parts = parts(&plan);
    assert_eq!(parts[0].0, "libraries");
    let (libraries, apps) = (&parts[0].1, &parts[1].1);
    for changed in ["/etc/ld.so.cache", "/app/more/libmine.so"] {
        assert!(libraries.iter().any(|path| path == changed), "{parts:?}");
    }
    // The directory keeps its mode where layers are unpacked apart.
    assert_eq!(apps[..], ["/app/app", "/etc/config", "/tmp", "/tmp/below"]);
    assert_eq!(plan.rootfs.get(&path("/tmp")).unwrap().mode, 0o1777);
    assert!(
        !libraries
            .iter()
            .any(|path| path.contains("config") || path == "/etc/same" || path.starts_with("/usr")),
        "{parts:?}"
    );
    let cache = plan.rootfs.get(&path("/etc/ld.so.cache")).unwrap();
    let EntryKind::File(Content::Bytes(bytes)) = &cache.kind else {
        panic!("it was made");
    };
    let cache = Cache::parse(bytes).unwrap();
    let names: Vec<_> = cache.entries().iter().map(|it| it.soname.clone()).collect();
    assert!(names.contains(&b"libold.so".to_vec()) && names.contains(&b"libmine.so".to_vec()));
    let built = plan.write(&Output::layout(place.at("out.oci"))).unwrap();
    let source = Layout::open(place.at("out.oci")).unwrap();
    let read = Report::of_image(&source, "x", &built.image.descriptor).unwrap();
    let sum = |report: &Report| (report.unpacked, report.file_count, report.compressed);
    assert_eq!(sum(&read), sum(&built.report));
    assert!(source.index().is_ok());
}

#[test]
fn a_blob_of_the_base_that_is_gone_or_damaged_ends_the_build_and_writes_nothing() {
    let place = Place::new();
    let app = place.compile("app", "int main(void) { return 7; }", &[]);
    let base = place.base(vec![libc_of_this_machine(&place)], json!({}));
    let digest = base.parent().unwrap().layers[0].digest.to_string();
    let plan = place.builder(&app, base).plan().unwrap();
    let blob = place.images.blob(&digest);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&blob, &bytes).unwrap();
    let output = Output::layout(place.at("out.oci"));
    let text = plan.write(&output).unwrap_err().to_string();
    assert!(
        text.contains(&format!("the layer {digest} is damaged")),
        "{text}"
    );
    std::fs::remove_file(&blob).unwrap();
    let text = plan.write(&output).unwrap_err().to_string();
    assert!(text.contains("is missing"), "{text}");
    assert!(!place.at("out.oci").exists());
}
