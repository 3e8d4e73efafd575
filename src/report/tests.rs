#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Read;

use oci_spec::image::{Descriptor, ImageIndex, MediaType};
use snapbox::{IntoData, assert_data_eq, str};

use super::*;
use crate::ImagePath;
use crate::image::Image;
use crate::layer::{Digest, Layer};
use crate::packages::{Manager, Owners};
use crate::rootfs::{Content, Entry, EntryKind, Origin};
use crate::store::{Source, StoreError};

fn package(name: &str, version: &str) -> Package {
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        manager: Manager::Dpkg,
    }
}

fn jq() -> Report {
    let layer = |what: &str, compressed, unpacked| LayerShare {
        digest: format!("sha256:{:064x}", compressed),
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        compressed,
        unpacked,
        what: what.to_owned(),
    };
    let file = |path: &str, size, origin: &str, package: Option<&str>| FileShare {
        path: path.to_owned(),
        size,
        origin: Some(origin.to_owned()),
        package: package.map(str::to_owned),
    };
    let share = |package, unpacked, files| PackageShare {
        package,
        unpacked,
        files,
    };
    let origin = |origin: &str, unpacked, files| OriginShare {
        origin: origin.to_owned(),
        unpacked,
        files,
    };
    let mut report = Report {
        reference: "jq.oci:latest".to_owned(),
        platform: "linux/amd64".to_owned(),
        digest: format!("sha256:{}", "3f2a9c1d".repeat(8)),
        compressed: 1_613_000,
        manifest_size: 900,
        config_size: 1_400,
        unpacked: 3_970_030,
        file_count: 603,
        layers: vec![
            layer("base", 413_000, 1_100_000),
            layer("libraries", 1_185_000, 3_002_880),
            layer("app", 15_000, 33_280),
        ],
        origins: vec![
            origin("base", 942_000, 597),
            origin("libraries", 2_997_750, 5),
            origin("app", 30_280, 1),
        ],
        packages: Some(vec![
            share(Some(package("libc6", "2.36-9+deb12u10")), 2_093_046, 3),
            share(None, 942_000, 597),
            share(Some(package("libonig5", "6.9.8-1")), 564_704, 1),
            share(Some(package("libjq1", "1.6-2.1+deb12u1")), 340_000, 1),
            share(Some(package("jq", "1.6-2.1+deb12u1")), 30_280, 1),
        ]),
        unread_databases: Vec::new(),
        files: vec![
            file(
                "/usr/lib/x86_64-linux-gnu/libc.so.6",
                1_922_136,
                "libraries",
                Some("libc6"),
            ),
            file(
                "/usr/lib/x86_64-linux-gnu/libonig.so.5.3.0",
                564_704,
                "libraries",
                Some("libonig5"),
            ),
            file(
                "/usr/lib/x86_64-linux-gnu/libjq.so.1.0.4",
                340_000,
                "libraries",
                Some("libjq1"),
            ),
            file("/etc/ssl/certs/ca-certificates.crt", 214_856, "base", None),
            file("/usr/bin/jq", 30_280, "app", Some("jq")),
        ],
        facts: Facts {
            user: "65532:65532".to_owned(),
            entrypoint: vec!["/usr/bin/jq".to_owned()],
            ..Facts::default()
        },
        comparisons: Vec::new(),
        since: Vec::new(),
    };
    report
        .compare(&SlimBases::embedded().unwrap(), &[])
        .unwrap();
    report
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn terminal(width: usize) -> String {
    plain(&Terminal::new(width, Charset::Unicode).report(&jq()))
}

#[test]
fn the_terminal_report_at_eighty_columns() {
    assert_data_eq!(
        terminal(80),
        str![[r#"
jq.oci:latest
1.6 MB compressed · 4.0 MB unpacked · 603 files
linux/amd64 · runs /usr/bin/jq as 65532:65532 · no shell, no package manager
sha256:3f2a9c1d3f2a

layer      compressed  as a tar
base         413.0 kB    1.1 MB  ██████▏
libraries      1.2 MB    3.0 MB  █████████████████▋
app           15.0 kB   33.3 kB  ▎

package                 files  unpacked
libc6 2.36-9+deb12u10       3    2.1 MB  ████████████▋
no package                597  942.0 kB  █████▊
libonig5 6.9.8-1            1  564.7 kB  ███▍
libjq1 1.6-2.1+deb12u1      1  340.0 kB  ██
jq 1.6-2.1+deb12u1          1   30.3 kB  ▏

largest files                               unpacked
/usr/lib/x86_64-linux-gnu/libc.so.6           1.9 MB  ███████████▋
/usr/lib/x86_64-linux-gnu/libonig.so.5.3.0  564.7 kB  ███▍
/usr/lib/x86_64-linux-gnu/libjq.so.1.0.4    340.0 kB  ██
/etc/ssl/certs/ca-certificates.crt          214.9 kB  █▎
/usr/bin/jq                                  30.3 kB  ▏

slim base             compressed         unpacked         recorded    has
alpine:3.24.2             3.8 MB   2.4×    8.4 MB   2.1×  2026-09-17  shell, apk
debian:bookworm-slim     28.2 MB  17.5×   74.8 MB  18.9×  2026-09-19  shell, apt
ubuntu:24.04             29.8 MB  18.4×   unknown         2026-09-11  shell, apt
distroless/base          unknown          unknown         unknown
gcr.io/distroless/base: published as 16.9MB

"#]]
    );
}

#[test]
fn the_terminal_report_at_sixty_columns() {
    assert_data_eq!(
        terminal(60),
        str![[r#"
jq.oci:latest
1.6 MB compressed · 4.0 MB unpacked · 603 files
linux/amd64 · runs /usr/bin/jq as 65532:65532
no shell, no package manager · sha256:3f2a9c1d3f2a

layer      compressed  as a tar
base         413.0 kB    1.1 MB  █████▏
libraries      1.2 MB    3.0 MB  ██████████████▊
app           15.0 kB   33.3 kB  ▏

package                 files  unpacked
libc6 2.36-9+deb12u10       3    2.1 MB  ██████████
no package                597  942.0 kB  ████▌
libonig5 6.9.8-1            1  564.7 kB  ██▊
libjq1 1.6-2.1+deb12u1      1  340.0 kB  █▋
jq 1.6-2.1+deb12u1          1   30.3 kB  ▏

largest files                               unpacked
/usr/lib/x86_64-linux-gnu/libc.so.6           1.9 MB  ██▉
/usr/lib/x86_64-linux-gnu/libonig.so.5.3.0  564.7 kB  ▉
/usr/lib/x86_64-linux-gnu/libjq.so.1.0.4    340.0 kB  ▌
/etc/ssl/certs/ca-certificates.crt          214.9 kB  ▍
/usr/bin/jq                                  30.3 kB  ▏

slim base            compressed         unpacked  recorded
alpine:3.24.2            3.8 MB   2.4×    8.4 MB  2026-09-17
debian…ookworm-slim     28.2 MB  17.5×   74.8 MB  2026-09-19
ubuntu:24.04            29.8 MB  18.4×   unknown  2026-09-11
distroless/base         unknown          unknown  unknown
gcr.io/distroless/base: published as 16.9MB

"#]]
    );
}

#[test]
fn the_markdown_report() {
    assert_data_eq!(
        Markdown.report(&jq()),
        str![[r#"
### jq.oci&#58;latest: 1.6 MB

1.6 MB compressed, 4.0 MB unpacked, 603 files, linux/amd64

| compared with | compressed | unpacked | recorded | has |
|---|--:|--:|---|---|
| alpine&#58;3.24.2 | 3.8 MB (2.4×) | 8.4 MB (2.1×) | 2026-09-17 | shell, apk |
| debian&#58;bookworm-slim | 28.2 MB (17.5×) | 74.8 MB (18.9×) | 2026-09-19 | shell, apt |
| ubuntu&#58;24.04 | 29.8 MB (18.4×) | unknown | 2026-09-11 | shell, apt |
| gcr.io/distroless/base | unknown | unknown | unknown | published as 16.9MB |

| layer | compressed | as a tar |
|---|--:|--:|
| base | 413.0 kB | 1.1 MB |
| libraries | 1.2 MB | 3.0 MB |
| app | 15.0 kB | 33.3 kB |

<details><summary>Packages (5)</summary>

| package | version | unpacked |
|---|---|--:|
| libc6 | 2.36-9+deb12u10 | 2.1 MB |
| *no package* |  | 942.0 kB |
| libonig5 | 6.9.8-1 | 564.7 kB |
| libjq1 | 1.6-2.1+deb12u1 | 340.0 kB |
| jq | 1.6-2.1+deb12u1 | 30.3 kB |

</details>

<details><summary>Files (5)</summary>

| file | package | size |
|---|---|--:|
| /usr/lib/x86\_64-linux-gnu/libc.so.6 | libc6 | 1.9 MB |
| /usr/lib/x86\_64-linux-gnu/libonig.so.5.3.0 | libonig5 | 564.7 kB |
| /usr/lib/x86\_64-linux-gnu/libjq.so.1.0.4 | libjq1 | 340.0 kB |
| /etc/ssl/certs/ca-certificates.crt |  | 214.9 kB |
| /usr/bin/jq | jq | 30.3 kB |

</details>

"#]]
        .raw()
    );
}

/// The same program a version later: libc is larger, libonig gone, a file new.
fn newer_jq() -> Report {
    let mut report = jq();
    report.reference = "new.oci:latest".to_owned();
    report.compressed += 130_000;
    report.unpacked -= 400_000;
    report.layers[1].compressed += 130_000;
    report.layers[1].digest = format!("sha256:{}", "ab".repeat(32));
    report.files.retain(|file| !file.path.contains("onig"));
    report.files[0].size += 100_000;
    report.files.push(FileShare {
        path: "/etc/new".to_owned(),
        size: 12,
        origin: None,
        package: None,
    });
    let packages = report.packages.as_mut().unwrap();
    packages.retain(|share| share.package.as_ref().is_none_or(|p| p.name != "libonig5"));
    packages[0].unpacked += 100_000;
    packages[0].package.as_mut().unwrap().version = "2.41-1".to_owned();
    report
}

#[test]
fn the_difference_of_two_images_at_the_terminal() {
    let diff = Diff::between(&jq(), &newer_jq());
    assert_eq!(diff.shared_layers, 2);
    let terminal = Terminal::new(80, Charset::Unicode);
    assert_data_eq!(
        plain(&terminal.diff(&diff)),
        str![[r#"
jq.oci:latest → new.oci:latest
            before   after     change
compressed  1.6 MB  1.7 MB  +130.0 kB
unpacked    4.0 MB  3.6 MB  -400.0 kB
files          603     603

layer (compressed)    before     after     change
base (the same)     413.0 kB  413.0 kB       ±0 B
libraries             1.2 MB    1.3 MB  +130.0 kB
app (the same)       15.0 kB   15.0 kB       ±0 B

package                             before   after     change
libonig5                          564.7 kB    gone  -564.7 kB
libc6 (2.36-9+deb12u10 → 2.41-1)    2.1 MB  2.2 MB  +100.0 kB

file                                          before   after     change
/usr/lib/x86_64-linux-gnu/libonig.so.5.3.0  564.7 kB    gone  -564.7 kB
/usr/lib/x86_64-linux-gnu/libc.so.6           1.9 MB  2.0 MB  +100.0 kB
/etc/new                                         new    12 B      +12 B

"#]]
    );
}

#[test]
fn the_difference_of_two_images_as_markdown() {
    let diff = Diff::between(&jq(), &newer_jq());
    assert_data_eq!(
        Markdown.diff(&diff),
        str![[r#"
### jq.oci&#58;latest → new.oci&#58;latest

| | before | after | change |
|---|--:|--:|--:|
| **compressed** | 1.6 MB | 1.7 MB | **+130.0 kB** |
| **unpacked** | 4.0 MB | 3.6 MB | **-400.0 kB** |
| files | 603 | 603 | |

<details><summary>Layers (compressed) (3)</summary>

| | before | after | change |
|---|--:|--:|--:|
| base (the same) | 413.0 kB | 413.0 kB | ±0 B |
| libraries | 1.2 MB | 1.3 MB | +130.0 kB |
| app (the same) | 15.0 kB | 15.0 kB | ±0 B |

</details>

<details><summary>Packages (2)</summary>

| | before | after | change |
|---|--:|--:|--:|
| libonig5 | 564.7 kB | - | -564.7 kB |
| libc6 (2.36-9+deb12u10 → 2.41-1) | 2.1 MB | 2.2 MB | +100.0 kB |

</details>

<details><summary>Files (3)</summary>

| | before | after | change |
|---|--:|--:|--:|
| /usr/lib/x86\_64-linux-gnu/libonig.so.5.3.0 | 564.7 kB | - | -564.7 kB |
| /usr/lib/x86\_64-linux-gnu/libc.so.6 | 1.9 MB | 2.0 MB | +100.0 kB |
| /etc/new | - | 12 B | +12 B |

</details>

"#]]
        .raw()
    );
}

#[test]
fn an_image_does_not_differ_from_itself() {
    let diff = Diff::between(&jq(), &jq());
    assert_eq!(
        (diff.files, diff.packages, diff.origins),
        (vec![], Some(vec![]), vec![])
    );
    assert!(
        diff.layers
            .iter()
            .all(|layer| layer.detail.as_deref() == Some("the same"))
    );
}

#[test]
fn no_line_is_wider_than_the_terminal_and_ascii_stays_ascii() {
    let mut report = jq();
    let name = "/tiefe/wälder/".repeat(30);
    report.reference = name.clone();
    report.files[0].path = name.clone();
    report.layers[0].what = name;
    let every = [
        "python:3.9-slim",
        "node:22-alpine",
        "gcr.io/distroless/java-debian10:11",
    ];
    let table = SlimBases::embedded().unwrap();
    report.compare(&table, &every.map(str::to_owned)).unwrap();
    let diff = Diff::between(&jq(), &report);
    for width in 40..110 {
        let ascii = Terminal::new(width, Charset::Ascii);
        assert!(ascii.report(&report).is_ascii() && ascii.diff(&diff).is_ascii());
        let unicode = Terminal::new(width, Charset::Unicode);
        for text in [
            ascii.report(&report),
            unicode.report(&report),
            unicode.diff(&diff),
        ] {
            let text = plain(&text);
            assert!(text.lines().count() <= 40, "{text}");
            for line in text.lines() {
                assert!(line.chars().count() <= width.max(60), "{width}: {line}");
                assert_eq!(line.trim_end(), line);
            }
        }
    }
}

#[test]
fn json_has_its_schema_first_and_null_for_what_is_unknown() {
    let mut report = jq();
    let text = Json.report(&report);
    assert!(text.starts_with("{\n  \"schema\": \"distrobuild.report/1\",\n  \"reference\""));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["compressed"], 1_613_000);
    assert_eq!(json["packages"][0]["package"]["name"], "libc6");
    assert_eq!(json["packages"][0]["package"]["manager"], "dpkg");
    let ubuntu = &json["comparisons"][2];
    assert_eq!(ubuntu["reference"], "ubuntu:24.04");
    assert!(ubuntu["unpacked"]["bytes"].is_null() && ubuntu["unpacked"]["times"].is_null());
    assert_eq!(ubuntu["compressed"]["saved"], 29_764_116 - 1_613_000);
    report.packages = None;
    let json: serde_json::Value = serde_json::from_str(&Json.report(&report)).unwrap();
    assert!(json["packages"].is_null());
    let diff = Json.diff(&Diff::between(&jq(), &report));
    assert!(diff.starts_with("{\n  \"schema\": \"distrobuild.diff/1\",\n  \"before\""));
}

#[test]
fn nothing_is_reckoned_with_another_platform_or_with_prose() {
    let mut report = jq();
    report.platform = "linux/riscv64".to_owned();
    let table = SlimBases::embedded().unwrap();
    let names = ["debian:bookworm-slim", "gcr.io/distroless/base"];
    report.compare(&table, &names.map(str::to_owned)).unwrap();
    let (debian, distroless) = (&report.comparisons[0], &report.comparisons[1]);
    assert!(debian.other_platform && debian.compressed.bytes.is_some());
    assert_eq!(
        (debian.compressed.times, debian.compressed.saved),
        (None, None)
    );
    assert!(!distroless.other_platform);
    assert_eq!(distroless.compressed, Measure::default());
    let text = plain(&Terminal::new(80, Charset::Unicode).report(&report));
    assert!(
        text.contains("debian:bookworm-slim: only linux/amd64 is recorded"),
        "{text}"
    );
    assert!(text.contains("published as 16.9MB"), "{text}");
}

#[test]
fn an_image_over_its_budget_names_what_takes_the_room() {
    let report = jq();
    assert_eq!(report.over(&Budget::new(1_613_000)), None);
    let excess = report.over(&Budget::parse("1.5MB").unwrap()).unwrap();
    assert_eq!(excess.by, 113_000);
    assert_data_eq!(
        excess.to_string(),
        str![
            "the image has 1.6 MB compressed, 113.0 kB more than the 1.5 MB it may have; the most room (unpacked) is taken by libc6 (2.1 MB), libonig5 (564.7 kB), libjq1 (340.0 kB), /etc/ssl/certs/ca-certificates.crt (214.9 kB), jq (30.3 kB)"
        ]
    );
    let unknown = Report {
        packages: None,
        ..report
    };
    let excess = unknown.over(&Budget::new(0)).unwrap();
    assert_eq!(
        excess.contributors[0].name,
        "/usr/lib/x86_64-linux-gnu/libc.so.6"
    );
}

#[test]
fn names_from_an_image_cannot_be_markup() {
    let mut report = jq();
    report.files[0].path = "/a|b<img src=x>@team `c` [d](e)".to_owned();
    let markdown = Markdown.report(&report);
    assert!(
        markdown.contains("/a\\|b&lt;img src=x&gt;&#64;team \\`c\\` \\[d\\](e)"),
        "{markdown}"
    );
}

/// An image held in memory.
#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Memory {
    fn add(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Descriptor {
        let digest = Digest::of(&bytes).to_string();
        let descriptor = Descriptor::new(
            media_type,
            bytes.len() as u64,
            digest.parse::<oci_spec::image::Digest>().unwrap(),
        );
        self.0.insert(digest, bytes);
        descriptor
    }
}

impl Source for Memory {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        unreachable!("a report is told which image is wanted")
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        Ok(Box::new(
            self.0[&descriptor.digest().to_string()].as_slice(),
        ))
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

/// A layer of files with these contents, and links where the content begins with `->`.
fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        match content.strip_prefix(b"->") {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                let target = std::str::from_utf8(target).unwrap();
                builder.append_link(&mut header, name, target).unwrap();
            }
            None => {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, name, *content).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

fn image(layers: &[(&str, Vec<u8>)]) -> (Memory, Descriptor) {
    let mut memory = Memory::default();
    let mut descriptors = Vec::new();
    let mut history = Vec::new();
    for (created_by, tar) in layers {
        let media_type = MediaType::ImageLayer;
        descriptors.push(serde_json::to_value(memory.add(media_type, tar.clone())).unwrap());
        history.push(serde_json::json!({ "created_by": created_by }));
    }
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "history": history,
        "config": { "User": "1000", "Entrypoint": ["/usr/bin/app"] },
        "rootfs": { "type": "layers", "diff_ids": [] },
    });
    let config = memory.add(MediaType::ImageConfig, config.to_string().into_bytes());
    let manifest = serde_json::json!({
        "schemaVersion": 2, "config": config, "layers": descriptors,
    });
    let manifest = memory.add(MediaType::ImageManifest, manifest.to_string().into_bytes());
    (memory, manifest)
}

#[test]
fn any_image_is_read_with_its_whiteouts_links_and_package_databases() {
    let base = layer(&[
        ("lib", b"->usr/lib"),
        ("etc/passwd", b"12345"),
        ("etc/motd", b"1234567"),
        ("bin/busybox", b"#!"),
    ]);
    let list = b"/.\n/lib/libz.so.1\n";
    let libraries = layer(&[
        ("usr/lib/libz.so.1", b"0123456789"),
        ("var/lib/dpkg/info/zlib1g:amd64.list", list),
        (
            "var/lib/dpkg/status",
            b"Package: zlib1g\nArchitecture: amd64\nVersion: 1.3\n",
        ),
        ("etc/.wh.motd", b""),
    ]);
    let app = layer(&[("usr/bin/app", b"abc")]);
    let (memory, manifest) = image(&[
        ("distrobuild base", base),
        ("distrobuild libraries", libraries),
        ("distrobuild app", app.clone()),
    ]);
    let report = Report::of_image(&memory, "it", &manifest).unwrap();
    let status = 49 + list.len() as u64;
    assert_eq!(report.unpacked, 5 + 2 + 10 + 3 + status);
    assert_eq!(report.file_count, 6);
    assert_eq!(report.layers[2].unpacked, app.len() as u64);
    assert_eq!(
        report.compressed,
        report.layers.iter().map(|l| l.compressed).sum::<u64>()
    );
    let origins: Vec<(&str, u64)> = report
        .origins
        .iter()
        .map(|share| (share.origin.as_str(), share.unpacked))
        .collect();
    assert_eq!(
        origins,
        [("base", 7), ("libraries", 10 + status), ("app", 3)]
    );
    let packages = report.packages.as_ref().unwrap();
    let zlib = packages
        .iter()
        .find_map(|p| p.package.as_ref().map(|package| (package, p.unpacked)));
    let (package, unpacked) = zlib.unwrap();
    assert_eq!(
        (package.name.as_str(), package.version.as_str(), unpacked),
        ("zlib1g", "1.3", 10)
    );
    assert_eq!(report.facts.shell.as_deref(), Some("/bin/busybox"));
    assert_eq!(report.facts.user, "1000");
    assert_eq!(report.manifest_size, manifest.size());
}

#[test]
fn a_damaged_image_is_an_error_that_names_it() {
    let (memory, manifest) = image(&[("x", b"no tar at all, and no layer".repeat(40).to_vec())]);
    let error = Report::of_image(&memory, "it:latest", &manifest).unwrap_err();
    assert!(
        error.to_string().starts_with("it:latest: layer sha256:"),
        "{error}"
    );
    let mut memory = Memory::default();
    let manifest = memory.add(MediaType::ImageManifest, b"[]".to_vec());
    let error = Report::of_image(&memory, "it:latest", &manifest).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("it:latest: the manifest is not as"),
        "{error}"
    );
}

#[test]
fn the_report_of_a_build_agrees_with_that_of_its_image() {
    let app = layer(&[("usr/bin/app", b"abc"), ("usr/bin/link", b"->app")]);
    let (memory, manifest) = image(&[("distrobuild app", app.clone())]);
    let read = Report::of_image(&memory, "it", &manifest).unwrap();
    let blob = |digest: &str| memory.0[digest].clone();
    let manifest_bytes = blob(manifest.digest().as_ref());
    let parsed: serde_json::Value = serde_json::from_slice(&manifest_bytes).unwrap();
    let built = Image {
        config: blob(parsed["config"]["digest"].as_str().unwrap()),
        manifest: manifest_bytes,
        descriptor: manifest,
        layers: vec![Layer {
            media_type: MediaType::ImageLayer,
            digest: Digest::of(&app),
            size: app.len() as u64,
            diff_id: Digest::of(&app),
            tar_size: app.len() as u64,
            annotations: BTreeMap::new(),
        }],
        platform: None,
    };
    let entry = |kind| Entry {
        kind,
        mode: 0o755,
        uid: 0,
        gid: 0,
        origin: Origin::App,
    };
    let path = |text: &str| ImagePath::new(text).unwrap();
    let entries = BTreeMap::from([
        (path("/usr"), entry(EntryKind::Directory)),
        (path("/usr/bin"), entry(EntryKind::Directory)),
        (
            path("/usr/bin/app"),
            entry(EntryKind::File(Content::Bytes(b"abc".into()))),
        ),
        (
            path("/usr/bin/link"),
            entry(EntryKind::Symlink("app".into())),
        ),
    ]);
    let built = Report::of_build("it", &built, &entries, &Owners::default()).unwrap();
    assert_eq!(built, read);
}
