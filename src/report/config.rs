//! What an image's config tells the report.

use oci_spec::image::ImageConfiguration;

use super::Facts;

/// The parts of a config that a report shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) platform: String,
    pub(super) facts: Facts,
    /// What each layer is, as far as the history says.
    pub(super) layers: Vec<String>,
}

impl Described {
    pub(super) fn parse(config: &[u8]) -> Result<Self, oci_spec::OciSpecError> {
        Ok(Self::of(&ImageConfiguration::from_reader(config)?))
    }

    pub(super) fn of(config: &ImageConfiguration) -> Self {
        let mut platform = format!("{}/{}", config.os(), config.architecture());
        if let Some(variant) = config.variant().as_ref().filter(|v| !v.is_empty()) {
            platform.push('/');
            platform.push_str(variant);
        }
        let settings = config.config().as_ref();
        let history = config.history().as_deref().unwrap_or_default();
        Self {
            platform: printable(&platform),
            facts: Facts {
                user: settings
                    .and_then(|c| c.user().as_deref())
                    .map(printable)
                    .unwrap_or_default(),
                entrypoint: words(settings.and_then(|c| c.entrypoint().as_deref())),
                cmd: words(settings.and_then(|c| c.cmd().as_deref())),
                shell: None,
                package_manager: None,
            },
            layers: history
                .iter()
                .filter(|step| step.empty_layer() != Some(true))
                .map(|step| what(step.created_by().as_deref().unwrap_or_default()))
                .collect(),
        }
    }

    /// The same of an image of which the lowest layers are those of another one, as its annotation
    /// [`ANNOTATION_BASE_LAYERS`](crate::parent::ANNOTATION_BASE_LAYERS) says: they are the base,
    /// whatever made them.
    pub(super) fn on_base(mut self, layers: Option<&str>) -> Self {
        let layers = layers.and_then(|text| text.parse::<usize>().ok());
        for what in self.layers.iter_mut().take(layers.unwrap_or(0)) {
            "base".clone_into(what);
        }
        self
    }

    /// What layer number `index` is; empty when unknown.
    pub(super) fn layer(&self, index: usize) -> String {
        self.layers.get(index).cloned().unwrap_or_default()
    }
}

/// A history entry in few words: ours say `distrobuild libraries`, a Dockerfile's
/// `/bin/sh -c #(nop) ADD file:… in /`.
fn what(created_by: &str) -> String {
    let said = created_by
        .trim()
        .trim_start_matches("/bin/sh -c ")
        .trim_start_matches("#(nop) ")
        .trim();
    printable(said.strip_prefix("distrobuild ").unwrap_or(said))
}

/// The origin that the layers of `distrobuild` are named after.
pub(super) fn origin_of_layer(what: &str) -> Option<&'static str> {
    match what {
        "base" => Some("base"),
        "library" | "libraries" => Some("libraries"),
        "runtime" => Some("runtime"),
        "app" => Some("app"),
        "include" | "includes" => Some("include"),
        _ => None,
    }
}

pub(super) fn words(words: Option<&[String]>) -> Vec<String> {
    words
        .unwrap_or_default()
        .iter()
        .map(|w| printable(w))
        .collect()
}

/// A command as one line; a word with spaces, or none at all, stands in quotes.
pub(super) fn command(words: &[String]) -> String {
    let quoted = |word: &String| match word.is_empty() || word.contains([' ', '"', '\'']) {
        true => format!("{word:?}"),
        false => word.clone(),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// `text` without characters that steer a terminal or turn the direction of writing: an
/// image must not change what is shown around its names.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                '\u{fffd}'
            }
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn empty_history_entries_are_no_layers() {
        let config = br#"{"architecture":"arm64","os":"linux","variant":"v8",
            "config":{"User":"65532","Entrypoint":["/app/\u001b[2Jx"],"Cmd":["-h"]},
            "rootfs":{"type":"layers","diff_ids":[]},
            "history":[{"created_by":"distrobuild base"},{"created_by":"ENV A=1","empty_layer":true},
            {"created_by":"/bin/sh -c #(nop) ADD file:1 in / "}]}"#;
        let described = Described::parse(config).unwrap();
        assert_eq!(described.platform, "linux/arm64/v8");
        assert_eq!(described.layers, ["base", "ADD file:1 in /"]);
        assert_eq!(described.facts.user, "65532");
        assert_eq!(described.facts.entrypoint, ["/app/\u{fffd}[2Jx"]);
        assert_eq!(described.layer(7), "");
    }
}
