//! Whole builds, through the program as a user runs it. Images are read back and
//! validated; they are run in `tests/interop`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use distrobuild::image::validate;
use distrobuild::layer::{LayerEntryKind, read_layer};
use distrobuild::store::{self, Reference, Source};
use tempfile::TempDir;

/// A directory with programs in it, and what is built there.
struct Place {
    directory: TempDir,
}

/// What a command did.
struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

/// One entry of an image: `d0755 /usr`, `-0755 /app/hello`, `l /lib -> usr/lib`.
type Listing = Vec<String>;

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Compiles C; `name` is where the program lands.
    fn compile(&self, name: &str, source: &str, options: &[&str]) -> PathBuf {
        let code = self.write(&format!("{name}.c"), source);
        let path = self.path(name);
        let output = Command::new("cc")
            .args(["-o".as_ref(), path.as_os_str(), code.as_os_str()])
            .args(options)
            .current_dir(self.directory.path())
            .output()
            .expect("a C compiler, which the README asks for");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        path
    }

    fn hello(&self) -> PathBuf {
        self.compile("hello", "int main(void) { return 0; }\n", &[])
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(&[], arguments)
    }

    fn run_with(&self, env: &[(&str, &str)], arguments: &[&str]) -> Outcome {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_distrobuild"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env_remove("SOURCE_DATE_EPOCH")
            .env("LC_ALL", "C.UTF-8")
            .envs(env.iter().copied())
            .output()
            .unwrap();
        // The directory has another name in every run.
        let shown = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes).replace(
                self.directory
                    .path()
                    .canonicalize()
                    .unwrap()
                    .to_str()
                    .unwrap(),
                "HERE",
            )
        };
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: shown(&output.stdout),
            stderr: shown(&output.stderr),
        }
    }

    /// Builds, and expects success.
    fn build(&self, arguments: &[&str]) -> Outcome {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        outcome
    }

    fn source(&self, image: &str) -> Box<dyn Source> {
        let reference = Reference::parse(self.path(image)).unwrap();
        let source = store::open(&reference).unwrap();
        let problems = validate(&*source);
        assert!(problems.is_empty(), "{problems:?}");
        source
    }

    /// The digest of the image's manifest.
    fn digest(&self, image: &str) -> String {
        let descriptor = store::select(&*self.source(image), None, None).unwrap();
        descriptor.digest().to_string()
    }

    /// Unpacks the image into a directory. Hard links become copies.
    fn unpack(&self, image: &str, directory: &str) -> PathBuf {
        let root = self.path(directory);
        fs::create_dir_all(&root).unwrap();
        let source = self.source(image);
        let descriptor = store::select(&*source, None, None).unwrap();
        let manifest = store::read_manifest(&*source, &descriptor).unwrap();
        for layer in manifest.layers() {
            let blob = source.blob(layer).unwrap();
            read_layer(blob, layer.media_type(), &mut |entry, content| {
                let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap());
                let at = inside(entry.path.as_path());
                let link = || entry.link.as_deref().unwrap();
                match entry.kind {
                    LayerEntryKind::Directory => fs::create_dir_all(&at)?,
                    LayerEntryKind::Symlink => symlink(link(), &at)?,
                    LayerEntryKind::HardLink => drop(fs::copy(inside(link()), &at)?),
                    _ => drop(std::io::copy(content, &mut fs::File::create(&at)?)?),
                }
                Ok(())
            })
            .unwrap();
        }
        root
    }

    /// The config of the image, and all entries of its layers.
    fn read(&self, image: &str) -> (serde_json::Value, Listing) {
        let source = self.source(image);
        let descriptor = store::select(&*source, None, None).unwrap();
        let manifest = store::read_manifest(&*source, &descriptor).unwrap();
        let config = store::read_document(&*source, manifest.config()).unwrap();
        let mut listing = Vec::new();
        for layer in manifest.layers() {
            read_layer(
                source.blob(layer).unwrap(),
                layer.media_type(),
                &mut |entry, _| {
                    let link = entry.link.as_ref();
                    listing.push(match link {
                        Some(target) => format!("l {} -> {}", entry.path, target.display()),
                        None => format!("{:04o} {}", entry.mode, entry.path),
                    });
                    Ok(())
                },
            )
            .unwrap();
        }
        (serde_json::from_slice(&config).unwrap(), listing)
    }
}

fn has(listing: &Listing, entry: &str) -> bool {
    listing.iter().any(|line| line == entry)
}

#[test]
fn an_image_holds_the_app_its_libraries_and_the_base() {
    let place = Place::new();
    place.hello();
    let outcome = place.build(&["./hello"]);
    let (config, listing) = place.read("hello.oci");
    assert_eq!(config["config"]["Entrypoint"][0], "/app/hello");
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["history"].as_array().unwrap().len(), 3);
    assert!(has(&listing, "0755 /app/hello"));
    assert!(has(&listing, "1777 /tmp"));
    assert!(has(&listing, "0644 /etc/ssl/certs/ca-certificates.crt"));
    assert!(
        listing.iter().any(|line| line.contains("libc")),
        "{listing:?}"
    );
    assert!(!listing.iter().any(|line| line.ends_with("/bin/sh")));
    assert!(
        outcome.stdout.contains("hello.oci:latest"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("debian:bookworm-slim") || !cfg!(target_arch = "x86_64"));
}

#[test]
fn quiet_leaves_one_line_that_other_commands_take() {
    let place = Place::new();
    place.hello();
    let outcome = place.build(&["-q", "./hello", "-t", "1.0"]);
    assert_eq!(outcome.stdout, "hello.oci:1.0\n");
    assert_eq!(outcome.stderr, "");
    place.build(&["report", outcome.stdout.trim_end()]);
}

#[test]
fn neither_the_directory_nor_the_cache_nor_the_threads_change_a_byte() {
    let place = Place::new();
    let app = place.hello();
    place.build(&["-q", "./hello", "-o", "first.oci"]);
    let first = place.digest("first.oci");
    fs::create_dir_all(place.path("else/where")).unwrap();
    fs::copy(&app, place.path("else/where/hello")).unwrap();
    for (output, arguments) in [
        ("other.oci", &["else/where/hello"][..]),
        ("cold.oci", &["./hello", "--no-cache"]),
        ("alone.oci", &["./hello", "--no-cache", "-j1"]),
        ("many.oci", &["./hello", "--no-cache", "-j7"]),
        ("first.oci", &["./hello"]),
    ] {
        place.build(&[arguments, &["-q", "-o", output]].concat());
        assert_eq!(place.digest(output), first, "{arguments:?}");
    }
}

#[test]
fn libraries_beside_the_app_move_with_it() {
    let place = Place::new();
    fs::create_dir_all(place.path("proj/lib")).unwrap();
    fs::create_dir_all(place.path("proj/bin")).unwrap();
    place.compile(
        "proj/lib/libown.so",
        "int own(void) { return 0; }\n",
        &["-shared", "-fPIC"],
    );
    place.compile(
        "proj/bin/app",
        "int own(void);\nint main(void) { return own(); }\n",
        &["-Lproj/lib", "-lown", "-Wl,-rpath,$ORIGIN/../lib"],
    );
    place.build(&["proj/bin/app"]);
    let (config, listing) = place.read("app.oci");
    assert_eq!(config["config"]["Entrypoint"][0], "/app/bin/app");
    assert!(has(&listing, "0755 /app/lib/libown.so"), "{listing:?}");
}

#[test]
fn a_library_from_a_named_directory_is_found_through_a_cache() {
    let place = Place::new();
    place.compile(
        "libs/libodd.so",
        "int odd(void) { return 0; }\n",
        &["-shared", "-fPIC"],
    );
    place.compile(
        "app",
        "int odd(void);\nint main(void) { return odd(); }\n",
        &["-Llibs", "-lodd"],
    );
    let outcome = place.run(&["./app"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("libodd.so"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("--library-path"),
        "{}",
        outcome.stderr
    );
    assert!(!place.path("app.oci").exists());
    place.build(&["./app", "--library-path", "libs"]);
    let (_, listing) = place.read("app.oci");
    assert!(has(&listing, "0644 /etc/ld.so.cache"), "{listing:?}");
    // It moves with the app, so that the directory of the build does not show.
    assert!(has(&listing, "0755 /app/libs/libodd.so"), "{listing:?}");
    let first = place.digest("app.oci");
    for name in ["app", "libs/libodd.so"] {
        let copy = place.path("else/where").join(name);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(place.path(name), copy).unwrap();
    }
    place.build(&[
        "else/where/app",
        "--library-path",
        "else/where/libs",
        "-o",
        "other.oci",
    ]);
    assert_eq!(place.digest("other.oci"), first);
}

#[test]
fn every_missing_library_is_named_at_once() {
    let place = Place::new();
    for name in ["one", "two"] {
        place.compile(
            &format!("lib{name}.so"),
            &format!("int {name}(void) {{ return 0; }}\n"),
            &["-shared", "-fPIC"],
        );
    }
    place.compile(
        "app",
        "int one(void), two(void);\nint main(void) { return one() + two(); }\n",
        &["-L.", "-lone", "-ltwo"],
    );
    let outcome = place.run(&["./app"]);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.contains("2 libraries are missing"),
        "{}",
        outcome.stderr
    );
    for name in ["libone.so", "libtwo.so"] {
        assert!(outcome.stderr.contains(name), "{}", outcome.stderr);
    }
}

#[test]
fn flags_set_the_config() {
    let place = Place::new();
    place.hello();
    place.build(&[
        "./hello",
        "--env",
        "A=b=c",
        "--env",
        "PATH=/app",
        "--user",
        "1000",
        "--workdir",
        "/tmp",
        "--port",
        "8080",
        "--port",
        "53/udp",
        "--label",
        "team=core",
        "--annotation",
        "org.opencontainers.image.source=somewhere",
        "--entrypoint",
        "/app/hello --fast",
        "--",
        "-x",
        "y z",
    ]);
    let (config, _) = place.read("hello.oci");
    let config = &config["config"];
    let env: Vec<&str> = config["Env"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|v| v.as_str())
        .collect();
    assert!(
        env.contains(&"A=b=c") && env.contains(&"PATH=/app"),
        "{env:?}"
    );
    assert_eq!(
        env.iter()
            .filter(|variable| variable.starts_with("PATH="))
            .count(),
        1
    );
    assert_eq!(config["User"], "1000");
    assert_eq!(config["WorkingDir"], "/tmp");
    assert_eq!(
        config["ExposedPorts"],
        serde_json::json!({"53/udp": {}, "8080/tcp": {}})
    );
    assert_eq!(config["Labels"]["team"], "core");
    assert_eq!(
        config["Entrypoint"],
        serde_json::json!(["/app/hello", "--fast"])
    );
    assert_eq!(config["Cmd"], serde_json::json!(["-x", "y z"]));
    let source = place.source("hello.oci");
    let descriptor = store::select(&*source, None, None).unwrap();
    let manifest = store::read_manifest(&*source, &descriptor).unwrap();
    let annotations = manifest.annotations().as_ref().unwrap();
    assert_eq!(annotations["org.opencontainers.image.source"], "somewhere");
}

#[test]
fn every_form_of_output_holds_the_same_layers() {
    let place = Place::new();
    place.hello();
    place.build(&["./hello"]);
    place.build(&["./hello", "-o", "hello.tar"]);
    place.build(&["./hello", "-o", "docker.tar", "--format", "docker-archive"]);
    let (layout, archive, docker) = (
        place.read("hello.oci"),
        place.read("hello.tar"),
        place.read("docker.tar"),
    );
    assert_eq!(layout, archive);
    assert_eq!(layout.0["rootfs"], docker.0["rootfs"]);
    assert_eq!(layout.1, docker.1);
}

#[test]
fn every_compression_holds_the_same_tree() {
    let place = Place::new();
    place.hello();
    place.build(&["./hello", "-o", "gzip.oci"]);
    let (config, listing) = place.read("gzip.oci");
    for compression in ["gzip:1", "zstd", "zstd:9", "none"] {
        place.build(&["./hello", "-o", "other.oci", "--compression", compression]);
        let (other, same) = place.read("other.oci");
        assert_eq!(other["rootfs"], config["rootfs"], "{compression}");
        assert_eq!(same, listing, "{compression}");
    }
    place.build(&["./hello", "-o", "single.oci", "--layers", "single"]);
    let (config, single) = place.read("single.oci");
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
    let mut listing = listing;
    listing.sort_unstable_by(|a, b| a[1..].cmp(&b[1..]));
    let mut single = single;
    single.sort_unstable_by(|a, b| a[1..].cmp(&b[1..]));
    assert_eq!(single, listing);
}

#[test]
fn an_image_over_its_budget_is_not_written_and_says_what_is_big() {
    let place = Place::new();
    place.hello();
    let outcome = place.run(&["./hello", "--max-size", "10kB"]);
    assert_eq!(outcome.code, 3);
    assert!(outcome.stderr.contains("libc"), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("libc"), "{}", outcome.stdout);
    assert!(!place.path("hello.oci").exists());
    assert_eq!(place.run(&["./hello", "--max-size", "1GB"]).code, 0);
    assert_eq!(
        place
            .run(&["report", "hello.oci", "--max-size", "10kB"])
            .code,
        3
    );
}

#[test]
fn a_damaged_layer_is_replaced_by_one_that_is_packed_anew() {
    let place = Place::new();
    place.hello();
    place.build(&["./hello"]);
    let layer = fs::read_dir(place.path("hello.oci/blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&layer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&layer).unwrap();
    fs::write(&layer, bytes).unwrap();
    place.build(&["./hello", "--no-cache"]);
    place.source("hello.oci");
}

#[test]
fn a_dry_run_lists_the_tree_and_writes_nothing() {
    let place = Place::new();
    place.hello();
    let outcome = place.build(&["./hello", "--dry-run"]);
    assert!(outcome.stdout.contains("/app/hello"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("/tmp"), "{}", outcome.stdout);
    assert!(!place.path("hello.oci").exists());
}

#[test]
fn included_files_land_where_they_are_told_and_bring_their_libraries() {
    let place = Place::new();
    place.hello();
    place.write("etc/app.conf", "verbose = true\n");
    place.write("static/a/b.txt", "b\n");
    place.compile(
        "libextra.so",
        "int extra(void) { return 0; }\n",
        &["-shared", "-fPIC"],
    );
    place.compile(
        "plugin.so",
        "int extra(void);\nint plugin(void) { return extra(); }\n",
        &["-shared", "-fPIC", "-L.", "-lextra", "-Wl,-rpath,$ORIGIN"],
    );
    let outcome = place.run(&["./hello", "--include", "plugin.so:/opt/plugins/plugin.so"]);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("libextra.so"), "{}", outcome.stderr);
    place.build(&[
        "./hello",
        "--include",
        "etc/app.conf:/etc/app.conf",
        "--include",
        "static",
        "--include",
        "plugin.so:/opt/plugins/",
        "--include",
        "libextra.so:/opt/plugins/",
    ]);
    let (_, listing) = place.read("hello.oci");
    for path in [
        "/etc/app.conf",
        "/app/static/a/b.txt",
        "/opt/plugins/plugin.so",
        "/opt/plugins/libextra.so",
    ] {
        assert!(
            listing.iter().any(|line| line.ends_with(path)),
            "{path}: {listing:?}"
        );
    }
}

#[test]
fn a_second_tag_keeps_the_first_and_the_same_tag_is_replaced() {
    let place = Place::new();
    place.hello();
    place.build(&["./hello", "-t", "one"]);
    place.build(&["./hello", "-t", "two", "--env", "A=1"]);
    place.build(&["./hello", "-t", "two", "--env", "A=2"]);
    assert_eq!(
        store::tags(&*place.source("hello.oci")).unwrap(),
        ["one", "two"]
    );
}

#[test]
fn a_script_brings_its_interpreter_and_stands_in_app() {
    let place = Place::new();
    let script = place.write("tool", "#!/usr/bin/env cat\nhello\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    place.build(&["./tool"]);
    let (config, listing) = place.read("tool.oci");
    assert_eq!(config["config"]["Entrypoint"][0], "/app/tool");
    assert!(has(&listing, "0755 /app/tool"));
    assert!(
        listing.iter().any(|line| line.ends_with("/bin/cat")),
        "{listing:?}"
    );
    assert!(
        listing.iter().any(|line| line.ends_with("/bin/env")),
        "{listing:?}"
    );
}

#[test]
fn a_linked_app_keeps_the_name_it_was_called_by() {
    let place = Place::new();
    place.hello();
    symlink("hello", place.path("greet")).unwrap();
    place.build(&["./greet"]);
    let (config, listing) = place.read("greet.oci");
    assert_eq!(config["config"]["Entrypoint"][0], "/app/greet");
    assert!(has(&listing, "l /app/greet -> hello"), "{listing:?}");
}

#[test]
fn the_report_of_an_image_is_that_of_its_build() {
    let place = Place::new();
    place.hello();
    let built = place.build(&["./hello", "--report", "json"]).stdout;
    let read = place
        .build(&["report", "hello.oci", "--report", "json"])
        .stdout;
    let (built, read): (serde_json::Value, serde_json::Value) = (
        serde_json::from_str(&built).unwrap(),
        serde_json::from_str(&read).unwrap(),
    );
    assert_eq!(built["schema"], "distrobuild.report/1");
    for field in [
        "digest",
        "compressed",
        "unpacked",
        "file_count",
        "platform",
        "layers",
        "origins",
    ] {
        assert_eq!(built[field], read[field], "{field}");
    }
    place.build(&["./hello", "-o", "new.oci", "--env", "A=1"]);
    let diff = place
        .build(&[
            "report",
            "new.oci",
            "--against",
            "hello.oci",
            "--report",
            "json",
        ])
        .stdout;
    let diff: serde_json::Value = serde_json::from_str(&diff).unwrap();
    assert_eq!(diff["since"][0]["shared_layers"], 3);
}

/// What is wrong with an app is said in one sentence that names it.
#[test]
fn bad_input_is_refused_with_a_reason_and_nothing_is_written() {
    let place = Place::new();
    let app = place.hello();
    let bytes = fs::read(&app).unwrap();
    fs::create_dir(place.path("directory")).unwrap();
    place.write("empty", "");
    fs::write(place.path("cut"), &bytes[..200]).unwrap();
    fs::write(
        place.path("macho"),
        [0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1, 3, 0, 0, 0, 2, 0, 0, 0].repeat(8),
    )
    .unwrap();
    fs::write(
        place.path("windows.exe"),
        [b"MZ".as_slice(), &[0; 300]].concat(),
    )
    .unwrap();
    place.write("script", "#!/no/such/interpreter\n");
    place.write("crlf", "#!/bin/cat\r\n");
    symlink("loop", place.path("loop")).unwrap();
    for name in ["empty", "cut", "macho", "windows.exe", "script", "crlf"] {
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (name, reason) in [
        ("absent", "no such file"),
        ("directory", "is a directory"),
        ("empty", "is empty"),
        ("cut", "end"),
        ("macho", "Mach-O"),
        ("windows.exe", "Windows"),
        ("script", "/no/such/interpreter"),
        ("crlf", "carriage return"),
        ("loop", "circle"),
    ] {
        let outcome = place.run(&[&format!("./{name}")]);
        assert_eq!(outcome.code, 1, "{name}: {}", outcome.stderr);
        assert!(
            outcome.stderr.starts_with("error: "),
            "{name}: {}",
            outcome.stderr
        );
        assert!(
            outcome.stderr.contains(&format!("HERE/{name}")),
            "{name}: {}",
            outcome.stderr
        );
        assert!(
            outcome.stderr.contains(reason),
            "{name}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.stdout, "", "{name}");
        assert!(!place.path(&format!("{name}.oci")).exists(), "{name}");
    }
}

#[test]
fn outputs_and_includes_that_cannot_be_are_refused() {
    let place = Place::new();
    place.hello();
    place.write("notes.txt", "mine\n");
    place.write("full/notes.txt", "mine\n");
    for (arguments, code, reason) in [
        (&["./hello", "-o", "notes.txt"][..], 1, "it is a file"),
        (&["./hello", "-o", "full"], 1, "no OCI layout"),
        (&["./hello", "-o", "no/where/app.oci"], 1, "does not exist"),
        (&["./hello", "--include", "absent"], 1, "absent"),
        (&["./hello", "--include", "../x"], 1, ".."),
        (&["./hello", "--include", "notes.txt:/a/../../b"], 2, ".."),
        (&["./hello", "--include", "*.nothing:/x/"], 1, "*.nothing"),
        (
            &["./hello", "--include", "notes.txt:/app/hello"],
            1,
            "/app/hello",
        ),
        (&["./hello", "--base", "nosuch"], 2, "static"),
        (&["./hello", "--platform", "linux/s390x"], 1, "linux/s390x"),
        (&["./hello", "--sysroot", "absent"], 1, "sysroot"),
        (
            &["./hello", "--against", "no/such:image"],
            2,
            "no/such:image",
        ),
        (&["./hello", "--compression", "gzip:99"], 2, "gzip"),
        (&["./hello", "--port", "99999"], 2, "65535"),
        (&["./hello", "--tag", "not a tag"], 2, "tag"),
        (&["report", "notes.txt"], 1, "notes.txt"),
        (&["report", "absent.oci"], 1, "absent.oci"),
    ] {
        let outcome = place.run(arguments);
        assert_eq!(outcome.code, code, "{arguments:?}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains(reason),
            "{arguments:?}: {}",
            outcome.stderr
        );
        assert!(!place.path("hello.oci").exists(), "{arguments:?}");
    }
    assert_eq!(
        fs::read_to_string(place.path("notes.txt")).unwrap(),
        "mine\n"
    );
}

#[test]
fn source_date_epoch_sets_the_time_and_a_bad_one_is_refused() {
    let place = Place::new();
    place.hello();
    let outcome = place.run_with(&[("SOURCE_DATE_EPOCH", "1700000000")], &["./hello"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let (config, _) = place.read("hello.oci");
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    let outcome = place.run_with(&[("SOURCE_DATE_EPOCH", "yesterday")], &["./hello"]);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.contains("SOURCE_DATE_EPOCH"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn the_library_builds_what_the_command_builds() {
    use distrobuild::rootfs::Base;
    use distrobuild::{Builder, Output as Destination};

    let place = Place::new();
    let app = place.hello();
    place.build(&["-q", "./hello"]);
    let plan = Builder::new(&app, Base::named("static").unwrap())
        .plan()
        .unwrap();
    let built = plan
        .write(&Destination::layout(place.path("library.oci")))
        .unwrap();
    assert_eq!(
        built.image.descriptor.digest().to_string(),
        place.digest("hello.oci")
    );
    assert_eq!(place.digest("library.oci"), place.digest("hello.oci"));
}

/// A system in the directory `root` of which two packages own the library `libown.so` and the
/// rest, as dpkg's database there says with the sums of `md5sum`.
fn packaged_system(place: &Place) -> PathBuf {
    place.hello();
    place.build(&[
        "-q",
        "./hello",
        "-o",
        "plain.oci",
        "--base",
        "none",
        "--no-package-records",
    ]);
    let root = place.unpack("plain.oci", "root");
    fs::remove_dir_all(root.join("app")).unwrap();
    let mut files = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => directories.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    place.compile(
        "libown.so",
        "int own(void) { return 0; }\n",
        &["-shared", "-fPIC", "-g"],
    );
    let own = root.join("usr/lib/libown.so");
    fs::copy(place.path("libown.so"), &own).unwrap();
    let info = "root/var/lib/dpkg/info";
    for (name, owned) in [("own", vec![own]), ("runtime", files)] {
        let inside = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
        let owned: Vec<String> = owned.iter().map(inside).collect();
        let list: String = owned.iter().map(|path| format!("/{path}\n")).collect();
        place.write(&format!("{info}/{name}.list"), &list);
        place.write(&format!("{info}/{name}.md5sums"), &md5sum(&root, &owned));
        place.write(&format!("root/usr/share/doc/{name}/copyright"), "free\n");
    }
    place.write(
        "root/var/lib/dpkg/status",
        "Package: own\nStatus: install ok installed\nVersion: 1.0-1\nArchitecture: amd64\n\n\
         Package: runtime\nStatus: install ok installed\nVersion: 2:3.4\nArchitecture: amd64\n",
    );
    place.write("root/etc/os-release", "NAME=Demo\nID=demo\nVERSION_ID=7\n");
    root
}

fn md5sum(root: &Path, arguments: &[String]) -> String {
    let output = Command::new("md5sum")
        .args(arguments)
        .current_dir(root)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    told
}

#[test]
fn packages_of_the_system_are_recorded_and_their_sums_are_right() {
    let place = Place::new();
    packaged_system(&place);
    place.compile(
        "app",
        "int own(void);\nint main(void) { return own(); }\n",
        &["-L.", "-lown"],
    );
    for (output, option) in [("kept.oci", "--timings"), ("stripped.oci", "--strip")] {
        place.build(&["./app", "--sysroot", "root", option, "-o", output]);
        let root = place.unpack(output, output.strip_suffix(".oci").unwrap());
        let text = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
        let records = "var/lib/dpkg/status.d";
        assert_eq!(
            text(&format!("{records}/runtime")),
            "Package: runtime\nVersion: 2:3.4\nArchitecture: amd64\n"
        );
        assert!(text("etc/os-release").contains("ID=demo\n"));
        assert_eq!(text("usr/share/doc/own/copyright"), "free\n");
        let sums = format!("{records}/own.md5sums");
        // What was stripped is not what the package has.
        assert_eq!(text(&sums).contains("libown.so"), option != "--strip");
        for name in ["runtime", "own"] {
            let list = format!("{records}/{name}.md5sums");
            if root.join(&list).exists() {
                md5sum(&root, &["--check".into(), "--strict".into(), list]);
            }
        }
        let report = place.build(&["report", output, "--report", "json"]).stdout;
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let packages = report["packages"].as_array().unwrap();
        for (name, version) in [("own", "1.0-1"), ("runtime", "2:3.4")] {
            let is_it = |share: &&serde_json::Value| share["package"]["name"] == name;
            let share = packages.iter().find(is_it).unwrap();
            assert_eq!(share["package"]["version"], version);
            // Of a package whose one file was stripped, only the record can be told.
            let is_whole = (name, option) != ("own", "--strip");
            let least = if is_whole { 10_000 } else { 50 };
            assert!(share["unpacked"].as_u64().unwrap() > least, "{share}");
        }
    }
}

#[test]
fn records_leave_the_base_alone_and_can_be_switched_off() {
    let place = Place::new();
    packaged_system(&place);
    place.compile(
        "app",
        "int own(void);\nint main(void) { return own(); }\n",
        &["-L.", "-lown"],
    );
    let layer = |image: &str| {
        let source = place.source(image);
        let descriptor = store::select(&*source, None, None).unwrap();
        let manifest = store::read_manifest(&*source, &descriptor).unwrap();
        manifest.layers()[0].digest().to_string()
    };
    place.build(&["./app", "--sysroot", "root", "-o", "app.oci"]);
    place.build(&["./hello", "--sysroot", "root", "-o", "hello.oci"]);
    assert_eq!(layer("app.oci"), layer("hello.oci"));
    place.build(&[
        "./app",
        "--sysroot",
        "root",
        "--no-package-records",
        "-o",
        "off.oci",
    ]);
    let root = place.unpack("off.oci", "off");
    assert!(!root.join("var/lib/dpkg").exists());
    let release = fs::read_to_string(root.join("etc/os-release")).unwrap();
    assert!(release.contains("ID=distrobuild\n"), "{release}");
    // What the user includes is what the image says it is.
    place.write("mine", "ID=mine\n");
    place.build(&[
        "./app",
        "--sysroot",
        "root",
        "--include",
        "mine:/etc/os-release",
        "-o",
        "mine.oci",
    ]);
    let root = place.unpack("mine.oci", "mine-root");
    assert!(root.join("var/lib/dpkg/status.d/own").exists());
    let release = fs::read_to_string(root.join("etc/os-release")).unwrap();
    assert_eq!(release, "ID=mine\n");
}
