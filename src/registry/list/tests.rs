#![allow(clippy::unwrap_used)]

use super::super::script::{Reply, Server, client};
use super::*;

fn list(reply: Reply) -> Result<Vec<String>, RegistryError> {
    let server = Server::start(move |_| reply.clone());
    client().tags(&server.repository("me/app"))
}

#[test]
fn tags_of_all_pages_come_sorted_and_each_once() {
    let server = Server::start(|exchange| match exchange.head.target.as_str() {
        "/v2/me/app/tags/list?n=1000" => Reply::body(r#"{"name":"x","tags":["b","a"]}"#)
            .header(r#"Link: </v2/me/app/tags/list?n=1000&last=a>; rel="next""#),
        "/v2/me/app/tags/list?n=1000&last=a" => {
            Reply::body(r#"{"tags":["c","a"]}"#).header(r#"Link: <list?last=c>; rel="next""#)
        }
        "/v2/me/app/tags/list?last=c" => Reply::body(r#"{"tags":null}"#).header(&format!(
            r#"Link: <http://{}/v2/me/app/tags/list?last=d>; rel=next"#,
            exchange.head.header("host").unwrap()
        )),
        "/v2/me/app/tags/list?last=d" => Reply::body(r#"{"tags":["latest"]}"#),
        other => panic!("{other}"),
    });
    let tags = client().tags(&server.repository("me/app")).unwrap();
    assert_eq!(tags, ["a", "b", "c", "latest"]);
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn no_tags_are_an_empty_list() {
    for body in [r#"{"tags":null}"#, r#"{"tags":[]}"#, r#"{"name":"me/app"}"#] {
        assert_eq!(list(Reply::body(body)).unwrap(), [""; 0], "{body}");
    }
}

#[test]
fn a_list_that_leads_in_a_circle_ends() {
    let server = Server::start(|exchange| {
        let next = if exchange.head.target.ends_with("=a") {
            "b"
        } else {
            "a"
        };
        Reply::body(r#"{"tags":["x"]}"#).header(&format!("Link: <list?last={next}>; rel=next"))
    });
    let error = client().tags(&server.repository("me/app")).unwrap_err();
    assert!(error.to_string().contains("does not end"), "{error}");
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_list_that_goes_on_at_another_host_is_refused() {
    let other = Server::start(|_| Reply::body(r#"{"tags":["x"]}"#));
    let link = format!(
        "Link: <http://{}/v2/me/app/tags/list>; rel=next",
        other.host()
    );
    let error = list(Reply::body(r#"{"tags":["x"]}"#).header(&link)).unwrap_err();
    assert!(error.to_string().contains("another host"), "{error}");
    assert_eq!(other.seen().len(), 0);
}

#[test]
fn what_is_no_list_of_tags_is_refused() {
    for body in [
        "<html>",
        r#"{"tags":7}"#,
        r#"{"tags":[7]}"#,
        r#"{"tags":["a\u001b[2J"]}"#,
        "",
    ] {
        let error = list(Reply::body(body)).unwrap_err();
        assert!(matches!(error, RegistryError::BadAnswer { .. }), "{body}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
}

#[test]
fn a_repository_that_is_not_there_has_no_list() {
    let reply = Reply::error(404, "NAME_UNKNOWN", "repository name not known to registry");
    let error = list(reply).unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }));
    assert!(
        error.to_string().starts_with("the repository 127.0.0.1"),
        "{error}"
    );
}

#[test]
fn more_tags_than_anybody_has_are_not_taken() {
    let tags: Vec<String> = (0..=MOST_TAGS).map(|at| at.to_string()).collect();
    let body = serde_json::json!({ "tags": tags }).to_string();
    let error = list(Reply::body(body)).unwrap_err();
    assert!(error.to_string().contains("more than 1000000"), "{error}");
}
