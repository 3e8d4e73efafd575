//! The order of arguments: `distrobuild -q push …` is `distrobuild push -q …`.

use std::ffi::{OsStr, OsString};

use clap::CommandFactory;

use super::args::Arguments;

/// `words` with the flags that every command takes, where they stand before a command's name,
/// after it. For clap a flag before a command belongs to the default command, which is then
/// all that there may be.
pub(super) fn globals_after_command(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    let mut end = 1;
    while let Some(width) = words.get(end).and_then(|word| width_of_global(word)) {
        end += width;
    }
    let is_command = |word: &OsString| {
        let command = Arguments::command();
        word.to_str()
            .is_some_and(|name| command.find_subcommand(name).is_some())
    };
    if end > 1 && words.get(end).is_some_and(is_command) {
        let command = words.remove(end);
        words.insert(1, command);
    }
    words
}

/// How many words a flag of every command takes, when `word` is one.
fn width_of_global(word: &OsStr) -> Option<usize> {
    match word.to_str()? {
        "-q" | "--quiet" | "-v" | "--verbose" => Some(1),
        "--color" => Some(2),
        word if word.starts_with("--color=") => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        let words = globals_after_command(words);
        let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
        words.join(" ")
    }

    #[test]
    fn flags_of_every_command_may_stand_before_its_name() {
        for (given, meant) in [
            ("d -q push a b", "d push -q a b"),
            ("d --color never -v report x", "d report --color never -v x"),
            ("d --color=always tags x", "d tags --color=always x"),
            ("d push -q a b", "d push -q a b"),
            ("d -q ./app", "d -q ./app"),
            ("d -q", "d -q"),
            ("d", "d"),
            ("d --color", "d --color"),
            ("d --port 80 push", "d --port 80 push"),
        ] {
            assert_eq!(ordered(given), meant, "{given}");
        }
    }
}
