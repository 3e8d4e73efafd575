//! The options of node in a command (node(1)).

/// Those that load a module before the app.
pub(super) const PRELOADS: [&str; 5] = [
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
];

/// The options of node at the beginning of a command.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) kept: Vec<String>,
    /// One that makes node run something else than a file.
    pub(super) refused: Option<String>,
    pub(super) notices: Vec<String>,
    /// How many words they are.
    pub(super) length: usize,
}

impl Options {
    /// Splits them off (node(1)).
    pub(super) fn of(words: &[String]) -> Self {
        let mut options = Self::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                options.length += 1;
                break;
            }
            if !word.starts_with('-') || word == "-" {
                break;
            }
            options.length += 1;
            let (name, joined) = word
                .split_once('=')
                .map_or((word.as_str(), false), |(name, _)| (name, true));
            let value = match takes_value(name) && !joined {
                true => rest.next(),
                false => None,
            };
            options.length += usize::from(value.is_some());
            match name {
                "-e" | "--eval" | "-p" | "--print" | "-pe" | "-i" | "--interactive" | "-c" | "--check" | "--test"
                | "--run" => options.refused = Some(word.clone()),
                "--env-file" | "--env-file-if-exists" => options.notices.push(format!(
                    "`{word}` is left out, because files of variables stay out of images; set them with `--env`"
                )),
                _ if name.starts_with("--watch") || name.starts_with("--inspect") => {
                    options.notices.push(format!("`{word}` is left out: it is for development"));
                }
                _ => {
                    options.kept.push(word.clone());
                    options.kept.extend(value.cloned());
                }
            }
        }
        options
    }
}

/// Whether the option's value may stand in the next word. Those of V8 want a `=`.
fn takes_value(name: &str) -> bool {
    matches!(
        name,
        "-r" | "--require"
            | "--import"
            | "--loader"
            | "--experimental-loader"
            | "-C"
            | "--conditions"
            | "--title"
            | "--env-file"
            | "--env-file-if-exists"
            | "--watch-path"
            | "--icu-data-dir"
            | "--openssl-config"
            | "--input-type"
            | "--dns-result-order"
            | "--unhandled-rejections"
            | "--max-http-header-size"
            | "--diagnostic-dir"
            | "--disable-warning"
            | "--use-largepages"
            | "--trace-event-categories"
    )
}

/// What compiles TypeScript (or newer JavaScript) while it runs, named by a program or a loader.
pub(super) fn compiler(word: &str) -> Option<&'static str> {
    const COMPILERS: [&str; 8] = [
        "tsx",
        "ts-node",
        "ts-node-dev",
        "ts-node-esm",
        "tsnd",
        "babel-node",
        "esno",
        "swc-node",
    ];
    let word = word.rsplit_once('=').map_or(word, |(_, value)| value);
    let first = word.split('/').next().unwrap_or_default();
    let first = if word.starts_with("@swc-node/") {
        "swc-node"
    } else {
        first
    };
    COMPILERS.into_iter().find(|known| *known == first)
}

pub(super) fn compile_advice(compiler: &str) -> String {
    format!("where {compiler} compiles the app each time it starts; compile it before (`npx tsc`)")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::app::node::words::plain;

    #[test]
    fn options_of_development_are_left_out() {
        let words = |text: &str| plain(text).unwrap();
        let options = Options::of(&words(
            "--watch -r ./t --env-file .env --max-old-space-size=9 x.js --y",
        ));
        assert_eq!(options.kept, ["-r", "./t", "--max-old-space-size=9"]);
        assert_eq!(options.length, 6);
        assert_eq!(options.notices.len(), 2);
        assert_eq!(Options::of(&words("-e 1")).refused.as_deref(), Some("-e"));
    }

    #[test]
    fn compilers_are_known_by_program_and_loader() {
        for word in [
            "tsx",
            "tsx/esm",
            "--import=tsx",
            "ts-node/register",
            "@swc-node/register",
        ] {
            assert!(compiler(word).is_some(), "{word}");
        }
        assert_eq!(compiler("dotenv/config"), None);
    }
}
