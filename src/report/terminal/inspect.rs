//! An image without its layers.

use oci_spec::image::{ANNOTATION_BASE_IMAGE_DIGEST, ANNOTATION_BASE_IMAGE_NAME};

use super::table::{Cell, Column, Table};
use super::{PLAIN, QUIET, TITLE, Terminal, joined};
use crate::report::config::command;
use crate::report::{Inspection, Listed, Overview, human_size};

/// How many manifests, layers, variables or labels are listed.
const ROWS: usize = 32;

/// The annotations and labels that name the base.
const BASE: [&str; 2] = [ANNOTATION_BASE_IMAGE_NAME, ANNOTATION_BASE_IMAGE_DIGEST];

impl Terminal {
    /// What is known of an image without its layers, as text that ends in a newline.
    pub fn inspection(&self, inspection: &Inspection) -> String {
        let mut heading = self.line(std::slice::from_ref(&inspection.reference), TITLE);
        let mut parts = Vec::new();
        match &inspection.manifests {
            None => {
                if let Some(image) = &inspection.image {
                    heading.push_str(&self.digests(image));
                }
                parts.push(heading);
            }
            Some(manifests) => {
                let mut facts = Facts::default();
                facts.put("digest", inspection.digest.as_deref());
                heading.push_str(&self.facts(&facts));
                let media_type = inspection.media_type.clone().unwrap_or_default();
                let count = match manifests.len() {
                    1 => "1 manifest".to_owned(),
                    count => format!("{count} manifests"),
                };
                heading.push_str(&self.line(&[count, media_type], QUIET));
                parts.push(heading);
                parts.push(self.manifests(manifests));
                let mut facts = Facts::default();
                facts.pairs("annotation", &inspection.annotations);
                parts.push(self.facts(&facts));
                match (&inspection.image, &inspection.without_image) {
                    (Some(image), _) => {
                        let platform = image.platform.clone().unwrap_or_default();
                        let title = self.line(&[platform], TITLE);
                        parts.push(title + &self.digests(image));
                    }
                    (None, Some(why)) => {
                        parts.push(self.line(std::slice::from_ref(why), QUIET));
                    }
                    (None, None) => {}
                }
            }
        }
        if let Some(image) = &inspection.image {
            parts.push(self.settings_of(image));
            parts.push(self.layers_of(image));
        }
        let mut facts = Facts::default();
        let attached = inspection.attached.iter().flatten();
        let attached: Vec<String> = attached
            .map(|it| format!("{} {}", short(&it.digest), it.what))
            .collect();
        facts.list("attached", &attached);
        parts.push(self.facts(&facts));
        joined(&parts)
    }

    /// What is long: a digest has 71 characters, and should be whole at 80 columns.
    fn digests(&self, image: &Overview) -> String {
        let mut facts = Facts::default();
        facts.put("digest", Some(&image.digest));
        facts.put("config", Some(&image.config_digest));
        facts.put("base", image.base_name.as_deref());
        let name = if image.base_name.is_some() {
            ""
        } else {
            "base"
        };
        facts.put(name, image.base_digest.as_deref());
        let layers = match image.layers.len() {
            1 => "1 layer".to_owned(),
            count => format!("{count} layers"),
        };
        let compressed = format!("{} compressed", human_size(image.compressed));
        let media_type = image.media_type.clone();
        self.facts(&facts) + &self.line(&[compressed, layers, media_type], QUIET)
    }

    fn settings_of(&self, image: &Overview) -> String {
        let mut facts = Facts::default();
        facts.put("artifact", image.artifact_type.as_deref());
        facts.put("platform", image.platform.as_deref());
        facts.put("created", image.created.as_deref());
        facts.put("author", image.author.as_deref());
        if image.artifact_type.is_none() {
            let user = match image.user.as_str() {
                "" => "root",
                user => user,
            };
            facts.put("user", Some(user));
        }
        for (name, words) in [("entrypoint", &image.entrypoint), ("cmd", &image.cmd)] {
            facts.put(name, (!words.is_empty()).then(|| command(words)).as_deref());
        }
        facts.put("workdir", Some(&image.workdir));
        facts.list("env", &image.env);
        facts.list("port", &image.ports);
        facts.list("volume", &image.volumes);
        facts.put("signal", image.stop_signal.as_deref());
        facts.pairs("label", &image.labels);
        facts.pairs("annotation", &image.annotations);
        self.facts(&facts)
    }

    fn facts(&self, facts: &Facts) -> String {
        if facts.0.is_empty() {
            return String::new();
        }
        let mut table = Table::new([Column::text(""), Column::name("")]);
        for (name, value) in &facts.0 {
            table.row([self.cell(name, QUIET), self.cell(value, PLAIN)]);
        }
        table.render_rows(self.width, self.charset)
    }

    fn manifests(&self, manifests: &[Listed]) -> String {
        let mut table = Table::new([
            Column::name("platform"),
            Column::text("manifest"),
            Column::text("what"),
        ]);
        for listed in manifests.iter().take(ROWS) {
            let style = if listed.is_attestation { QUIET } else { PLAIN };
            let what = match (listed.is_attestation, &listed.attests) {
                (true, Some(of)) => format!("attestation of {}", short(of)),
                (true, None) => "attestation".to_owned(),
                _ => String::new(),
            };
            let platform = listed.platform.as_deref().unwrap_or("unknown");
            let name = listed.artifact_type.as_deref().unwrap_or(platform);
            table.row([
                self.cell(name, style),
                self.cell(short(&listed.digest), style),
                self.cell(if self.is_wide() { &what } else { head(&what) }, QUIET),
            ]);
        }
        table.more(manifests.len(), ROWS);
        table.render(self.width, self.charset)
    }

    fn layers_of(&self, image: &Overview) -> String {
        if image.layers.is_empty() {
            return String::new();
        }
        let mut columns = vec![Column::name("layer"), Column::number("compressed")];
        if self.is_wide() {
            columns.push(Column::text("digest"));
        }
        let mut table = Table::new(columns);
        for (index, layer) in image.layers.iter().enumerate().take(ROWS) {
            let name = match layer.what.as_str() {
                "" => format!("layer {}", index + 1),
                what => what.to_owned(),
            };
            let mut cells: Vec<Cell> = vec![
                self.cell(name, PLAIN),
                self.cell(human_size(layer.size), PLAIN),
            ];
            if self.is_wide() {
                cells.push(self.cell(short(&layer.digest), QUIET));
            }
            table.row(cells);
        }
        table.more(image.layers.len(), ROWS);
        table.render(self.width, self.charset)
    }
}

/// The algorithm and the first twelve digits of a digest.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

fn head(words: &str) -> &str {
    words.split(' ').next().unwrap_or_default()
}

/// Names and values, a line each; a name that is the one above is empty.
#[derive(Default)]
struct Facts(Vec<(String, String)>);

impl Facts {
    fn put(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    fn list(&mut self, name: &str, values: &[String]) {
        for (index, value) in values.iter().take(ROWS).enumerate() {
            self.put(if index == 0 { name } else { "" }, Some(value));
        }
        if let Some(left @ 1..) = values.len().checked_sub(ROWS) {
            self.put("", Some(&format!("and {left} more")));
        }
    }

    fn pairs(&mut self, name: &str, pairs: &std::collections::BTreeMap<String, String>) {
        let pairs: Vec<String> = pairs
            .iter()
            // The base is told above.
            .filter(|(name, _)| !BASE.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        self.list(name, &pairs);
    }
}
