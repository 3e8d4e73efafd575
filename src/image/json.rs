//! JSON as image stores need it: canonical when written, lenient when read.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// `value` as canonical JSON: keys sorted, no white space.
///
/// oci-spec holds annotations, labels and ports in `HashMap`s, whose order differs
/// from run to run; by way of a sorted [`Value`] the bytes do not.
pub(crate) fn canonical(value: &impl Serialize) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "documents have string keys and no floats, and a Vec takes every byte"
    )]
    {
        let mut value = serde_json::to_value(value).expect("a document becomes a value");
        value.sort_all_objects();
        serde_json::to_vec(&value).expect("a value becomes bytes")
    }
}

/// Reads a document of `bytes`.
///
/// `null` stands for what is absent, as Go's writers have it (`umoci init` writes
/// `"manifests":null`): members that are null are dropped, and the lists that
/// image-spec requires are then empty. Nesting is bounded by serde_json (128 levels).
///
/// # Errors
/// When it is not JSON or not such a document.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let mut value: Value = serde_json::from_slice(bytes)?;
    let mut open = vec![&mut value];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(list) => open.extend(list),
            Value::Object(members) => {
                for required in ["manifests", "layers", "diff_ids"] {
                    if let Some(list @ Value::Null) = members.get_mut(required) {
                        *list = Value::Array(Vec::new());
                    }
                }
                members.retain(|_, member| !member.is_null());
                open.extend(members.values_mut());
            }
            _ => {}
        }
    }
    serde_json::from_value(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use oci_spec::image::{ImageConfiguration, ImageIndex};

    #[test]
    fn a_null_list_is_an_empty_one() {
        let index: ImageIndex = parse(br#"{"schemaVersion":2,"manifests":null}"#).unwrap();
        assert!(index.manifests().is_empty());
        let config: ImageConfiguration = parse(
            br#"{"os":"linux","architecture":"amd64","config":{"Env":null,"Labels":null,
            "ExposedPorts":null},"rootfs":{"type":"layers","diff_ids":null},"history":null}"#,
        )
        .unwrap();
        assert!(config.rootfs().diff_ids().is_empty());
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let deep = "[".repeat(100_000);
        assert!(parse::<Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn canonical_json_has_sorted_keys_and_no_white_space() {
        let value: Value =
            serde_json::from_str(r#"{"b": [1, {"z": 1, "a": 2}], "a": "x y"}"#).unwrap();
        assert_eq!(canonical(&value), br#"{"a":"x y","b":[1,{"a":2,"z":1}]}"#);
    }
}
