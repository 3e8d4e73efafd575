//! Apps in Java: with a runtime that was made for them, or with the one that is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::container::Bundle;
use crate::image::{Image, contents};
use crate::kept::{copy, kept, write};
use crate::tools::{path_of, run, tool};
use crate::workshop::{Workshop, assert_tells};

/// The JDK's own HTTP server, with a class of another jar.
const SERVER: &str = r#"
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;

public class Server {
    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 0);
        byte[] digest = MessageDigest.getInstance("SHA-256").digest("abc".getBytes());
        String text = words.Words.GREETING.get() + " " + HexFormat.of().formatHex(digest, 0, 4);
        server.createContext("/", exchange -> {
            byte[] body = text.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        System.out.println("listening");
    }
}
"#;

/// Not a constant, which the compiler would copy.
const WORDS: &str = "
package words;

public class Words {
    public static final java.util.function.Supplier<String> GREETING = () -> \"good morning\";
}
";

const GREETING: &str = "good morning ba7816bf";

/// Compiles Java sources `(path, text)` in `directory`, with `class_path`, into `directory/OUTPUT`.
fn compile(directory: &Path, output: &str, class_path: &str, sources: &[(&str, &str)]) {
    for (name, text) in sources {
        write(directory, name, text);
    }
    run(tool("javac")
        .current_dir(directory)
        .args(["-encoding", "UTF-8", "-cp", class_path, "-d", output])
        .args(sources.iter().map(|(name, _)| name)))
    .output();
}

/// Packs `directory/CLASSES` as the jar `directory/NAME` with these lines in its manifest.
fn pack(directory: &Path, name: &str, manifest: &str, classes: &str) {
    write(directory, "manifest.txt", manifest);
    fs::create_dir_all(directory.join(name).parent().unwrap()).unwrap();
    run(tool("jar")
        .current_dir(directory)
        .args(["--create", "--file", name])
        .args(["--manifest", "manifest.txt", "-C", classes, "."]))
    .output();
}

/// A directory with `server.jar`, whose class path names `lib/words.jar`, and other jars.
fn jars() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let java = run(tool("javac").arg("--version")).output();
        kept(
            "java-jars",
            &format!("{java} {SERVER} {WORDS}"),
            |directory| {
                compile(
                    directory,
                    "words",
                    "",
                    &[("source/words/Words.java", WORDS)],
                );
                pack(directory, "lib/words.jar", "", "words");
                compile(
                    directory,
                    "server",
                    "words",
                    &[("source/Server.java", SERVER)],
                );
                let manifest = "Main-Class: Server\nClass-Path: lib/words.jar\n";
                pack(directory, "server.jar", manifest, "server");
                pack(directory, "mainless.jar", "", "words");
            },
        )
    })
}

/// The JDK whose compiler is used.
fn jdk() -> PathBuf {
    let java = fs::canonicalize(path_of("javac")).unwrap();
    java.parent().unwrap().parent().unwrap().to_owned()
}

/// A Java home that has no `jlink`: the JDK without its tools and modules to link.
fn runtime_alone() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| {
        let version = run(tool("java").arg("--version")).output();
        kept("java-runtime", &version, |home| {
            let jdk = jdk();
            for entry in fs::read_dir(&jdk).unwrap() {
                let name = entry.unwrap().file_name();
                if !["bin", "docs", "include", "jmods", "man"].contains(&name.to_str().unwrap()) {
                    // Debian's configuration is links into /etc; its link to the sources may lead
                    // nowhere, of which cp complains at its end.
                    run(tool("cp").arg("-aL").arg(jdk.join(&name)).arg(home));
                }
            }
            assert!(home.join("lib/modules").is_file(), "{}", home.display());
            let _ = fs::remove_file(home.join("lib/src.zip"));
            fs::create_dir(home.join("bin")).unwrap();
            copy(&jdk.join("bin/java"), &home.join("bin"));
        })
    })
}

/// Builds with [`runtime_alone`], and no other Java to be found.
#[track_caller]
fn build_without_jlink(workshop: &Workshop, app: &Path, output: &str, options: &[&str]) -> Image {
    let home = runtime_alone();
    let mut command = workshop.build_command(app, output, options);
    command
        .env("JAVA_HOME", home)
        .env("PATH", format!("{}:/nowhere", home.join("bin").display()));
    run(&mut command).output();
    Image::new(workshop.path(output), "latest")
}

/// Bytes of an image's layers.
fn size(image: &Image) -> u64 {
    let layers = image.layers();
    let sizes = layers
        .iter()
        .map(|layer| fs::metadata(image.blob(layer)).unwrap().len());
    sizes.sum()
}

#[track_caller]
fn assert_answers(image: &Image, workshop: &Workshop) {
    let mut server = Bundle::of(image, workshop).read_only().start();
    assert_eq!(server.page(8080, "/"), GREETING);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_jar_with_a_server_answers_from_a_linked_runtime_and_from_a_whole_one() {
    let workshop = Workshop::new();
    let jar = jars().join("server.jar");
    let options = ["--port", "8080", "--smoke", "--smoke-port", "8080"];
    let linked = workshop.build(&jar, "linked.oci", &options);
    assert_answers(&linked, &workshop);
    let whole = build_without_jlink(&workshop, &jar, "whole.oci", &options);
    assert_answers(&whole, &workshop);
    assert!(
        size(&linked) < size(&whole) * 3 / 4,
        "linked {}, whole {}",
        size(&linked),
        size(&whole)
    );
    for image in [&linked, &whole] {
        let entrypoint = image.config()["config"]["Entrypoint"].to_string();
        assert!(entrypoint.contains("-jar"), "{entrypoint}");
        let fonts: Vec<_> = image
            .paths()
            .into_iter()
            .filter(|path| path.contains("fontconfig") || path.ends_with(".ttf"))
            .collect();
        assert!(fonts.is_empty(), "{fonts:?}");
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_linked_runtime_is_the_same_every_time() {
    let workshop = Workshop::new();
    let jar = jars().join("server.jar");
    let layouts = ["one", "two"].map(|place| {
        let directory = workshop.directory(place);
        copy(&jar, &directory);
        copy(&jars().join("lib"), &directory);
        let output = format!("{place}.oci");
        let jar = directory.join("server.jar");
        // Without a cache the second one is linked again.
        let mut command = workshop.build_command(jar, &output, &["--no-cache"]);
        command.env("XDG_CACHE_HOME", directory.join("cache"));
        run(&mut command).output();
        contents(&workshop.path(&output))
    });
    assert_eq!(layouts[0], layouts[1]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_decision_for_java_is_told_with_the_flag_against_it() {
    let workshop = Workshop::new();
    let outcome = workshop.try_build(jars().join("server.jar"), "server.oci", &[]);
    assert!(outcome.status.success(), "{outcome}");
    assert_tells(&outcome.stderr, &["Java ", "jlink", "--runtime"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_jar_without_a_main_class_is_refused() {
    let workshop = Workshop::new();
    let message = workshop.refusal(jars().join("mainless.jar"), &[]);
    assert_tells(&message, &["mainless.jar", "Main-Class"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_jar_for_a_newer_java_is_refused() {
    let workshop = Workshop::new();
    let directory = workshop.directory("newer");
    compile(
        &directory,
        "classes",
        "",
        &[(
            "App.java",
            "class App { public static void main(String[] arguments) {} }",
        )],
    );
    // The major version of the class file format stands behind the magic number and the minor one
    // (JVMS 4.1); 99 is that of Java 55.
    let class = directory.join("classes/App.class");
    let mut bytes = fs::read(&class).unwrap();
    bytes[6..8].copy_from_slice(&99_u16.to_be_bytes());
    fs::write(&class, bytes).unwrap();
    pack(&directory, "app.jar", "Main-Class: App\n", "classes");
    let message = workshop.refusal(directory.join("app.jar"), &[]);
    assert_tells(&message, &["app.jar", "Java 55", "JAVA_HOME"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_broken_jar_is_refused() {
    let workshop = Workshop::new();
    let whole = fs::read(jars().join("server.jar")).unwrap();
    let broken = workshop.path("broken.jar");
    fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    assert_tells(&workshop.refusal(&broken, &[]), &["broken.jar"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_jar_on_the_class_path_that_is_missing_is_told() {
    let workshop = Workshop::new();
    copy(&jars().join("server.jar"), &workshop.path("server.jar"));
    let outcome = workshop.try_build(workshop.path("server.jar"), "server.oci", &[]);
    assert_tells(&outcome.stderr, &["lib/words.jar"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_java_home_without_a_java_is_refused() {
    let workshop = Workshop::new();
    let app = jars().join("server.jar");
    let mut command = workshop.build_command(app, "refused/image.oci", &[]);
    command.env("JAVA_HOME", "/opt/gone");
    assert_tells(
        &workshop.refusal_of(&mut command),
        &["JAVA_HOME", "/opt/gone"],
    );
}
