//! A workshop in which both programs work on the same keys and images.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::image::Image;
use crate::registry::Registry;
use crate::tools::{Outcome, optional, run, tool};
use crate::workshop::Workshop;

/// The password of every key that says nothing else.
pub(super) const PASSWORD: &str = "correct horse";

/// A line of cosign's releases. Each has its own defaults, and both are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Two,
    Three,
}

impl Line {
    pub(super) const ALL: [Self; 2] = [Self::Two, Self::Three];

    /// The name of its program, fit for a repository's.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Two => "cosign-v2",
            Self::Three => "cosign",
        }
    }
}

/// What a signature looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Classic,
    Bundle,
}

impl Form {
    pub(super) const ALL: [Self; 2] = [Self::Classic, Self::Bundle];

    /// As distrobuild's `--signature-form` names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Bundle => "bundle",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Classic => "--new-bundle-format=false",
            Self::Bundle => "--new-bundle-format=true",
        }
    }
}

/// Kinds of keys, as distrobuild's `--algorithm` names them.
pub(super) const ALGORITHMS: [&str; 3] = ["ecdsa-p256", "ecdsa-p384", "ed25519"];

/// The files of a key pair.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) private: String,
    pub(super) public: String,
    algorithm: &'static str,
}

impl Key {
    /// What cosign has to be told to verify what it signed with such a key.
    fn digest_flag(&self) -> Option<&'static str> {
        // It signs with P-384 over SHA-384, and verifies over SHA-256.
        (self.algorithm == "ecdsa-p384").then_some("--signature-digest-algorithm=sha384")
    }
}

/// A workshop with a small program's image and both lines of cosign.
pub(super) struct Bench {
    pub(super) workshop: Workshop,
    pub(super) image: Image,
    /// Its login and its CA are known to both programs.
    pub(super) registry: Registry,
}

impl Bench {
    /// `None` where there is no Go, by which cosign is installed; that is said.
    pub(super) fn new() -> Option<Self> {
        for line in Line::ALL {
            optional(line.name())?;
        }
        let workshop = Workshop::new();
        let app = workshop.compile("gcc", "int main(void) { return 0; }\n", "app", &["-static"]);
        let image = workshop.build(app, "app.oci", &[]);
        // No service is trusted, and none is asked: without this file cosign 2 wants to fetch one.
        workshop.write(
            "trusted-root.json",
            "{\"mediaType\":\"application/vnd.dev.sigstore.trustedroot+json;version=0.1\"}\n",
        );
        Some(Self {
            registry: Registry::guarded(&workshop, "registry"),
            workshop,
            image,
        })
    }

    /// distrobuild with this environment.
    pub(super) fn command(&self) -> Command {
        let mut command = self.workshop.distrobuild();
        self.registry.known_to(&mut command, &self.workshop);
        command.env("COSIGN_PASSWORD", PASSWORD);
        command
    }

    /// Runs distrobuild.
    #[track_caller]
    pub(super) fn ours(&self, arguments: &[&str]) -> Outcome {
        run(self.command().args(arguments))
    }

    /// cosign with the same environment.
    pub(super) fn cosign_command(&self, line: Line) -> Command {
        let mut command = tool(line.name());
        command
            .current_dir(self.workshop.path("."))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.workshop.directory("home"));
        self.registry.known_to(&mut command, &self.workshop);
        command.env("COSIGN_PASSWORD", PASSWORD);
        command
    }

    /// Runs cosign.
    #[track_caller]
    pub(super) fn cosign(&self, line: Line, arguments: &[&str]) -> Outcome {
        run(self.cosign_command(line).args(arguments))
    }

    /// Pushes the image into `repository`; gives its name by digest.
    #[track_caller]
    pub(super) fn push(&self, repository: &str) -> String {
        let name = self.registry.name(repository);
        self.ours(&["push", &self.image.reference(), &format!("{name}:1")])
            .output();
        format!("{name}@{}", self.image.digest())
    }

    /// A key pair by distrobuild.
    #[track_caller]
    pub(super) fn key(&self, algorithm: &'static str) -> Key {
        let prefix = format!("ours-{algorithm}");
        self.ours(&[
            "keygen",
            "--algorithm",
            algorithm,
            "--output-key-prefix",
            &prefix,
        ])
        .output();
        key(&prefix, algorithm)
    }

    /// A key pair by cosign, which makes P-256 alone: others it takes from openssl.
    #[track_caller]
    pub(super) fn cosign_key(&self, line: Line, algorithm: &'static str) -> Key {
        let prefix = format!("{}-{algorithm}", line.name());
        if algorithm == "ecdsa-p256" {
            let arguments = ["generate-key-pair", "--output-key-prefix", &prefix];
            self.cosign(line, &arguments).output();
        } else {
            let pem = format!("{prefix}.pem");
            self.openssl_key(algorithm, &pem);
            let arguments = [
                "import-key-pair",
                "--key",
                &pem,
                "--output-key-prefix",
                &prefix,
            ];
            self.cosign(line, &arguments).output();
        }
        key(&prefix, algorithm)
    }

    /// A private key by openssl, plain PKCS#8.
    #[track_caller]
    pub(super) fn openssl_key(&self, algorithm: &str, file: &str) {
        let kind: &[&str] = match algorithm {
            "ecdsa-p256" => &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "ecdsa-p384" => &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            _ => &["ED25519"],
        };
        self.openssl(&["genpkey", "-out", file, "-algorithm"], kind);
    }

    /// What openssl prints.
    #[track_caller]
    pub(super) fn openssl(&self, arguments: &[&str], more: &[&str]) -> String {
        let mut openssl = tool("openssl");
        openssl.current_dir(self.workshop.path("."));
        run(openssl.args(arguments).args(more)).output()
    }

    /// distrobuild signs in one form.
    #[track_caller]
    pub(super) fn sign(&self, key: &Key, form: Form, image: &str, more: &[&str]) {
        let arguments = [
            "sign",
            "--key",
            &key.private,
            "--signature-form",
            form.name(),
            image,
        ];
        self.ours(&[&arguments, more].concat()).output();
    }

    /// distrobuild verifies; its claims.
    #[track_caller]
    pub(super) fn verify(&self, key: &Key, image: &str, more: &[&str]) -> Outcome {
        let arguments = ["verify", "--key", &key.public, image];
        self.ours(&[&arguments, more].concat())
    }

    /// cosign signs, and no service is asked.
    #[track_caller]
    pub(super) fn cosign_sign(
        &self,
        line: Line,
        key: &Key,
        form: Form,
        image: &str,
        more: &[&str],
    ) {
        let arguments = [
            "sign",
            "-y",
            "--key",
            &key.private,
            "--use-signing-config=false",
            "--tlog-upload=false",
            form.flag(),
        ];
        self.cosign(line, &[&arguments, more, &[image]].concat())
            .output();
    }

    /// cosign verifies what distrobuild signed.
    #[track_caller]
    pub(super) fn cosign_verify(
        &self,
        line: Line,
        key: &Key,
        form: Form,
        image: &str,
        more: &[&str],
    ) -> Outcome {
        let arguments = self.cosign_checks(line, "verify", key, form);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.cosign(line, &[&arguments, more, &[image]].concat())
    }

    /// cosign verifies what it signed itself: see [`Key::digest_flag`].
    #[track_caller]
    pub(super) fn cosign_verify_own(
        &self,
        line: Line,
        key: &Key,
        form: Form,
        image: &str,
    ) -> Outcome {
        let flag: Vec<&str> = key.digest_flag().into_iter().collect();
        self.cosign_verify(line, key, form, image, &flag)
    }

    /// How cosign is told to verify with a key alone.
    pub(super) fn cosign_checks(
        &self,
        line: Line,
        command: &str,
        key: &Key,
        form: Form,
    ) -> Vec<String> {
        let mut arguments = vec![
            command.to_owned(),
            format!("--key={}", key.public),
            "--insecure-ignore-tlog".to_owned(),
            form.flag().to_owned(),
        ];
        if line == Line::Two {
            let root = self.workshop.path("trusted-root.json");
            arguments.push("--private-infrastructure".to_owned());
            arguments.push(format!("--trusted-root={}", root.display()));
        }
        arguments
    }

    /// The tags of a repository.
    pub(super) fn tags(&self, repository: &str) -> Vec<String> {
        let tags = self.ours(&["tags", &self.registry.name(repository)]);
        tags.output().lines().map(str::to_owned).collect()
    }

    /// The tag under which cosign keeps signatures of the image.
    pub(super) fn signature_tag(&self) -> String {
        format!("{}.sig", self.image.digest().replace(':', "-"))
    }
}

/// The files that a program makes of `prefix`.
fn key(prefix: &str, algorithm: &'static str) -> Key {
    Key {
        private: format!("{prefix}.key"),
        public: format!("{prefix}.pub"),
        algorithm,
    }
}

/// The pair of files at `prefix`, of a P-256 key.
pub(super) fn pair(prefix: &str) -> Key {
    key(prefix, "ecdsa-p256")
}

/// What `verify` says, without the differences between cosign's lines: no annotations are `null`
/// in the one and `{}` in the other. In one order.
#[track_caller]
pub(super) fn claims(output: &str) -> Vec<Value> {
    let mut claims: Vec<Value> =
        serde_json::from_str(output.trim()).unwrap_or_else(|error| panic!("{error}: {output}"));
    for claim in &mut claims {
        if claim["optional"].is_null() {
            claim["optional"] = serde_json::json!({});
        }
    }
    claims.sort_by_key(ToString::to_string);
    claims
}

/// Copies a directory with all that is in it.
pub(super) fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The text of a file.
#[track_caller]
pub(super) fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
