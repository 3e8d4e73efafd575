//! Runtimes of the machine that builds, and smaller ones that its tools make. Shell scripts stand
//! for the tools.

use std::ffi::OsString;

use super::fixture::{System, class, jar, main_jar};
use super::{find, image};
use crate::app::Hosted;
use crate::elf::Root;

const HOME: &str = "/home/me/jdk";

/// Makes what `--output` names, and counts how often.
const JLINK: &str = r#"#!/bin/sh
echo run >> "$(dirname "$0")/../count"
while [ $# -gt 1 ]; do
    case $1 in --output) out=$2;; --add-modules) modules=$2;; esac
    shift
done
/bin/mkdir -p "$out/bin" "$out/lib/server" "$out/lib/security"
echo "$modules" > "$out/lib/modules"
echo own > "$out/lib/security/cacerts"
for file in bin/java lib/libjli.so lib/server/libjvm.so lib/libjava.so; do echo x > "$out/$file"; done
"#;

fn with_tools(jlink: &str, jdeps: &str) -> System {
    let system = System::new();
    system.java(HOME, "17.0.15");
    system.program(
        &format!("{HOME}/bin/jlink"),
        &jlink.replace("dirname", "/usr/bin/dirname"),
    );
    system.program(&format!("{HOME}/bin/jdeps"), jdeps);
    system.write(&format!("{HOME}/lib/security/cacerts"), b"trusted here");
    system.write("/work/app.jar", &main_jar(61));
    system
}

fn build(system: &System, variables: &[(&str, OsString)]) -> Hosted {
    let mut all = vec![("JAVA_HOME", system.at(HOME).into_os_string())];
    all.extend_from_slice(variables);
    system
        .recognise_here("/work/app.jar", &all)
        .unwrap()
        .unwrap()
}

fn modules(hosted: &Hosted) -> String {
    let file = find(hosted, "/usr/lib/jvm/java-17/lib/modules").unwrap();
    std::fs::read_to_string(&file.source)
        .unwrap()
        .trim()
        .to_owned()
}

const JDEPS: &str = "#!/bin/sh\necho java.base,java.sql\n";

#[test]
fn a_smaller_runtime_is_linked_of_the_modules_that_are_used() {
    let system = with_tools(JLINK, JDEPS);
    let hosted = build(&system, &[]);
    assert_eq!(hosted.command[0], "/usr/lib/jvm/java-17/bin/java");
    assert_eq!(modules(&hosted), "java.base,java.sql");
    assert!(
        hosted
            .decisions
            .iter()
            .any(|text| text.contains("java.base, java.sql"))
    );
    let home = image(system.at(HOME).to_str().unwrap());
    assert_eq!(hosted.hidden, std::slice::from_ref(&home));
    assert!(
        hosted
            .moved
            .contains(&(home.into(), image("/usr/lib/jvm/java-17")))
    );
}

#[test]
fn a_linked_runtime_trusts_whom_the_one_on_this_machine_trusts() {
    let system = with_tools(JLINK, JDEPS);
    let hosted = build(&system, &[]);
    let certificates = find(&hosted, "/usr/lib/jvm/java-17/lib/security/cacerts").unwrap();
    assert_eq!(certificates.entry.size(), "trusted here".len() as u64);
}

#[test]
fn the_same_runtime_is_not_linked_twice() {
    let system = with_tools(JLINK, JDEPS);
    let first = build(&system, &[]);
    let second = build(&system, &[]);
    assert_eq!(first, second);
    let count = std::fs::read_to_string(system.at(&format!("{HOME}/count"))).unwrap();
    assert_eq!(count, "run\n");
    // Nothing but what is to be found again is left behind.
    let left: Vec<_> = std::fs::read_dir(system.at("/scratch")).unwrap().collect();
    assert_eq!(left.len(), 2);
}

#[test]
fn modules_can_be_added_by_name() {
    let system = with_tools(JLINK, JDEPS);
    let hosted = build(&system, &[("DISTROBUILD_JAVA_MODULES", "jdk.zipfs".into())]);
    assert_eq!(modules(&hosted), "java.base,java.sql,jdk.zipfs");
    let hosted = build(&system, &[("DISTROBUILD_JAVA_MODULES", "no.such".into())]);
    assert!(hosted.notices[0].contains("no.such, which is no module of it"));
}

#[test]
fn the_whole_runtime_can_be_asked_for() {
    let system = with_tools(JLINK, JDEPS);
    let hosted = build(&system, &[("DISTROBUILD_JAVA_MODULES", "all".into())]);
    assert_eq!(modules(&hosted), "x");
    assert!(find(&hosted, "/usr/lib/jvm/java-17/jmods/java.base.jmod").is_none());
}

#[test]
fn a_link_that_fails_leaves_the_whole_runtime_and_a_notice() {
    let system = with_tools("#!/bin/sh\necho no space; exit 1\n", JDEPS);
    let hosted = build(&system, &[]);
    assert_eq!(modules(&hosted), "x");
    let notice = &hosted.notices[0];
    assert!(
        notice.starts_with("no smaller runtime could be linked"),
        "{notice}"
    );
    assert!(notice.ends_with("(exit code 1): no space"), "{notice}");
}

#[test]
fn a_java_home_without_java_is_an_error() {
    let system = System::new();
    system.write("/work/app.jar", &main_jar(61));
    system.write("/other/readme", b"x");
    for (home, expected) in [
        (system.at("/other").into_os_string(), "it has no bin/java"),
        (
            system.at("/none").into_os_string(),
            "there is no such directory",
        ),
        ("jdk".into(), "it is no absolute path"),
    ] {
        let result = system.recognise_here("/work/app.jar", &[("JAVA_HOME", home)]);
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_shim_is_asked_which_java_it_starts() {
    let system = with_tools(JLINK, JDEPS);
    let home = system.at(HOME);
    let shim = format!("#!/bin/sh\necho '    java.home = {}'\n", home.display());
    system.program("/shims/java", &shim);
    let path = format!("{}:/usr/bin:/bin", system.at("/shims").display());
    let hosted = system
        .recognise_here("/work/app.jar", &[("PATH", path.into())])
        .unwrap()
        .unwrap();
    assert_eq!(hosted.version, "17.0.15");
    assert_eq!(hosted.hidden, [image(home.to_str().unwrap())]);
}

/// Compiles with the C compiler of this machine.
fn compile(system: &System, output: &str, arguments: &[&str]) {
    let source = system.at("/source.c");
    std::fs::write(
        &source,
        "int number(void) { return 1; }\nint main(void) { return 0; }\n",
    )
    .unwrap();
    let output = system.at(output);
    std::fs::create_dir_all(output.parent().unwrap()).unwrap();
    let status = std::process::Command::new("cc")
        .arg("-o")
        .arg(output)
        .arg(source)
        .args(arguments)
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn libraries_in_jars_bring_what_they_need_of_the_system() {
    let system = with_tools(JLINK, JDEPS);
    compile(&system, &format!("{HOME}/bin/java"), &[]);
    compile(
        &system,
        "/libx.so",
        &["-shared", "-fPIC", "-Wl,--no-as-needed", "-lm"],
    );
    // Made for another C library than the one of `java`.
    compile(
        &system,
        "/libc.other.so.1",
        &[
            "-shared",
            "-fPIC",
            "-nostdlib",
            "-Wl,-soname,libc.other.so.1",
        ],
    );
    let other = system.at("/libc.other.so.1");
    compile(
        &system,
        "/liby.so",
        &[
            "-shared",
            "-fPIC",
            "-nostdlib",
            "-Wl,--no-as-needed",
            other.to_str().unwrap(),
        ],
    );
    let read = |path| std::fs::read(system.at(path)).unwrap();
    let app = jar(&[
        ("META-INF/MANIFEST.MF", b"Main-Class: a.Main\n"),
        ("a/Main.class", &class(61, "a/Main")),
        ("native/libx.so", &read("/libx.so")),
        ("native/liby.so", &read("/liby.so")),
    ]);
    system.write("/work/app.jar", &app);
    let hosted = build(&system, &[("DISTROBUILD_JAVA_MODULES", "all".into())]);
    let names: Vec<String> = hosted
        .roots
        .iter()
        .filter_map(|root| match root {
            Root::Dlopen { name } => name.to_str().map(str::to_owned),
            _ => None,
        })
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].starts_with("libm.so"), "{names:?}");
    let notices = hosted.notices.join("\n");
    assert!(notices.contains("native/libx.so is unpacked"), "{notices}");
    assert!(!notices.contains("liby.so"), "{notices}");
}
