//! Where the next page of a list is: `Link` (RFC 8288).

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};

use super::RegistryError;
use super::refusal::bad_answer;

/// The next page after `url`, of the same host; `None` when this one is the last.
pub(super) fn next_page(
    headers: &HeaderMap,
    url: &Url,
    what: &str,
) -> Result<Option<Url>, RegistryError> {
    let target = headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(next);
    let Some(target) = target else {
        return Ok(None);
    };
    match url.join(target) {
        // A user in it would be another's than ours.
        Ok(next)
            if next.origin() == url.origin()
                && next.username().is_empty()
                && next.password().is_none() =>
        {
            Ok(Some(next))
        }
        _ => Err(bad_answer(
            what,
            "the next page of the list is at another host than this one, and is not asked for"
                .to_owned(),
        )),
    }
}

/// The target of the link to the next page in a header's value.
fn next(value: &str) -> Option<&str> {
    let mut rest = value;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, parameters) = after.split_once('>')?;
        let end = end_of_link(parameters);
        let (parameters, after) = parameters.split_at_checked(end)?;
        if split(parameters, ';').any(is_next) {
            return Some(target.trim());
        }
        rest = after;
    }
}

/// Where the parameters of a link end: at a comma outside of quotes, or at the end.
fn end_of_link(parameters: &str) -> usize {
    split(parameters, ',').next().map_or(0, str::len)
}

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return false;
    };
    let value = value.trim().trim_matches('"');
    name.trim().eq_ignore_ascii_case("rel")
        && value
            .split_ascii_whitespace()
            .any(|relation| relation.eq_ignore_ascii_case("next"))
}

/// Splits at `separator` where it is not within quotes (RFC 9110, section 5.6.4).
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.split(move |character| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match character {
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            character => return character == separator && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn the_next_page_is_found_among_other_links() {
        for (value, target) in [
            (
                r#"</v2/a/tags/list?last=x&n=1>; rel="next""#,
                Some("/v2/a/tags/list?last=x&n=1"),
            ),
            ("<n>;rel=next", Some("n")),
            ("<n>; REL=\"prev Next\"", Some("n")),
            (
                r#"<a>; rel="prev", <b>; title="x, <c>; rel=next"; rel="next""#,
                Some("b"),
            ),
            (r#"<a>; title="\"; rel=next", <b>; rel=next"#, Some("b")),
            ("<a>; rel=\"prev\"", None),
            ("<a>", None),
            ("<a; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next(value), target, "{value}");
        }
    }

    #[test]
    fn a_page_of_another_host_is_not_asked_for() {
        let url: Url = "https://registry.example/v2/a/tags/list".parse().unwrap();
        for (link, expected) in [
            (
                "<list?n=2>",
                Some("https://registry.example/v2/a/tags/list?n=2"),
            ),
            (
                "<https://registry.example/v2/x>",
                Some("https://registry.example/v2/x"),
            ),
            ("<https://evil.example/v2/x>", None),
            ("<//evil.example/v2/x>", None),
            ("<http://registry.example/v2/x>", None),
            ("<https://me:secret@registry.example/v2/x>", None),
            ("<file:///etc/passwd>", None),
        ] {
            let mut headers = HeaderMap::new();
            let value = format!("{link}; rel=\"next\"");
            headers.insert(LINK, HeaderValue::from_str(&value).unwrap());
            match (next_page(&headers, &url, "the tags of a"), expected) {
                (Ok(Some(next)), Some(expected)) => assert_eq!(next.as_str(), expected),
                (Err(error), None) => assert!(!error.to_string().contains("secret"), "{error}"),
                (other, _) => panic!("{link}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_link_is_read_or_left(value in r#"[<>;,="\\a -]{0,30}|(<[a-z]>; ?rel="?next"?,? ?){0,3}|\PC{0,20}"#) {
            let _ = next(&value);
        }
    }
}
