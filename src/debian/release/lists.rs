//! The text of a `Release` file.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::fields::{Field, fields};
use super::{IndexFile, Release, date};

/// The most index files of one suite. Debian's unstable has some 2,000.
const FILES_LIMIT: usize = 100_000;

/// What `text` says. The error is the number of a line and what is wrong with it.
pub(super) fn parse(text: &str, signed_by: String) -> Result<Release, (usize, String)> {
    let numbered = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line));
    let mut lines = numbered.clone().take_while(|(_, line)| !line.is_empty());
    let count = lines.by_ref().count();
    if let Some((number, _)) = numbered
        .clone()
        .skip(count)
        .find(|(_, line)| !line.is_empty())
    {
        return Err((
            number,
            "there is something behind the end of its only paragraph".into(),
        ));
    }
    let fields = fields(numbered.take(count))?;
    let field = |name: &str| fields.iter().find(|field| field.is(name));
    let text = |name: &str| field(name).map(Field::text).unwrap_or_default();
    let words = |name: &str| -> Vec<String> {
        let words = field(name).into_iter().flat_map(Field::words);
        words.map(str::to_owned).collect()
    };
    let time = |name: &str| {
        let time = |field: &Field<'_>| {
            date::parse(&field.text()).ok_or_else(|| {
                let reason = format!(
                    "{name} is no time like \"Sat, 11 Jul 2026 10:16:37 UTC\": {:?}",
                    field.text()
                );
                (field.line, reason)
            })
        };
        field(name).map(time).transpose()
    };
    let missing = |name: &str| (1, format!("it has no field {name}"));
    let list = field("SHA256").ok_or_else(|| missing("SHA256"))?;
    Ok(Release {
        origin: text("Origin"),
        label: text("Label"),
        suite: text("Suite"),
        codename: text("Codename"),
        version: field("Version").map(Field::text),
        date: time("Date")?.ok_or_else(|| missing("Date"))?,
        valid_until: time("Valid-Until")?,
        architectures: words("Architectures"),
        components: words("Components"),
        by_hash: text("Acquire-By-Hash").eq_ignore_ascii_case("yes"),
        files: files(list)?,
        signed_by,
    })
}

/// The lines of the list: digest, size, path.
fn files(list: &Field<'_>) -> Result<BTreeMap<String, IndexFile>, (usize, String)> {
    let mut files = BTreeMap::new();
    for (index, line) in list.lines.iter().enumerate() {
        let error = |reason: String| (list.line + index, reason);
        if line.is_empty() {
            continue;
        }
        let Some((path, file)) = file(line) else {
            let reason = "it is no digest, size and path of a file below the suite";
            return Err(error(format!("{reason}: {line:?}")));
        };
        if files.len() == FILES_LIMIT {
            return Err(error(format!("there are more than {FILES_LIMIT} files")));
        }
        match files.entry(path.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert(file);
            }
            Entry::Occupied(entry) if *entry.get() == file => {}
            Entry::Occupied(_) => {
                return Err(error(format!(
                    "{path} is there already, with another digest or size"
                )));
            }
        }
    }
    Ok(files)
}

fn file(line: &str) -> Option<(&str, IndexFile)> {
    let mut words = line.split_ascii_whitespace();
    let sha256 = format!("sha256:{}", words.next()?).parse().ok()?;
    let size = words.next()?;
    let size = size
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| size.parse().ok())??;
    let path = words.next().filter(|path| is_path(path))?;
    let file = IndexFile { size, sha256 };
    words.next().is_none().then_some((path, file))
}

/// Whether `path` stays below the suite and needs no escapes in a URL.
fn is_path(path: &str) -> bool {
    path.bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\\?#%:\"<>".contains(&byte))
        && path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}
