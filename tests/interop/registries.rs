//! Images go to a real registry and come back; skopeo and crane agree on what they are.

use std::fs;
use std::process::Stdio;

use crate::container::Bundle;
use crate::image::{Image, contents, json};
use crate::registry::{PASSWORD, Registry, USER, base64};
use crate::tools::{optional, run, tool};
use crate::workshop::{Workshop, assert_tells, installed};

fn jq(workshop: &Workshop, output: &str) -> Image {
    workshop.build(installed("jq"), output, &[])
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn what_is_pushed_is_what_skopeo_and_crane_take() {
    let workshop = Workshop::new();
    let registry = Registry::guarded(&workshop, "registry");
    let image = jq(&workshop, "jq.oci");
    let name = registry.name("team/jq:1");
    let pushed = registry.distrobuild(&workshop, &["push", &image.reference(), &name]);
    assert_eq!(pushed, format!("{name}@{}\n", image.digest()));

    let copy = workshop.path("copy.oci");
    run(tool("skopeo")
        .arg("copy")
        .args(registry.skopeo("src"))
        .arg(format!("docker://{name}"))
        .arg(format!("oci:{}:latest", copy.display())))
    .output();
    let copied = Image::new(&copy, "latest");
    assert_eq!(copied.digest(), image.digest());
    copied.assert_whole();
    let out = Bundle::of(&copied, &workshop)
        .with(&["--version"])
        .run()
        .output();
    assert!(out.starts_with("jq-"), "{out}");

    let Some(mut crane) = optional("crane") else {
        return;
    };
    registry.known_to(&mut crane, &workshop);
    assert_eq!(
        run(crane.args(["digest", &name])).output().trim(),
        image.digest()
    );
    let mut crane = tool("crane");
    registry.known_to(&mut crane, &workshop);
    run(crane.args(["validate", "--remote", &name])).output();
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn what_skopeo_pushes_is_pulled_and_pushed_again_byte_for_byte() {
    let workshop = Workshop::new();
    let registry = Registry::guarded(&workshop, "registry");
    let image = jq(&workshop, "jq.oci");
    let name = registry.name("jq:by-skopeo");
    run(tool("skopeo")
        .arg("copy")
        .args(registry.skopeo("dest"))
        .args([image.transport(), format!("docker://{name}")]))
    .output();
    let pulled = registry.distrobuild(&workshop, &["pull", &name, "-o", "pulled.oci"]);
    assert_eq!(pulled, "pulled.oci:by-skopeo\n");
    let pulled = Image::new(workshop.path("pulled.oci"), "by-skopeo");
    assert_eq!(pulled.digest(), image.digest());
    pulled.assert_whole();
    let archive = registry.distrobuild(&workshop, &["pull", &name, "-o", "jq.tar", "-t", "x"]);
    assert_eq!(archive, "jq.tar:x\n");
    // From an archive, and from one repository to another.
    let other = registry.name("other/jq:2");
    registry.distrobuild(&workshop, &["push", "jq.tar:x", &other]);
    let third = registry.name("third:3");
    registry.distrobuild(&workshop, &["copy", &other, &third]);
    let digest = run(tool("skopeo")
        .args(["inspect", "--format", "{{.Digest}}"])
        .args(registry.skopeo(""))
        .arg(format!("docker://{third}")))
    .output();
    assert_eq!(digest.trim(), image.digest());
    // The registry gave the third what the second had.
    let requests = registry.requests();
    let has_mounted = |request: &String| {
        request.starts_with("POST /v2/third/blobs/uploads/?") && request.ends_with(" 201")
    };
    assert!(requests.iter().any(has_mounted), "{requests:#?}");
    assert!(
        !requests
            .iter()
            .any(|request| request.starts_with("PUT /v2/third/blobs"))
    );
    // docker load's form, of an image in a registry.
    registry.distrobuild(
        &workshop,
        &[
            "pull",
            &third,
            "--format",
            "docker-archive",
            "-o",
            "docker.tar",
        ],
    );
    let listed = run(tool("tar").args(["-tf".as_ref(), workshop.path("docker.tar").as_os_str()]));
    assert!(listed.output().contains("manifest.json"));
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_second_push_only_asks_and_a_changed_app_sends_its_layer_alone() {
    let workshop = Workshop::new();
    let registry = Registry::open(&workshop, "registry");
    let name = registry.name("app:v1");
    let program = workshop.compile("gcc", "int main(void) { return 0; }\n", "app", &[]);
    let build = |tag: &str| {
        let image = workshop.build(&program, "app.oci", &[]);
        let name = format!("{}:{tag}", name.trim_end_matches(":v1"));
        registry.distrobuild(&workshop, &["push", &image.reference(), &name])
    };
    let first = build("v1");
    let before = registry.requests().len();
    assert_eq!(build("v1"), first);
    let asked = registry.requests().split_off(before);
    assert!(!asked.is_empty());
    assert!(
        asked.iter().all(|request| request.starts_with("HEAD ")),
        "{asked:#?}"
    );

    workshop.compile("gcc", "int main(void) { return 7; }\n", "app", &[]);
    let before = registry.requests().len();
    assert_ne!(build("v2"), first);
    let asked = registry.requests().split_off(before);
    let sent = asked
        .iter()
        .filter(|request| request.starts_with("PUT /v2/app/blobs/uploads/"));
    // The app's layer and the config.
    assert_eq!(sent.count(), 2, "{asked:#?}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn build_and_push_in_one_go_leaves_nothing_on_disk() {
    let workshop = Workshop::new();
    let registry = Registry::guarded(&workshop, "registry");
    let empty = workshop.directory("here");
    let name = registry.name("me/jq:v1");
    let mut command = workshop.distrobuild();
    registry.known_to(&mut command, &workshop);
    let outcome = run(command
        .current_dir(&empty)
        .arg("-q")
        .arg(installed("jq"))
        .args(["--push", &name, "--push", &registry.name("me/jq:latest")]));
    let out = outcome.output();
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with(&format!("{name}@sha256:")), "{out}");
    assert_eq!(lines.len(), 2, "{out}");
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    let tags = registry.distrobuild(&workshop, &["tags", &registry.name("me/jq")]);
    assert_eq!(tags, "latest\nv1\n");
    let inspected = registry.distrobuild(&workshop, &["inspect", &name]);
    assert!(inspected.contains("65532"), "{inspected}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_login_is_kept_used_and_forgotten_and_never_shown() {
    let workshop = Workshop::new();
    let registry = Registry::guarded(&workshop, "registry");
    let authority = registry.authority.clone().unwrap();
    let image = jq(&workshop, "jq.oci");
    let config = workshop.directory("config");
    let name = registry.name("jq:1");
    let distrobuild = |arguments: &[&str], password: Option<&str>| {
        let mut command = workshop.distrobuild();
        command
            .env("DOCKER_CONFIG", &config)
            .args(arguments)
            .args(["--ca-file".as_ref(), authority.as_os_str()]);
        match password {
            None => run(&mut command),
            Some(password) => {
                let file = workshop.write("password", password);
                let script = "exec \"$@\" <\"$PASSWORD_FILE\"";
                let mut shell = tool("sh");
                shell.args(["-c", script, "sh"]).arg(command.get_program());
                shell.args(command.get_args()).env("PASSWORD_FILE", file);
                for (key, value) in command.get_envs() {
                    if let Some(value) = value {
                        shell.env(key, value);
                    }
                }
                shell.current_dir(command.get_current_dir().unwrap());
                run(&mut shell)
            }
        }
    };
    let message = distrobuild(&["push", &image.reference(), &name], None).exited_with(1);
    assert_tells(
        &message,
        &[&registry.host, "config.json", "distrobuild login"],
    );
    let wrong = "not the password";
    let login = [
        "login",
        registry.host.as_str(),
        "-u",
        USER,
        "--password-stdin",
    ];
    let message = distrobuild(&login, Some(wrong)).exited_with(1);
    assert!(!message.contains(wrong), "{message}");
    assert!(!config.join("config.json").exists());

    distrobuild(&login, Some(PASSWORD)).output();
    let file = config.join("config.json");
    let auth = json(&file)["auths"][&registry.host]["auth"].clone();
    assert_eq!(auth, base64(&format!("{USER}:{PASSWORD}")));
    let mode = {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(&file).unwrap().permissions().mode()
    };
    assert_eq!(mode & 0o777, 0o600);
    let outcome = distrobuild(&["-v", "push", &image.reference(), &name], None);
    for secret in [PASSWORD, auth.as_str().unwrap()] {
        assert!(!outcome.stderr.contains(secret), "{outcome}");
    }
    outcome.output();
    // skopeo takes the login that we keep.
    run(tool("skopeo")
        .args(["inspect", "--authfile", &file.display().to_string()])
        .arg(format!(
            "--cert-dir={}",
            authority.parent().unwrap().display()
        ))
        .arg(format!("docker://{name}")))
    .output();
    let mut command = workshop.distrobuild();
    command
        .env("DOCKER_CONFIG", &config)
        .args(["logout", &registry.host]);
    run(&mut command).output();
    distrobuild(&["push", &image.reference(), &registry.name("jq:2")], None).exited_with(1);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_push_that_is_killed_and_run_again_ends_right() {
    let workshop = Workshop::new();
    let registry = Registry::open(&workshop, "registry");
    let image = workshop.build(
        installed("ffmpeg"),
        "ffmpeg.oci",
        &["--compression", "none"],
    );
    let name = registry.name("ffmpeg:1");
    for milliseconds in [60, 150, 300] {
        let mut child = workshop
            .distrobuild()
            .args(["push", &image.reference(), &name])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        let _ = child.kill();
        child.wait().unwrap();
    }
    registry.distrobuild(&workshop, &["push", &image.reference(), &name]);
    registry.distrobuild(&workshop, &["pull", &name, "-o", "back.oci"]);
    let back = Image::new(workshop.path("back.oci"), "1");
    assert_eq!(back.digest(), image.digest());
    back.assert_whole();
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_app_on_an_image_of_a_registry_uses_its_libraries_and_mounts_its_layers() {
    let workshop = Workshop::new();
    let registry = Registry::guarded(&workshop, "registry");
    // A base as others make it: a C library, certificates, and no shell.
    let base = workshop.build(installed("jq"), "base.oci", &["--label", "kind=base"]);
    let base_name = registry.name("bases/cc:12");
    registry.distrobuild(&workshop, &["push", &base.reference(), &base_name]);
    let program = workshop.compile(
        "gcc",
        "#include <math.h>\n#include <stdio.h>\nint main(int c, char **v) { printf(\"%.0f on a base\\n\", floor(c + 0.5)); return 0; }\n",
        "hello",
        &["-lm"],
    );
    let name = registry.name("apps/hello:1");
    let build = [
        program.to_str().unwrap(),
        "--base",
        &base_name,
        "-o",
        "hello.oci",
        "--push",
        &name,
    ];
    registry.distrobuild(&workshop, &build);
    let image = Image::new(workshop.path("hello.oci"), "latest");
    image.assert_whole();
    // libm and libc are the base's: the app's layers hold the app alone.
    assert_eq!(image.layers()[..base.layers().len()], base.layers()[..]);
    assert_eq!(image.layers().len(), base.layers().len() + 1);
    let manifest = image.manifest();
    let annotations = &manifest["annotations"];
    assert_eq!(
        annotations["org.opencontainers.image.base.name"],
        base_name.as_str()
    );
    assert_eq!(
        annotations["org.opencontainers.image.base.digest"],
        base.digest().as_str()
    );
    assert_eq!(image.config()["config"]["Labels"]["kind"], "base");
    assert_eq!(image.config()["config"]["User"], "65532:65532");
    let out = Bundle::of(&image, &workshop).run().output();
    assert_eq!(out, "1 on a base\n");
    // Only the app's layer and the config were sent.
    let requests = registry.requests();
    let sent = |request: &&String| request.starts_with("PUT /v2/apps/hello/blobs/uploads/");
    assert_eq!(requests.iter().filter(sent).count(), 2, "{requests:#?}");
    // The second build fetches no layer: all that it asks is what the base is today.
    let before = requests.len();
    let digest = image.digest();
    registry.distrobuild(&workshop, &build);
    assert_eq!(image.digest(), digest);
    let asked = registry.requests().split_off(before);
    let layers = base.layers();
    let fetched = |request: &&String| {
        let is_of = |digest: &String| request.contains(digest.as_str());
        request.starts_with("GET ") && layers.iter().any(is_of)
    };
    assert_eq!(asked.iter().filter(fetched).count(), 0, "{asked:#?}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_image_moves_onto_a_newer_base_without_its_files() {
    let workshop = Workshop::new();
    let registry = Registry::open(&workshop, "registry");
    let base_name = registry.name("base:latest");
    let base = |label: &str| {
        let base = workshop.build(
            installed("jq"),
            &format!("base-{label}.oci"),
            &[
                "--label",
                &format!("release={label}"),
                "--env",
                &format!("RELEASE={label}"),
            ],
        );
        registry.distrobuild(&workshop, &["push", &base.reference(), &base_name]);
        base
    };
    base("1");
    let program = workshop.compile(
        "gcc",
        "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(getenv(\"RELEASE\")); puts(getenv(\"OWN\")); return 0; }\n",
        "app",
        &[],
    );
    let name = registry.name("app:1");
    registry.distrobuild(
        &workshop,
        &[
            program.to_str().unwrap(),
            "--base",
            &base_name,
            "--env",
            "OWN=app",
            "--push",
            &name,
        ],
    );
    let newer = base("2");
    let moved = registry.name("app:2");
    let before = registry.requests().len();
    registry.distrobuild(&workshop, &["rebase", &name, "--to", &moved]);
    let asked = registry.requests().split_off(before);
    let configs_alone = asked
        .iter()
        .filter(|r| r.starts_with("GET ") && r.contains("/blobs/"));
    // The configs of the image and of both bases; no layer.
    assert!(configs_alone.count() <= 3, "{asked:#?}");
    registry.distrobuild(&workshop, &["pull", &moved, "-o", "moved.oci"]);
    let moved = Image::new(workshop.path("moved.oci"), "2");
    assert_eq!(moved.layers()[..newer.layers().len()], newer.layers()[..]);
    assert_eq!(moved.config()["config"]["Labels"]["release"], "2");
    let out = Bundle::of(&moved, &workshop).run().output();
    assert_eq!(out, "2\napp\n");
    let base_digest = &moved.manifest()["annotations"]["org.opencontainers.image.base.digest"];
    assert_eq!(base_digest, newer.digest().as_str());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn images_for_two_platforms_are_one_index_that_is_pushed_whole() {
    let workshop = Workshop::new();
    let registry = Registry::open(&workshop, "registry");
    let source = "#include <stdio.h>\nint main(void) { puts(\"here\"); return 0; }\n";
    fs::create_dir_all(workshop.path("out/amd64")).unwrap();
    fs::create_dir_all(workshop.path("out/arm64")).unwrap();
    let here = workshop.compile("gcc", source, "app", &["-static"]);
    fs::copy(&here, workshop.path("out/amd64/app")).unwrap();
    let file = workshop.write("app.c", source);
    run(tool("aarch64-linux-gnu-gcc")
        .args(["-static", "-o"])
        .arg(workshop.path("out/arm64/app"))
        .arg(&file))
    .output();
    let name = registry.name("app:v1");
    registry.distrobuild(
        &workshop,
        &[
            "out/{arch}/app",
            "--platform",
            "linux/amd64,linux/arm64",
            "-o",
            "app.oci",
            "--push",
            &name,
        ],
    );
    let index = json(&workshop.path("app.oci/index.json"));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    let raw = |platform: &str| {
        run(tool("skopeo")
            .args([
                "--override-os=linux",
                &format!("--override-arch={platform}"),
                "inspect",
            ])
            .args(registry.skopeo(""))
            .args(["--config", "--format", "{{.Architecture}}"])
            .arg(format!("docker://{name}")))
        .output()
    };
    assert_eq!(raw("amd64").trim(), "amd64");
    assert_eq!(raw("arm64").trim(), "arm64");

    // The same from two builds of one platform each.
    for arch in ["amd64", "arm64"] {
        workshop.build(
            workshop.path(&format!("out/{arch}/app")),
            &format!("{arch}.oci"),
            &[],
        );
    }
    registry.distrobuild(
        &workshop,
        &[
            "index",
            "both.oci:v1",
            "--add",
            "amd64.oci",
            "--add",
            "arm64.oci",
        ],
    );
    registry.distrobuild(
        &workshop,
        &["push", "both.oci:v1", &registry.name("both:v1")],
    );
    let digest = |name: &str| {
        let mut command = tool("skopeo");
        command
            .args(["inspect", "--raw"])
            .args(registry.skopeo(""))
            .arg(format!("docker://{name}"));
        run(&mut command).output()
    };
    assert_eq!(digest(&registry.name("both:v1")), digest(&name));
    let mut refused = workshop.distrobuild();
    let message = workshop.refusal_of(refused.args(["pull", &name, "--platform", "linux/s390x"]));
    assert_tells(&message, &["linux/amd64", "linux/arm64"]);
    assert!(!workshop.path("app-s390x.oci").exists());

    // Removing the tag leaves the other images of the layout as they are.
    let before = contents(&workshop.path("amd64.oci"));
    registry.distrobuild(&workshop, &["rm", "both.oci:v1"]);
    assert_eq!(contents(&workshop.path("amd64.oci")), before);
    let blobs = workshop.path("both.oci/blobs/sha256");
    assert_eq!(fs::read_dir(blobs).unwrap().count(), 0);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn two_images_are_compared_wherever_they_are() {
    let workshop = Workshop::new();
    let registry = Registry::open(&workshop, "registry");
    let image = jq(&workshop, "jq.oci");
    let name = registry.name("jq:1");
    registry.distrobuild(&workshop, &["push", &image.reference(), &name]);
    let mut same = workshop.distrobuild();
    run(same.args(["diff", &image.reference(), &name, "--exit-code"])).output();
    let note = workshop.write("note.txt", "a note\n");
    let include = format!("{}:/app/note.txt", note.display());
    let other = workshop.build(installed("jq"), "other.oci", &["--include", &include]);
    let mut differs = workshop.distrobuild();
    let outcome = run(differs.args(["diff", &name, &other.reference(), "--exit-code"]));
    assert!(outcome.stdout.contains("/app/note.txt"), "{outcome}");
    outcome.exited_with(1);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_live_size_of_an_image_is_asked_and_without_a_network_the_recorded_one_is_told() {
    let workshop = Workshop::new();
    let registry = Registry::open(&workshop, "registry");
    let image = jq(&workshop, "jq.oci");
    registry.distrobuild(
        &workshop,
        &[
            "push",
            &image.reference(),
            &registry.name("hub/library/debian:bookworm-slim"),
        ],
    );
    let mirror = format!("docker.io={}/hub", registry.host);
    let report = |mirror: &str| {
        let mut command = workshop.distrobuild();
        run(command.args([
            "report",
            &image.reference(),
            "--against",
            "debian:bookworm-slim",
            "--live",
            "--registry-mirror",
            mirror,
            "--report",
            "json",
        ]))
    };
    let live = report(&mirror).output();
    let live: serde_json::Value = serde_json::from_str(&live).unwrap();
    let size = live["compressed"].as_u64().unwrap();
    let rows = live["comparisons"].to_string();
    assert!(rows.contains(&size.to_string()), "{rows}");
}
