//! What differs between the configs of two images.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::image::parse;
use crate::report::config::printable;
use crate::report::image::Documents;

/// A setting that two images do not share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingChange {
    /// Which: `user`, `entrypoint`, `cmd`, `env`, `workdir`, `ports`, `volumes`, `stop signal`,
    /// `label`, `annotation`, `platform`, `os version`, `author`, `created`; a member of the
    /// config that the image specification does not have, under its own name.
    pub setting: String,
    /// Of `env`, `label` and `annotation`: the name of the one that differs.
    pub key: Option<String>,
    /// In the earlier image; `null` when it is not set.
    pub before: Option<SettingValue>,
    /// In the new image; `null` when it is not set.
    pub after: Option<SettingValue>,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// One text.
    Text(String),
    /// Several: the words of a command, or ports.
    List(Vec<String>),
}

impl std::fmt::Display for SettingValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.pad(text),
            Self::List(words) => f.pad(&crate::report::config::command(words)),
        }
    }
}

/// Settings in the order in which they are shown.
type Settings = BTreeMap<(usize, String, Option<String>), SettingValue>;

pub(super) fn compare(before: &Documents, after: &Documents) -> Vec<SettingChange> {
    let (mut old, mut new) = (settings(before), settings(after));
    old.retain(|key, value| {
        // Equal ones leave both.
        let same = new.get(key) == Some(value);
        if same {
            new.remove(key);
        }
        !same
    });
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
    keys.into_iter()
        .map(|place| {
            let (before, after) = (old.remove(&place), new.remove(&place));
            let (_, setting, key) = place;
            SettingChange {
                setting,
                key,
                before,
                after,
            }
        })
        .collect()
}

/// How a member of the config is read.
enum Form {
    Text,
    Words,
    /// An object of which the keys alone count.
    Keys,
    /// `NAME=VALUE`.
    Variables,
    Texts,
}

/// The members of `config` in the config (image-spec, `config.md`), and their words.
const MEMBERS: [(&str, &str, Form); 9] = [
    ("User", "user", Form::Text),
    ("Entrypoint", "entrypoint", Form::Words),
    ("Cmd", "cmd", Form::Words),
    ("WorkingDir", "workdir", Form::Text),
    ("Env", "env", Form::Variables),
    ("ExposedPorts", "ports", Form::Keys),
    ("Volumes", "volumes", Form::Keys),
    ("StopSignal", "stop signal", Form::Text),
    ("Labels", "label", Form::Texts),
];

fn settings(documents: &Documents) -> Settings {
    let mut found = Settings::new();
    let platform = SettingValue::Text(documents.described.platform.clone());
    found.insert((0, "platform".to_owned(), None), platform);
    // It was understood as a config before, so that it is an object.
    let config: Map<String, Value> = parse(&documents.config).unwrap_or_default();
    let execution = config.get("config").and_then(Value::as_object);
    let mut others = 1 + MEMBERS.len();
    for (name, value) in execution.into_iter().flatten() {
        let known = MEMBERS.iter().position(|(member, ..)| member == name);
        match known.and_then(|index| Some((index, MEMBERS.get(index)?))) {
            Some((index, (_, word, form))) => add(&mut found, index + 1, word, form, value),
            None => add(&mut found, others, name, &Form::Text, value),
        }
    }
    others += 1;
    if let Some(annotations) = documents.manifest.annotations() {
        for (name, value) in annotations {
            let key = Some(printable(name));
            found.insert(
                (others, "annotation".to_owned(), key),
                SettingValue::Text(printable(value)),
            );
        }
    }
    let top = [
        ("os.version", "os version"),
        ("os.features", "os features"),
        ("author", "author"),
        ("created", "created"),
    ];
    for (place, (member, word)) in (others + 1..).zip(top) {
        if let Some(value) = config.get(member) {
            add(&mut found, place, word, &Form::Text, value);
        }
    }
    found
}

fn add(found: &mut Settings, place: usize, word: &str, form: &Form, value: &Value) {
    let word = printable(word);
    let mut put = |key: Option<String>, value: SettingValue| {
        found.insert((place, word.clone(), key), value);
    };
    match (form, value) {
        (Form::Words, Value::Array(words)) if !words.is_empty() => {
            put(None, SettingValue::List(words.iter().map(text).collect()));
        }
        (Form::Keys, Value::Object(members)) if !members.is_empty() => {
            let mut keys: Vec<String> = members.keys().map(|key| printable(key)).collect();
            keys.sort();
            put(None, SettingValue::List(keys));
        }
        (Form::Variables, Value::Array(variables)) => {
            for variable in variables {
                let variable = text(variable);
                let (name, value) = variable.split_once('=').unwrap_or((&variable, ""));
                put(Some(name.to_owned()), SettingValue::Text(value.to_owned()));
            }
        }
        (Form::Texts, Value::Object(members)) => {
            for (name, value) in members {
                put(Some(printable(name)), SettingValue::Text(text(value)));
            }
        }
        _ => match text(value).as_str() {
            // Writers spell what is not set in many ways.
            "" | "[]" | "{}" | "null" | "false" => {}
            text => put(None, SettingValue::Text(text.to_owned())),
        },
    }
}

/// A text as it is, anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    }
}
