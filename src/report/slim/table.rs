//! The table as a file: read and written byte for byte the same.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SlimBases;

/// What an image is compared with as well, by the program that it starts, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs(Vec<(String, String)>);

impl Programs {
    pub(super) fn get(&self, program: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == program);
        found.map(|(_, reference)| reference.as_str())
    }

    #[cfg(test)]
    pub(super) fn references(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(_, reference)| reference)
    }
}

impl Serialize for Programs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, reference)| (name, reference)))
    }
}

impl<'de> Deserialize<'de> for Programs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Programs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of references by program")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Programs, M::Error> {
                let mut programs = Vec::new();
                while let Some(program) = map.next_entry()? {
                    programs.push(program);
                }
                Ok(Programs(programs))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl SlimBases {
    /// The table in the form of `bases/slim.json`: one blank an indent, keys and rows in their
    /// order, a newline at the end. What was read and not changed is the same again.
    pub fn to_json(&self) -> String {
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut bytes = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        #[expect(
            clippy::expect_used,
            reason = "keys are strings, there are no floats, and a Vec takes every byte"
        )]
        self.serialize(&mut serializer).expect("a table is JSON");
        bytes.push(b'\n');
        #[expect(clippy::expect_used, reason = "serde_json writes UTF-8 alone")]
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }
}
