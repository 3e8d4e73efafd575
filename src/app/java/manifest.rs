//! `META-INF/MANIFEST.MF`: the main section (JAR File Specification, "JAR Manifest").

use std::collections::BTreeMap;

/// The main attributes of a manifest, by their names in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    attributes: BTreeMap<String, String>,
}

/// Where it stands in an archive.
pub(super) const PLACE: &str = "META-INF/MANIFEST.MF";

impl Manifest {
    /// Reads the main section, which ends at the first empty line. A line has at most 72 bytes; a
    /// longer value goes on in lines that start with a blank, which may part a character.
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut joined: Vec<Vec<u8>> = Vec::new();
        for line in lines(text) {
            match (line.strip_prefix(b" "), joined.last_mut()) {
                _ if line.is_empty() => break,
                (Some(rest), Some(former)) => former.extend_from_slice(rest),
                _ => joined.push(line.to_vec()),
            }
        }
        let attributes = joined
            .iter()
            .filter_map(|line| {
                let line = String::from_utf8_lossy(line);
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect();
        Self { attributes }
    }

    /// The value of an attribute, of which the name is in lower case; `None` for an empty one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.attributes.get(name)?;
        (!value.is_empty()).then_some(value)
    }

    /// `Main-Class`.
    pub(super) fn main_class(&self) -> Option<&str> {
        self.get("main-class")
    }

    /// `Start-Class`, the class that Spring Boot's loader starts.
    pub(super) fn start_class(&self) -> Option<&str> {
        self.get("start-class")
    }

    /// `Class-Path`: relative URLs.
    pub(super) fn class_path(&self) -> impl Iterator<Item = &str> {
        self.get("class-path")
            .unwrap_or_default()
            .split_ascii_whitespace()
    }

    /// `Multi-Release`.
    pub(super) fn is_multi_release(&self) -> bool {
        self.get("multi-release")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The options of `java` that stand for what `java -jar` takes from the manifest, when the
    /// main class is named instead.
    pub(super) fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        for (attribute, option) in [
            ("add-exports", "--add-exports"),
            ("add-opens", "--add-opens"),
        ] {
            for package in self
                .get(attribute)
                .unwrap_or_default()
                .split_ascii_whitespace()
            {
                options.push(option.to_owned());
                options.push(format!("{package}=ALL-UNNAMED"));
            }
        }
        if self.get("enable-native-access") == Some("ALL-UNNAMED") {
            options.push("--enable-native-access=ALL-UNNAMED".to_owned());
        }
        options
    }
}

/// Lines end in CR LF, LF or CR.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'\r' | b'\n'))
            .unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after
            .strip_prefix(b"\r\n")
            .or_else(|| after.get(1..))
            .unwrap_or_default();
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_that_starts_with_a_blank_goes_on_with_the_one_before() {
        let manifest = Manifest::parse(
            b"Manifest-Version: 1.0\r\nClass-Path: lib/a.jar lib/b\r\n .jar  lib/c.jar\r\nMain-Class: a.B \r\n\r\nName: x\r\nMain-Class: no\r\n",
        );
        let class_path: Vec<_> = manifest.class_path().collect();
        assert_eq!(class_path, ["lib/a.jar", "lib/b.jar", "lib/c.jar"]);
        assert_eq!(manifest.main_class(), Some("a.B"));
    }

    #[test]
    fn names_have_no_case_and_any_line_end_will_do() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("main-CLASS: a.B{end}multi-release: TRUE{end}{end}");
            let manifest = Manifest::parse(text.as_bytes());
            assert_eq!(manifest.main_class(), Some("a.B"));
            assert!(manifest.is_multi_release());
        }
    }

    #[test]
    fn what_the_manifest_opens_is_opened_by_options_too() {
        let manifest = Manifest::parse(
            b"Add-Opens: java.base/java.lang java.base/java.nio\nEnable-Native-Access: ALL-UNNAMED\n",
        );
        assert_eq!(
            manifest.options().join(" "),
            "--add-opens java.base/java.lang=ALL-UNNAMED --add-opens java.base/java.nio=ALL-UNNAMED \
             --enable-native-access=ALL-UNNAMED"
        );
    }

    proptest! {
        #[test]
        fn a_value_is_the_same_however_it_is_folded(value in "[a-z/.]{1,200}", width in 1..70usize) {
            let mut text = String::from("Main-Class: ");
            for (index, part) in value.as_bytes().chunks(width).enumerate() {
                if index > 0 {
                    text.push_str("\r\n ");
                }
                text.push_str(std::str::from_utf8(part).unwrap());
            }
            text.push_str("\r\n");
            let manifest = Manifest::parse(text.as_bytes());
            prop_assert_eq!(manifest.main_class(), Some(value.as_str()));
        }
    }
}
