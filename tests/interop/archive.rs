//! A small Debian archive, signed with a key of its own, and what goes wrong with one.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::container::Bundle;
use crate::image::Image;
use crate::tools::{run, tool};
use crate::workshop::{Workshop, assert_tells};

/// The suites of the release that the tests use: all are this one archive.
const SUITES: [&str; 3] = ["bookworm", "bookworm-updates", "bookworm-security"];
const BASE: &str = "debian:bookworm/static";

/// An archive that is being made.
struct Archive<'w> {
    workshop: &'w Workshop,
    name: &'w str,
    packages: Vec<String>,
    /// Lines of the `InRelease` beside those that every one has.
    head: String,
    /// The time at which gpg signs, as it takes it; now when empty.
    signed_at: String,
    /// The time that the `InRelease` names, as `date -d` takes it.
    date: String,
}

impl<'w> Archive<'w> {
    /// An archive with a package for each that the base asks for.
    fn new(workshop: &'w Workshop, name: &'w str) -> Self {
        let mut archive = Self {
            workshop,
            name,
            packages: Vec::new(),
            head: String::new(),
            signed_at: String::new(),
            date: "now".to_owned(),
        };
        if !archive.keyring("archive").exists() {
            archive.key("archive", "never");
        }
        for package in ["ca-certificates", "media-types", "netbase", "tzdata"] {
            archive.package(package, "1.0", "", &[]);
        }
        archive.package(
            "base-files",
            "12",
            "",
            &[("usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n")],
        );
        archive
    }

    fn root(&self) -> PathBuf {
        self.workshop.path(self.name)
    }

    fn url(&self) -> String {
        format!("file://{}", self.root().display())
    }

    fn gpg(&self) -> std::process::Command {
        let home = self.workshop.directory("gnupg");
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        let mut gpg = tool("gpg");
        gpg.args([
            "--batch",
            "--quiet",
            "--no-tty",
            "--pinentry-mode",
            "loopback",
        ])
        .args(["--passphrase", ""])
        .env("GNUPGHOME", home);
        if !self.signed_at.is_empty() {
            gpg.args(["--faked-system-time", &self.signed_at]);
        }
        gpg
    }

    /// Makes the key `name`, which is good until then, and writes its public half.
    fn key(&self, name: &str, until: &str) {
        let user = format!("{name} <{name}@example.org>");
        run(self
            .gpg()
            .args(["--quick-generate-key", &user, "ed25519", "sign", until]))
        .output();
        run(self
            .gpg()
            .args(["--output"])
            .arg(self.keyring(name))
            .args(["--export", &user]))
        .output();
    }

    fn keyring(&self, name: &str) -> PathBuf {
        self.workshop.path(&format!("keys/{name}.gpg"))
    }

    /// Makes a package with dpkg-deb.
    fn package(&mut self, name: &str, version: &str, fields: &str, files: &[(&str, &str)]) {
        let tree = self.workshop.directory(&format!("trees/{name}_{version}"));
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n\
             Description: a package for a test\n{fields}"
        );
        let write = |path: &str, text: &str| {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("DEBIAN/control", &control);
        write(
            &format!("usr/share/doc/{name}/copyright"),
            "As you like it.\n",
        );
        for (path, text) in files {
            write(path, text);
        }
        let deb = self.pool(name, version);
        run(tool("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .arg(&tree)
            .arg(&deb))
        .output();
        self.list(name, version, &control);
    }

    fn pool(&self, name: &str, version: &str) -> PathBuf {
        let path = format!("{}/pool/main/{name}_{version}_amd64.deb", self.name);
        self.workshop.path(&path)
    }

    /// Adds a package that is in the pool to the index.
    fn list(&mut self, name: &str, version: &str, control: &str) {
        let bytes = fs::read(self.pool(name, version)).unwrap();
        self.packages.push(format!(
            "{control}Filename: pool/main/{name}_{version}_amd64.deb\nSize: {}\nSHA256: {}\n",
            bytes.len(),
            sha256(&bytes)
        ));
    }

    /// Writes the indices and signs them with the key `key`.
    fn publish(&self, key: &str) {
        for suite in SUITES {
            // Everything is in the first suite; the others are empty.
            let text = if suite == SUITES[0] {
                self.packages.join("\n")
            } else {
                String::new()
            };
            self.publish_suite(suite, &text, key);
        }
    }

    fn publish_suite(&self, suite: &str, packages: &str, key: &str) {
        let dists = format!("{}/dists/{suite}", self.name);
        let index = "main/binary-amd64/Packages";
        self.workshop.write(&format!("{dists}/{index}"), packages);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(packages.as_bytes()).unwrap();
        let compressed = gzip.finish().unwrap();
        fs::write(
            self.workshop.path(&format!("{dists}/{index}.gz")),
            &compressed,
        )
        .unwrap();
        let date = run(tool("date").args(["-u", "-R", "-d", &self.date])).output();
        let date = date.trim().replace("+0000", "UTC");
        let text = format!(
            "Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: {suite}\nDate: {date}\n{}\
             Architectures: amd64\nComponents: main\nSHA256:\n {} {} {index}\n {} {} {index}.gz\n",
            self.head,
            sha256(packages.as_bytes()),
            packages.len(),
            sha256(&compressed),
            compressed.len(),
        );
        let release = self.workshop.write(&format!("{dists}/Release"), &text);
        let signed = self.in_release(suite);
        let _ = fs::remove_file(&signed);
        run(self
            .gpg()
            .args([
                "--local-user",
                &format!("{key}@example.org"),
                "--clearsign",
                "--output",
            ])
            .arg(&signed)
            .arg(&release))
        .output();
    }

    fn in_release(&self, suite: &str) -> PathBuf {
        self.workshop
            .path(&format!("{}/dists/{suite}/InRelease", self.name))
    }

    /// The options that build on it.
    fn options(&self) -> Vec<String> {
        let mut options = vec!["--base".to_owned(), BASE.to_owned()];
        options.extend([
            "--keyring".to_owned(),
            self.keyring("archive").display().to_string(),
        ]);
        for suite in SUITES {
            options.extend(["--mirror".to_owned(), format!("{suite}={}", self.url())]);
        }
        options
    }

    fn build(&self, app: &Path, output: &str, further: &[&str]) -> Image {
        let options = self.options();
        let options: Vec<&str> = options
            .iter()
            .map(String::as_str)
            .chain(further.iter().copied())
            .collect();
        self.workshop.build(app, output, &options)
    }

    fn refusal(&self, app: &Path, further: &[&str]) -> String {
        let options = self.options();
        let options: Vec<&str> = options
            .iter()
            .map(String::as_str)
            .chain(further.iter().copied())
            .collect();
        self.workshop.refusal(app, &options)
    }
}

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A program that needs no library.
fn program(workshop: &Workshop) -> PathBuf {
    let source = "#include <stdio.h>\nint main(void) { puts(\"here\"); return 0; }\n";
    workshop.compile("gcc", source, "tree/hello", &["-static"])
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_image_on_an_archive_of_ones_own_runs_and_records_its_packages() {
    let workshop = Workshop::new();
    let mut archive = Archive::new(&workshop, "archive");
    archive.package(
        "greeting",
        "2:1.0~rc1-1",
        "Depends: phrase (>= 1) | nothing\n",
        &[("usr/share/greeting/text", "hello\n")],
    );
    archive.package("phrase", "1", "Depends: greeting\n", &[]);
    archive.publish("archive");
    let program = program(&workshop);
    let image = archive.build(&program, "hello.oci", &["--package", "greeting"]);
    assert_eq!(Bundle::of(&image, &workshop).run().output(), "here\n");
    let rootfs = Bundle::of(&image, &workshop).rootfs();
    let read = |path: &str| fs::read_to_string(rootfs.join(path)).unwrap();
    assert_eq!(read("usr/share/greeting/text"), "hello\n");
    assert_eq!(read("usr/share/doc/phrase/copyright"), "As you like it.\n");
    assert_tells(
        &read("var/lib/dpkg/status.d/greeting"),
        &[
            "Package: greeting\n",
            "Version: 2:1.0~rc1-1\n",
            "Architecture: amd64\n",
        ],
    );
    let sums = read("var/lib/dpkg/status.d/greeting.md5sums");
    let sums = workshop.write("sums", &sums);
    run(tool("md5sum")
        .args(["--check", "--strict"])
        .arg(sums)
        .current_dir(&rootfs))
    .output();
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn what_the_key_did_not_sign_is_not_used() {
    let workshop = Workshop::new();
    let archive = Archive::new(&workshop, "archive");
    archive.publish("archive");
    let program = program(&workshop);

    let signed = archive.in_release("bookworm");
    let good = fs::read(&signed).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let tampered = [
        text.replace("Components: main", "Components: mein"),
        text.replace("-----BEGIN PGP SIGNED", "SHA256:\n-----BEGIN PGP SIGNED"),
        text[..text.len() / 2].to_owned(),
        String::new(),
        "<html>Log in to the hotel's network</html>".to_owned(),
    ];
    for (number, bad) in tampered.iter().enumerate() {
        assert_ne!(*bad, text);
        fs::write(&signed, bad).unwrap();
        let message = archive.refusal(&program, &[]);
        // What stands before a signed message is no part of it: gpgv takes it, and reads past it.
        assert_tells(&message, &["bookworm/InRelease"]);
        assert!(!message.contains("panicked"), "{number}: {message}");
    }

    archive.key("other", "never");
    archive.publish("other");
    let message = archive.refusal(&program, &[]);
    assert_tells(&message, &["bookworm", "InRelease", "--keyring"]);

    // Nothing of all that was kept.
    archive.publish("archive");
    archive.build(&program, "hello.oci", &[]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_key_that_has_expired_signs_nothing_any_more() {
    let workshop = Workshop::new();
    let mut archive = Archive::new(&workshop, "archive");
    archive.signed_at = "20200101T000000!".to_owned();
    archive.key("old", "1y");
    archive.publish("old");
    let options = archive.options();
    let options: Vec<String> = options
        .iter()
        .map(|option| match option.ends_with("archive.gpg") {
            true => archive.keyring("old").display().to_string(),
            false => option.clone(),
        })
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let message = workshop.refusal(program(&workshop), &options);
    assert_tells(&message, &["expired", "InRelease"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_archive_that_is_no_longer_valid_is_used_only_when_asked_for() {
    let workshop = Workshop::new();
    let mut archive = Archive::new(&workshop, "archive");
    archive.head = "Valid-Until: Mon, 06 Jul 2026 10:16:37 UTC\n".to_owned();
    archive.publish("archive");
    let program = program(&workshop);
    let message = archive.refusal(&program, &[]);
    assert_tells(&message, &["valid until 2026-07-06", "--allow-expired"]);
    archive.build(&program, "hello.oci", &["--allow-expired"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_package_that_is_not_the_signed_one_stops_the_build() {
    let workshop = Workshop::new();
    let archive = Archive::new(&workshop, "archive");
    archive.publish("archive");
    let program = program(&workshop);
    let deb = archive.pool("tzdata", "1.0");
    let good = fs::read(&deb).unwrap();
    let mut swapped = good.clone();
    *swapped.last_mut().unwrap() ^= 1;
    let truncated = good[..good.len() - 10].to_vec();
    let longer = [good.clone(), b"more".to_vec()].concat();
    for bad in [swapped, truncated, longer] {
        fs::write(&deb, bad).unwrap();
        let message = archive.refusal(&program, &[]);
        assert_tells(&message, &["tzdata 1.0", "file://"]);
    }
    fs::remove_file(&deb).unwrap();
    let message = archive.refusal(&program, &[]);
    assert_tells(&message, &["tzdata 1.0", "bases update"]);
    // What was wrong was not kept for the next build.
    fs::write(&deb, good).unwrap();
    archive.build(&program, "hello.oci", &[]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_package_that_would_write_elsewhere_or_make_a_device_is_refused() {
    let workshop = Workshop::new();
    let program = program(&workshop);
    let scripts = [
        ("traversal", "echo x > ../evil; tar cPf data.tar ../evil"),
        (
            "absolute",
            "mkdir -p etc; echo x > etc/x; tar cPf data.tar --transform 's,^etc,/../etc,' etc/x",
        ),
        (
            "device",
            "mkdir -p dev; mknod dev/sda b 8 0; tar cf data.tar ./dev",
        ),
        (
            "pipe",
            "mkdir -p run; mkfifo run/pipe; tar cf data.tar ./run",
        ),
        (
            "link",
            "ln -s /etc here; tar cf data.tar ./here; rm here; mkdir here; echo x > here/passwd; tar rf data.tar ./here/passwd",
        ),
    ];
    for (name, script) in scripts {
        let mut archive = Archive::new(&workshop, name);
        archive.package(name, "1", "", &[]);
        let (deb, tree) = (
            archive.pool(name, "1"),
            workshop.directory(&format!("evil/{name}")),
        );
        run(tool("sh").current_dir(&tree).args(["-ec", script])).output();
        run(tool("sh").current_dir(&tree).args(["-ec", "ar p \"$1\" control.tar.xz > control.tar.xz; ar p \"$1\" debian-binary > debian-binary; rm \"$1\"; ar rc \"$1\" debian-binary control.tar.xz data.tar", "-"]).arg(&deb))
            .output();
        // The index lists the package that is there now, as a hostile archive would.
        let control = archive.packages.pop().unwrap();
        let control = control.split("Filename:").next().unwrap().to_owned();
        archive.list(name, "1", &control);
        archive.publish("archive");
        let message = archive.refusal(&program, &["--package", name]);
        assert_tells(&message, &[name, " 1 (amd64)"]);
        assert!(!Path::new("/evil").exists());
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn packages_that_do_not_fit_are_told_by_name() {
    let workshop = Workshop::new();
    let mut archive = Archive::new(&workshop, "archive");
    archive.package("wants-newer", "1", "Depends: netbase (>= 2)\n", &[]);
    archive.package("wants-nobody", "1", "Depends: nobody-has-this\n", &[]);
    archive.package("on-top", "1", "Depends: wants-nobody\n", &[]);
    archive.package("first", "1", "", &[("usr/share/x", "one\n")]);
    archive.package("second", "1", "", &[("usr/share/x", "two\n")]);
    archive.publish("archive");
    let program = program(&workshop);
    let refusal = |package: &[&str]| {
        let flags: Vec<&str> = package
            .iter()
            .flat_map(|name| ["--package", name])
            .collect();
        archive.refusal(&program, &flags)
    };
    assert_tells(
        &refusal(&["wants-newer"]),
        &["wants-newer", "netbase", ">= 2", "1.0"],
    );
    assert_tells(
        &refusal(&["on-top"]),
        &["on-top", "wants-nobody", "nobody-has-this"],
    );
    assert_tells(&refusal(&["netbse"]), &["netbse", "netbase"]);
    assert_tells(&refusal(&["netbase=7"]), &["netbase", "7", "1.0"]);
    assert_tells(&refusal(&["bash"]), &["bash", "shell"]);
    assert_tells(
        &refusal(&["first", "second"]),
        &["/usr/share/x", "first", "second"],
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_lock_gives_the_same_image_when_the_archive_has_moved_on() {
    let workshop = Workshop::new();
    let mut archive = Archive::new(&workshop, "archive");
    archive.publish("archive");
    let program = program(&workshop);
    let options = archive.options();
    let trust = &options[2..];
    let bases = |arguments: &[&str]| {
        run(workshop
            .distrobuild()
            .arg("bases")
            .args(arguments)
            .args(trust))
    };
    assert_tells(&bases(&["lock", BASE]).output(), &[BASE, "5 packages"]);
    let lock = fs::read_to_string(workshop.path("distrobuild.lock")).unwrap();
    assert_tells(&lock, &["tzdata", "1.0", "sha256"]);
    let locked = archive.build(&program, "locked.oci", &[]);

    archive.package(
        "tzdata",
        "2.0",
        "",
        &[("usr/share/zoneinfo/New/Land", "TZif\n")],
    );
    archive.publish("archive");
    let again = archive.build(&program, "again.oci", &[]);
    assert_eq!(again.digest(), locked.digest());

    assert_tells(
        &bases(&["update", "--dry-run"]).output(),
        &["tzdata 1.0 -> 2.0"],
    );
    assert_eq!(
        fs::read_to_string(workshop.path("distrobuild.lock")).unwrap(),
        lock
    );
    assert_tells(&bases(&["update"]).output(), &["tzdata 1.0 -> 2.0"]);
    let updated = archive.build(&program, "updated.oci", &[]);
    assert_ne!(updated.digest(), locked.digest());

    archive.package("more", "1", "", &[]);
    archive.publish("archive");
    let message = archive.refusal(&program, &["--package", "more"]);
    assert_tells(&message, &["distrobuild.lock", "more", "bases lock"]);
    let other = workshop.write("other.lock", "schema = 1\n");
    let message = archive.refusal(&program, &["--lock", other.to_str().unwrap()]);
    assert_tells(&message, &["other.lock", BASE, "bases lock"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn without_a_network_the_cache_is_enough_and_its_absence_is_told() {
    let workshop = Workshop::new();
    let archive = Archive::new(&workshop, "archive");
    archive.publish("archive");
    let program = program(&workshop);
    let away = workshop.path("away");
    // A file is at hand without a network, too.
    fs::rename(archive.root(), &away).unwrap();
    let message = archive.refusal(&program, &["--offline"]);
    assert_tells(&message, &["bookworm", "InRelease"]);
    fs::rename(&away, archive.root()).unwrap();
    let image = archive.build(&program, "hello.oci", &[]);
    fs::rename(archive.root(), &away).unwrap();
    let again = archive.build(&program, "again.oci", &["--offline"]);
    assert_eq!(again.digest(), image.digest());
    let message = archive.refusal(&program, &[]);
    assert_tells(&message, &["InRelease", "--mirror"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn without_the_cache_no_package_is_kept_either() {
    let workshop = Workshop::new();
    let archive = Archive::new(&workshop, "archive");
    archive.publish("archive");
    let program = program(&workshop);
    let image = archive.build(&program, "hello.oci", &["--no-cache"]);
    assert!(!workshop.cache().join("distrobuild/packages").exists());
    let again = archive.build(&program, "again.oci", &[]);
    assert_eq!(again.digest(), image.digest());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_password_of_a_mirror_is_not_told() {
    let workshop = Workshop::new();
    let archive = Archive::new(&workshop, "archive");
    let program = program(&workshop);
    // A portal that answers whatever is asked.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>",
            );
        }
    });
    for place in [format!("127.0.0.1:{port}"), "[::bad".to_owned()] {
        let mut options = vec!["--base".to_owned(), BASE.to_owned(), "--keyring".to_owned()];
        options.push(archive.keyring("archive").display().to_string());
        for suite in SUITES {
            let mirror = format!("{suite}=http://joe:s3cret@{place}");
            options.extend(["--mirror".to_owned(), mirror]);
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let message = workshop.refusal(&program, &options);
        assert_tells(&message, &["InRelease", &place]);
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_mirror_does_not_go_back_in_time() {
    let workshop = Workshop::new();
    let mut archive = Archive::new(&workshop, "archive");
    archive.date = "3 days ago".to_owned();
    archive.publish("archive");
    let program = program(&workshop);
    let dists = archive.root().join("dists");
    let (before, now) = (workshop.path("before"), workshop.path("now"));
    let first = archive.build(&program, "first.oci", &[]);
    fs::rename(&dists, &before).unwrap();

    archive.date = "now".to_owned();
    archive.package("tzdata", "2.0", "", &[("usr/share/zoneinfo/X", "TZif")]);
    archive.publish("archive");
    let second = archive.build(&program, "second.oci", &[]);
    assert_ne!(second.digest(), first.digest());

    fs::rename(&dists, &now).unwrap();
    fs::rename(&before, &dists).unwrap();
    let options = archive.options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let third = workshop.try_build(&program, "third.oci", &options);
    assert_tells(&third.stderr, &["InRelease", "older", "--allow-expired"]);
    let third = archive.build(&program, "third.oci", &[]);
    assert_eq!(third.digest(), second.digest());
    let older = archive.build(&program, "older.oci", &["--allow-expired"]);
    assert_eq!(older.digest(), first.digest());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn builds_that_share_a_cache_do_not_disturb_each_other() {
    let workshop = Workshop::new();
    let archive = Archive::new(&workshop, "archive");
    archive.publish("archive");
    let program = program(&workshop);
    let digests: Vec<String> = std::thread::scope(|scope| {
        let builds: Vec<_> = (0..6)
            .map(|number| {
                let (archive, program) = (&archive, &program);
                scope.spawn(move || {
                    let name = format!("image-{number}.oci");
                    archive.build(program, &name, &[]).digest()
                })
            })
            .collect();
        builds
            .into_iter()
            .map(|build| build.join().unwrap())
            .collect()
    });
    assert!(
        digests.iter().all(|digest| *digest == digests[0]),
        "{digests:?}"
    );
}

/// Serves the directory that it is started in; while a file `slow` is beside that, it gives the
/// first half of a package and then nothing.
const SERVER: &str = r#"
import http.server, os, sys, threading, time

class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.translate_path(self.path)
        if not path.endswith(".deb") or not os.path.exists("../slow"):
            return super().do_GET()
        body = open(path, "rb").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:len(body) // 2])
        self.wfile.flush()
        time.sleep(60)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Timer(120, lambda: os._exit(0)).start()
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// A server that is gone with the value.
struct Server {
    process: std::process::Child,
    port: String,
}

impl Server {
    fn of(archive: &Archive<'_>) -> Self {
        use std::io::BufRead as _;
        let script = archive.workshop.write("server.py", SERVER);
        let mut process = tool("python3")
            .arg(script)
            .current_dir(archive.root())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let mut output = std::io::BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut port).unwrap();
        Self {
            process,
            port: port.trim().to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_build_that_is_killed_while_it_downloads_leaves_nothing_that_is_not_verified() {
    let workshop = Workshop::new();
    let archive = Archive::new(&workshop, "archive");
    archive.publish("archive");
    let program = program(&workshop);
    let expected = archive.build(&program, "expected.oci", &[]).digest();
    fs::remove_dir_all(workshop.cache()).unwrap();

    let server = Server::of(&archive);
    let url = format!("http://127.0.0.1:{}", server.port);
    let options: Vec<String> = archive
        .options()
        .iter()
        .map(|option| option.replace(&archive.url(), &url))
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let slow = workshop.write("slow", "");
    let mut build = workshop
        .build_command(&program, "image.oci", &options)
        .spawn()
        .unwrap();
    let partial = workshop
        .cache()
        .join("distrobuild/packages/downloads/partial");
    let has_some = || {
        let entries = fs::read_dir(&partial).into_iter().flatten();
        entries
            .flatten()
            .any(|entry| entry.metadata().is_ok_and(|facts| facts.len() > 0))
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !has_some() {
        assert!(
            std::time::Instant::now() < deadline,
            "nothing was downloaded"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    build.kill().unwrap();
    build.wait().unwrap();
    assert!(!workshop.path("image.oci").exists());

    fs::remove_file(slow).unwrap();
    let image = workshop.build(&program, "image.oci", &options);
    assert_eq!(image.digest(), expected);
    let verified = workshop
        .cache()
        .join("distrobuild/packages/downloads/sha256");
    let mut names = 0;
    for entry in fs::read_dir(verified)
        .unwrap()
        .flat_map(|it| fs::read_dir(it.unwrap().path()).unwrap())
    {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name, sha256(&fs::read(&path).unwrap()));
        names += 1;
    }
    assert!(names >= 5, "{names}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_cache_that_others_may_write_to_is_not_used_and_that_is_told_when_a_build_fails() {
    let workshop = Workshop::new();
    let archive = Archive::new(&workshop, "archive");
    archive.publish("archive");
    let program = program(&workshop);
    let kept = archive.build(&program, "first.oci", &[]).digest();
    let packages = workshop.cache().join("distrobuild/packages");
    fs::set_permissions(&packages, fs::Permissions::from_mode(0o777)).unwrap();
    let again = archive.build(&program, "again.oci", &[]).digest();
    assert_eq!(again, kept);
    fs::rename(archive.root(), workshop.path("away")).unwrap();
    let message = archive.refusal(&program, &[]);
    assert_tells(
        &message,
        &["warning: ", "distrobuild/packages", "other users may write"],
    );
}
