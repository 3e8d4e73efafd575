//! How a comparison looks in each form.

use serde_json::{Value, json};
use snapbox::{IntoData, assert_data_eq, str};

use super::{compared, image};
use crate::report::fixture::{Entry, file, layer, plain};
use crate::report::{Charset, Diff, Json, Markdown, Renderer, Terminal};

fn old_and_new() -> Diff {
    let status = |version: &str, names: &[&str]| -> Vec<u8> {
        let paragraphs = names.iter().map(|name| {
            format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n")
        });
        paragraphs.collect::<String>().into_bytes()
    };
    let system = |version, names: &[&str], content: &[u8]| {
        let status = status(version, names);
        let mut entries = vec![
            file("var/lib/dpkg/status", &status),
            file("var/lib/dpkg/info/zlib1g.list", b"/usr/lib/libz.so.1\n"),
            file("usr/lib/libz.so.1", content),
        ];
        if names.contains(&"tool") {
            entries.push(file("var/lib/dpkg/info/tool.list", b"/usr/bin/tool\n"));
            entries.push(("usr/bin/tool", Entry::File(b"#!"), 0o755, 0));
        }
        layer(&entries)
    };
    let app = |content: &[u8], mode, owner| {
        layer(&[
            ("app", Entry::Directory, 0o755, owner),
            ("app/run", Entry::File(content), mode, 0),
        ])
    };
    let before = image(
        json!({
            "User": "1000", "Entrypoint": ["/app/run"], "Env": ["PATH=/usr/bin", "OLD=1"],
            "ExposedPorts": { "80/tcp": {} }, "Labels": { "org.example.version": "1" },
        }),
        &[
            system("1.2", &["zlib1g", "tool"], b"0123456789"),
            app(b"one", 0o755, 0),
        ],
    );
    let after = image(
        json!({
            "User": "", "Entrypoint": ["/app/run", "two words"], "Env": ["PATH=/usr/bin"],
            "ExposedPorts": { "80/tcp": {}, "443/tcp": {} }, "StopSignal": "SIGINT",
            "Labels": { "org.example.version": "2" }, "Healthcheck": { "Test": ["NONE"] },
        }),
        &[
            system("1.3", &["zlib1g"], &[b'x'; 4000]),
            app(b"two", 0o555, 1000),
        ],
    );
    compared(&before, &after)
}

#[test]
fn all_that_differs_at_the_terminal() {
    let diff = old_and_new();
    assert_data_eq!(
        plain(&Terminal::new(80, Charset::Unicode).diff(&diff)),
        str![[r#"
old.oci → new.oci
sha256:6dadc57b854d → sha256:b8413387d199
            before    after   change
compressed  8.7 kB  10.2 kB  +1.5 kB
unpacked     204 B   4.1 kB  +3.9 kB
files            6        4
paths: 2 gone · 4 changed · no shared layer

layer (compressed)  before   after   change
RUN step 1          6.1 kB  7.7 kB  +1.5 kB
RUN step 2          2.6 kB  2.6 kB     ±0 B

setting
user                       - 1000
entrypoint                 - /app/run
                           + /app/run "two words"
env OLD                    - 1
ports                      - 80/tcp
                           + 443/tcp 80/tcp
stop signal                + SIGINT
label org.example.version  - 1
                           + 2
Healthcheck                + {"Test":["NONE"]}

package             before   after   change
zlib1g (1.2 → 1.3)    10 B  4.0 kB  +4.0 kB
tool (1.2)             2 B    gone     -2 B

path                          before   after   change  what
/usr/lib/libz.so.1              10 B  4.0 kB  +4.0 kB  content
/var/lib/dpkg/status           156 B    79 B    -77 B  content
/var/lib/dpkg/info/tool.list    14 B            -14 B  gone
/usr/bin/tool                    2 B             -2 B  gone
/app                                                   owner 0:0 → 1000:1000
/app/run                         3 B     3 B           content, mode

"#]]
    );
    assert_data_eq!(
        plain(&Terminal::new(48, Charset::Ascii).diff(&diff)),
        str![[r#"
old.oci -> new.oci
sha256:6dadc57b854d -> sha256:b8413387d199
            before    after   change
compressed  8.7 kB  10.2 kB  +1.5 kB
unpacked     204 B   4.1 kB  +3.9 kB
files            6        4
paths: 2 gone - 4 changed - no shared layer

layer (compressed)  before   after   change
RUN step 1          6.1 kB  7.7 kB  +1.5 kB
RUN step 2          2.6 kB  2.6 kB    +-0 B

setting
user                       - 1000
entrypoint                 - /app/run
                           + /app..n "two words"
env OLD                    - 1
ports                      - 80/tcp
                           + 443/tcp 80/tcp
stop signal                + SIGINT
label org.example.version  - 1
                           + 2
Healthcheck                + {"Test":["NONE"]}

package              before   after   change
zlib1g (1.2 -> 1.3)    10 B  4.0 kB  +4.0 kB
tool (1.2)              2 B    gone     -2 B

path               before   after  what
/usr/../libz.so.1    10 B  4.0 kB  content
/var/..pkg/status   156 B    79 B  content
/var/../tool.list    14 B          gone
/usr/bin/tool         2 B          gone
/app                               owner
/app/run              3 B     3 B  content, mode

"#]]
    );
}

#[test]
fn all_that_differs_as_markdown() {
    assert_data_eq!(
        Markdown.diff(&old_and_new()),
        str![[r####"
### old.oci → new.oci

sha256&#58;6dadc57b854d → sha256&#58;b8413387d199: paths&#58; 2 gone, 4 changed, no shared layer

| | before | after | change |
|---|--:|--:|--:|
| **compressed** | 8.7 kB | 10.2 kB | **+1.5 kB** |
| **unpacked** | 204 B | 4.1 kB | **+3.9 kB** |
| files | 6 | 4 | |

<details><summary>Layers (compressed) (2)</summary>

| | before | after | change |
|---|--:|--:|--:|
| RUN step 1 | 6.1 kB | 7.7 kB | +1.5 kB |
| RUN step 2 | 2.6 kB | 2.6 kB | ±0 B |

</details>

<details><summary>Settings (7)</summary>

| setting | before | after |
|---|---|---|
| user | 1000 | - |
| entrypoint | /app/run | /app/run "two words" |
| env OLD | 1 | - |
| ports | 80/tcp | 443/tcp 80/tcp |
| stop signal | - | SIGINT |
| label org.example.version | 1 | 2 |
| Healthcheck | - | {"Test"&#58;\["NONE"\]} |

</details>

<details><summary>Packages (2)</summary>

| | before | after | change |
|---|--:|--:|--:|
| zlib1g (1.2 → 1.3) | 10 B | 4.0 kB | +4.0 kB |
| tool (1.2) | 2 B | - | -2 B |

</details>

<details><summary>Paths (6)</summary>

| | before | after | what |
|---|--:|--:|---|
| /usr/lib/libz.so.1 | 10 B | 4.0 kB | content |
| /var/lib/dpkg/status | 156 B | 79 B | content |
| /var/lib/dpkg/info/tool.list | 14 B | - | gone |
| /usr/bin/tool | 2 B | - | gone |
| /app |  |  | owner 0&#58;0 → 1000&#58;1000 |
| /app/run | 3 B | 3 B | content, mode 0755 → 0555 |

</details>

"####]]
        .raw()
    );
}

#[test]
fn json_has_both_states_of_each_path_and_setting() {
    let json: Value = serde_json::from_str(&Json.diff(&old_and_new())).unwrap();
    assert_eq!(json["schema"], "distrobuild.diff/1");
    let details = &json["details"];
    let all = |list: &Value| list.as_array().unwrap().clone();
    let paths = all(&details["paths"]);
    let run = paths
        .iter()
        .find(|path| path["path"] == "/app/run")
        .unwrap();
    assert_eq!(
        *run,
        json!({
            "path": "/app/run",
            "before": {
                "kind": "file", "mode": "0755", "uid": 0, "gid": 0, "size": 3,
                "digest": crate::layer::Digest::of(b"one").to_string(), "target": null,
            },
            "after": {
                "kind": "file", "mode": "0555", "uid": 0, "gid": 0, "size": 3,
                "digest": crate::layer::Digest::of(b"two").to_string(), "target": null,
            },
            "changed": ["content", "mode"],
        })
    );
    let settings = all(&details["settings"]);
    assert_eq!(
        settings[1],
        json!({
            "setting": "entrypoint", "key": null,
            "before": ["/app/run"], "after": ["/app/run", "two words"],
        })
    );
    assert_eq!(
        details["packages"],
        json!([
            { "name": "tool", "before": "1.2", "after": null },
            { "name": "zlib1g", "before": "1.2", "after": "1.3" },
        ])
    );
}

#[test]
fn long_lists_are_cut_for_people_and_whole_in_json() {
    let names: Vec<String> = (0..1000).map(|number| format!("f{number:04}")).collect();
    let entries: Vec<_> = names.iter().map(|name| file(name, b"x")).collect();
    let labels: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| (name.clone(), json!("x")))
        .collect();
    let before = image(json!({}), &[]);
    let after = image(json!({ "Labels": labels }), &[layer(&entries)]);
    let diff = compared(&before, &after);
    let text = plain(&Terminal::new(80, Charset::Unicode).diff(&diff));
    assert_eq!(text.matches("and 980 more").count(), 2, "{text}");
    assert!(text.lines().count() < 70, "{text}");
    assert!(Markdown.diff(&diff).len() < 65_536);
    let json: Value = serde_json::from_str(&Json.diff(&diff)).unwrap();
    let details = &json["details"];
    assert_eq!(details["paths"].as_array().unwrap().len(), 1000);
    assert_eq!(details["settings"].as_array().unwrap().len(), 1000);
}

#[test]
fn names_and_values_from_an_image_steer_no_terminal_and_are_no_markup() {
    let evil = "a\u{1b}[2J|<b>\u{202e}";
    let before = image(json!({}), &[]);
    let config = json!({
        "User": evil, "Env": [format!("{evil}={evil}")], "Labels": { evil: evil },
        "Entrypoint": [evil, ""], "ExposedPorts": { evil: {} }, evil: { evil: [evil] },
        "StopSignal": evil, "WorkingDir": evil, "Volumes": { evil: {} },
    });
    let layer = layer(&[
        file(evil, b""),
        ("link", Entry::Symlink(evil), 0o777, u64::from(u16::MAX)),
    ]);
    let after = image(config, &[layer]);
    let diff = compared(&before, &after);
    for width in 40..100 {
        for charset in [Charset::Unicode, Charset::Ascii] {
            let text = plain(&Terminal::new(width, charset).diff(&diff));
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
            for line in text.lines() {
                assert!(line.chars().count() <= width.max(60), "{width}: {line}");
                assert_eq!(line.trim_end(), line);
            }
        }
    }
    let markdown = Markdown.diff(&diff);
    assert!(!markdown.contains("<b>") && !markdown.contains('\u{1b}'));
    let json: Value = serde_json::from_str(&Json.diff(&diff)).unwrap();
    let mut open = vec![&json];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}"),
            Value::Array(list) => open.extend(list),
            Value::Object(members) => open.extend(members.values()),
            _ => {}
        }
    }
}
