#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fixture;
mod linking;

use fixture::{JAVA_17, System, class, jar, main_jar};

use super::*;
use crate::rootfs::EntryKind;

fn image(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn find<'a>(hosted: &'a Hosted, path: &str) -> Option<&'a Companion> {
    let mut files = hosted.companions.iter().flat_map(|group| &group.files);
    files.find(|file| file.path == image(path))
}

#[test]
fn a_jar_is_started_by_the_runtime_of_the_sysroot() {
    let system = System::with_java();
    system.write("/home/me/app.jar", &main_jar(61));
    let hosted = system.recognise("/home/me/app.jar").unwrap().unwrap();
    let java = format!("{JAVA_17}/bin/java");
    assert_eq!(hosted.command, [&java, "-jar", "/app/app.jar"]);
    assert_eq!(hosted.version, "17.0.15");
    assert_eq!(hosted.env, [("JAVA_HOME".to_owned(), JAVA_17.to_owned())]);
    assert_eq!(hosted.roots, [Root::Program { path: java.into() }]);
    assert!(hosted.hidden.is_empty());
    assert!(find(&hosted, "/app/app.jar").is_some());
    assert!(find(&hosted, &format!("{JAVA_17}/lib/modules")).is_some());
    assert!(find(&hosted, &format!("{JAVA_17}/jmods/java.base.jmod")).is_none());
}

#[test]
fn what_the_virtual_machine_loads_is_asked_for_in_its_order() {
    let system = System::with_java();
    system.write("/app.jar", &main_jar(61));
    let hosted = system.recognise("/app.jar").unwrap().unwrap();
    let machine = &hosted.companions[0];
    let names: Vec<_> = machine
        .files
        .iter()
        .map(|file| file.path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "java",
            "libjli.so",
            "libjvm.so",
            "libjava.so",
            "libnio.so",
            "jspawnhelper"
        ]
    );
    assert!(machine.files.iter().all(|file| file.role == Role::Object));
    let optional = find(&hosted, &format!("{JAVA_17}/lib/libinstrument.so")).unwrap();
    assert_eq!(optional.role, Role::Optional);
}

#[test]
fn configuration_outside_of_the_runtime_comes_along_behind_its_link() {
    let system = System::with_java();
    system.write("/app.jar", &main_jar(61));
    let hosted = system.recognise("/app.jar").unwrap().unwrap();
    let link = find(&hosted, &format!("{JAVA_17}/lib/security/cacerts")).unwrap();
    assert_eq!(
        link.entry.kind,
        EntryKind::Symlink("/etc/ssl/certs/java/cacerts".into())
    );
    let target = find(&hosted, "/etc/ssl/certs/java/cacerts").unwrap();
    assert_eq!(target.entry.size(), 5);
}

#[test]
fn missing_certificates_are_told() {
    let system = System::with_java();
    system.write("/app.jar", &main_jar(61));
    system.remove("/etc/ssl/certs/java/cacerts");
    let hosted = system.recognise("/app.jar").unwrap().unwrap();
    assert!(
        hosted
            .notices
            .iter()
            .any(|notice| notice.contains("trusts nobody"))
    );
}

#[test]
fn a_jar_behind_a_script_line_is_a_jar() {
    let system = System::with_java();
    let mut bytes = b"#!/usr/bin/java -jar\n".to_vec();
    bytes.extend(main_jar(61));
    system.write("/opt/tool", &bytes);
    let hosted = system.recognise("/opt/tool").unwrap().unwrap();
    assert_eq!(hosted.command[1..], ["-jar", "/app/tool.jar"]);
}

#[test]
fn jars_of_the_class_path_come_along_at_the_same_relative_place() {
    let system = System::with_java();
    let manifest = "Main-Class: a.Main\r\nClass-Path: lib/x.jar ../up%20there.jar lib/none.jar http://h/y.jar\r\n";
    system.write(
        "/srv/a/app.jar",
        &jar(&[
            ("META-INF/MANIFEST.MF", manifest.as_bytes()),
            ("a/Main.class", &class(61, "a/Main")),
        ]),
    );
    let inner = jar(&[("META-INF/MANIFEST.MF", b"Class-Path: z.jar app.jar\n")]);
    system.write("/srv/a/lib/x.jar", &inner);
    system.write("/srv/a/lib/z.jar", &jar(&[("r.txt", b"r")]));
    system.write("/srv/up there.jar", &jar(&[("r.txt", b"r")]));
    let hosted = system.recognise("/srv/a/app.jar").unwrap().unwrap();
    for path in [
        "/app/app.jar",
        "/app/lib/x.jar",
        "/app/lib/z.jar",
        "/up there.jar",
    ] {
        assert!(find(&hosted, path).is_some(), "{path}");
    }
    let notices = hosted.notices.join("\n");
    assert!(
        notices.contains("names lib/none.jar, which does not exist"),
        "{notices}"
    );
    assert!(
        notices.contains("names http://h/y.jar, which is no file"),
        "{notices}"
    );
}

#[test]
fn a_jar_without_a_main_class_has_candidates() {
    let system = System::with_java();
    system.write("/x.jar", &jar(&[("b/Two.class", &class(61, "b/Two"))]));
    let error = system.recognise("/x.jar").unwrap_err().to_string();
    assert!(
        error.contains("its manifest names no Main-Class"),
        "{error}"
    );
    assert!(error.ends_with("/x.jar --main-class b.Two`"), "{error}");
    system.write("/y.jar", &jar(&[("r.txt", b"r")]));
    let error = system.recognise("/y.jar").unwrap_err().to_string();
    assert!(error.contains("seems to be a library"), "{error}");
}

#[test]
fn a_newer_class_names_a_runtime_that_can_run_it() {
    let system = System::with_java();
    system.write("/x.jar", &main_jar(65));
    let error = system.recognise("/x.jar").unwrap_err().to_string();
    assert!(
        error.contains("needs Java 21 (class file version 65), the runtime"),
        "{error}"
    );
    assert!(
        error.contains("a Java 21 or newer, which has to be installed"),
        "{error}"
    );
    system.java("/opt/java/jdk-25", "25.0.3");
    let error = system.recognise("/x.jar").unwrap_err().to_string();
    assert!(error.contains("is 17.0.15: set JAVA_HOME to"), "{error}");
    assert!(error.ends_with("/opt/java/jdk-25"), "{error}");
}

#[test]
fn the_newest_installed_runtime_is_taken_when_none_is_on_the_path() {
    let system = System::with_java();
    system.remove("/usr/bin/java");
    system.java("/usr/lib/jvm/java-21", "21.0.2");
    system.write("/x.jar", &main_jar(65));
    let hosted = system.recognise("/x.jar").unwrap().unwrap();
    assert_eq!(hosted.version, "21.0.2");
}

#[test]
fn a_runtime_of_java_8_has_its_own_layout() {
    let system = System::new();
    let home = "/usr/lib/jvm/java-8-openjdk-amd64";
    for file in [
        "jre/bin/java",
        "jre/lib/amd64/server/libjvm.so",
        "jre/lib/amd64/jli/libjli.so",
        "jre/lib/rt.jar",
        "lib/tools.jar",
        "bin/java",
    ] {
        system.write(&format!("{home}/{file}"), b"x");
    }
    system.write("/x.jar", &main_jar(52));
    let hosted = system.recognise("/x.jar").unwrap().unwrap();
    assert_eq!(hosted.version, "8");
    assert_eq!(hosted.command[0], format!("{home}/jre/bin/java"));
    assert!(find(&hosted, &format!("{home}/jre/lib/rt.jar")).is_some());
    assert!(find(&hosted, &format!("{home}/lib/tools.jar")).is_none());
}

#[test]
fn the_class_that_spring_boot_starts_decides_the_version() {
    let system = System::with_java();
    let nested = jar(&[("c/Lib.class", &class(52, "c/Lib"))]);
    let boot = |major| {
        jar(&[
            (
                "META-INF/MANIFEST.MF",
                b"Main-Class: org.Launcher\nStart-Class: a.Main\n",
            ),
            ("org/Launcher.class", &class(52, "org/Launcher")),
            ("BOOT-INF/classes/a/Main.class", &class(major, "a/Main")),
            ("BOOT-INF/lib/lib.jar", &nested),
        ])
    };
    system.write("/x.jar", &boot(61));
    let hosted = system.recognise("/x.jar").unwrap().unwrap();
    assert_eq!(hosted.command[1..], ["-jar", "/app/x.jar"]);
    system.write("/x.jar", &boot(69));
    let error = system.recognise("/x.jar").unwrap_err();
    assert!(matches!(error, JavaError::TooNew { major: 69, .. }));
}

#[test]
fn a_main_class_that_is_nowhere_is_an_error() {
    let system = System::with_java();
    system.write(
        "/x.jar",
        &jar(&[("META-INF/MANIFEST.MF", b"Main-Class: a.Gone\n")]),
    );
    let error = system.recognise("/x.jar").unwrap_err().to_string();
    assert!(
        error.contains("its main class a.Gone is in none of the jars"),
        "{error}"
    );
}

#[test]
fn a_damaged_jar_says_so_and_other_archives_are_nobodys() {
    let system = System::with_java();
    system.write("/x.jar", b"PK\x03\x04 and no more");
    let error = system.recognise("/x.jar").unwrap_err().to_string();
    assert!(error.contains("is a damaged archive"), "{error}");
    system.write("/data.zip", &jar(&[("r.txt", b"r")]));
    assert!(system.recognise("/data.zip").unwrap().is_none());
    system.write("/run.sh", b"#!/bin/sh\nexec true\n");
    assert!(system.recognise("/run.sh").unwrap().is_none());
}

#[test]
fn what_is_no_java_app_is_refused_only_when_java_was_asked_for() {
    let system = System::with_java();
    system.write("/data.zip", &jar(&[("r.txt", b"r")]));
    let only = RuntimeChoice::Only(Runtime::Java);
    let error = system
        .recognise_as("/data.zip", only)
        .unwrap_err()
        .to_string();
    assert!(error.contains("is no Java app"), "{error}");
    let none = system
        .recognise_as("/data.zip", RuntimeChoice::None)
        .unwrap();
    assert!(none.is_none());
}

#[test]
fn a_manifest_that_unpacks_to_more_than_any_has_is_refused() {
    let system = System::with_java();
    let bomb = vec![b'a'; 17 << 20];
    system.write("/x.jar", &jar(&[("META-INF/MANIFEST.MF", &bomb)]));
    let error = system.recognise("/x.jar").unwrap_err().to_string();
    assert!(
        error.contains("x.jar!/META-INF/MANIFEST.MF: has more than 16 MiB"),
        "{error}"
    );
}

#[test]
fn a_machine_without_java_says_where_it_was_looked_for() {
    let system = System::new();
    system.write("/x.jar", &main_jar(61));
    let error = system.recognise("/x.jar").unwrap_err().to_string();
    assert!(
        error.contains("no runtime was found (no `java` is on the image's PATH"),
        "{error}"
    );
}

#[test]
fn a_class_is_started_from_the_directory_that_its_name_starts_in() {
    let system = System::with_java();
    system.write("/w/out/a/Main.class", &class(61, "a/Main"));
    system.write("/w/out/a/Other.class", &class(61, "a/Other"));
    system.write("/w/out/x.properties", b"x");
    let hosted = system.recognise("/w/out/a/Main.class").unwrap().unwrap();
    assert_eq!(hosted.command[1..], ["-cp", "/app/classes", "a.Main"]);
    assert!(find(&hosted, "/app/classes/a/Other.class").is_some());
    assert!(find(&hosted, "/app/classes/x.properties").is_some());
    system.write("/w/Main.class", &class(61, "a/Main"));
    let error = system.recognise("/w/Main.class").unwrap_err().to_string();
    assert!(error.contains("has to be at a/Main.class"), "{error}");
}

#[test]
fn a_directory_of_jars_starts_the_one_that_can_be_started() {
    let system = System::with_java();
    system.write("/d/app.jar", &main_jar(61));
    system.write("/d/lib/x.jar", &jar(&[("r.txt", b"r")]));
    let hosted = system.recognise("/d").unwrap().unwrap();
    assert_eq!(
        hosted.command[1..],
        ["-cp", "/app/app.jar:/app/lib/x.jar", "a.Main"]
    );
    system.write("/d/second.jar", &main_jar(61));
    let error = system.recognise("/d").unwrap_err().to_string();
    assert!(
        error.contains("several jars with a Main-Class (app.jar, second.jar)"),
        "{error}"
    );
    system.write("/empty/readme", b"x");
    assert!(system.recognise("/empty").unwrap().is_none());
}

#[test]
fn a_start_script_is_replaced_by_what_it_runs() {
    let system = System::with_java();
    let script = "#!/bin/sh\nDEFAULT_JVM_OPTS='\"-Dhome=$APP_HOME/conf\"'\n\
                  CLASSPATH=$APP_HOME/lib/app.jar:$APP_HOME/lib/dep.jar\n\
                  set -- -classpath \"$CLASSPATH\" a.Main \"$@\"\nexec \"$JAVACMD\" \"$@\"\n";
    system.write("/i/bin/tool", script.as_bytes());
    system.write("/i/lib/app.jar", &main_jar(61));
    system.write("/i/lib/dep.jar", &jar(&[("r.txt", b"r")]));
    system.write("/i/conf/a.xml", b"<a/>");
    for given in ["/i", "/i/bin/tool"] {
        let hosted = system.recognise(given).unwrap().unwrap();
        assert_eq!(
            hosted.command[1..],
            [
                "-Dhome=/app/conf",
                "-cp",
                "/app/lib/app.jar:/app/lib/dep.jar",
                "a.Main"
            ]
        );
        assert!(find(&hosted, "/app/conf/a.xml").is_some());
        assert!(find(&hosted, "/app/bin/tool").is_none());
        let packages = hosted
            .companions
            .iter()
            .find(|group| group.by == Provenance::Packages);
        let files = &packages.unwrap().files;
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].path, image("/app/lib/dep.jar"));
    }
}

proptest::proptest! {
    #[test]
    fn a_damaged_jar_is_never_a_reason_to_panic(cut in 0..900usize, at in 0..900usize, value: u8) {
        let mut bytes = main_jar(61);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        bytes.truncate(cut.max(1));
        let system = System::new();
        system.write("/x.jar", &bytes);
        let _ = system.recognise("/x.jar");
    }
}
