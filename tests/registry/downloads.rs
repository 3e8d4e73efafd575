//! Blobs on their way down, over connections that break.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use distrobuild::registry::{Client, Options};
use tempfile::TempDir;

use crate::fixture::{Layout, blobs, client, client_with, layer, options, pull, push, said};
use crate::server::fault::Reply;
use crate::server::{Act, Fault, Server, Settings, digest};

/// A registry with an image of one large layer.
struct Stocked {
    server: Server,
    layout: Layout,
    /// Where it is pulled to.
    place: TempDir,
    /// The layer's path in the API.
    blob: String,
}

impl Stocked {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let server = Server::with(settings);
        let large = layer(1, 300_000);
        let layout = Layout::of(std::slice::from_ref(&large));
        push(&client(), &layout, &format!("{}/app:v1", server.host())).unwrap();
        server.forget();
        Self {
            server,
            layout,
            place: tempfile::tempdir().unwrap(),
            blob: format!("/blobs/{}", digest(&large)),
        }
    }

    fn name(&self) -> String {
        format!("{}/app:v1", self.server.host())
    }

    fn pull_with(&self, client: &Arc<Client>) -> Result<(), String> {
        let to = self.place.path().join("a");
        let result = pull(client, &self.name(), &to);
        result.map(|_| ()).map_err(|error| said(&error))
    }

    /// Arms the fault, and expects that the image comes all the same.
    fn survives(&self, fault: Fault) {
        self.server.arm(fault);
        self.pull_with(&client()).unwrap();
        let back = self.place.path().join("a");
        assert!(blobs(&back) == self.layout.blobs());
    }

    /// Arms the fault, and expects that nothing comes of it. Gives what is said.
    fn fails(&self, fault: Fault) -> String {
        self.server.arm(fault);
        let text = self.pull_with(&client()).unwrap_err();
        assert!(text.contains(&self.server.host()), "{text}");
        self.nothing_is_written();
        text
    }

    fn nothing_is_written(&self) {
        let image = self.place.path().join("a");
        assert!(!image.join("index.json").exists());
        if image.exists() {
            assert!(no_files(&image), "there are files in {}", image.display());
        }
    }
}

/// Whether there are only directories, and files that every layout has.
fn no_files(directory: &Path) -> bool {
    directory.read_dir().unwrap().all(|entry| {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => no_files(&entry.path()),
            false => entry.file_name() == "oci-layout",
        }
    })
}

#[test]
fn a_blob_whose_connection_breaks_is_resumed_where_it_broke() {
    let stocked = Stocked::new();
    stocked.survives(Fault::on("GET", &stocked.blob, Act::CutAnswer(100_000)).times(2));
    let asked = stocked.server.seen_of("GET", &stocked.blob);
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].header("range"), None);
    for again in &asked[1..] {
        let range = again.header("range").unwrap_or_default();
        let from = range.strip_prefix("bytes=").and_then(|range| {
            let (from, _) = range.split_once('-')?;
            from.parse::<u64>().ok()
        });
        assert!(from.is_some_and(|from| from > 0), "{range:?}");
        assert_eq!(again.status, 206);
    }
}

#[test]
fn a_blob_is_resumed_also_where_parts_are_not_served() {
    let stocked = Stocked::with(Settings {
        ranges: false,
        ..Settings::default()
    });
    stocked.survives(Fault::on("GET", &stocked.blob, Act::CutAnswer(100_000)));
}

#[test]
fn a_registry_that_is_down_for_a_moment_is_asked_again() {
    for status in [500, 502, 503, 504] {
        for part in ["/manifests/", "/blobs/"] {
            let reply = Reply::error(status, "UNKNOWN", "a moment");
            Stocked::new().survives(Fault::on("*", part, Act::Answer(reply)).times(2));
        }
    }
}

#[test]
fn a_registry_that_fails_in_the_middle_of_a_blob_and_then_for_a_moment_is_asked_again() {
    let stocked = Stocked::new();
    let cut = Fault::on("GET", &stocked.blob, Act::CutAnswer(100_000));
    let error = Reply::error(500, "UNKNOWN", "a moment");
    stocked.server.arm(cut);
    let error = Fault::on("GET", &stocked.blob, Act::Answer(error));
    stocked.survives(error);
    assert_eq!(stocked.server.seen_of("GET", &stocked.blob).len(), 3);
}

#[test]
fn a_registry_that_is_busy_is_asked_again() {
    for after in ["0", "1"] {
        let busy = Reply::error(429, "TOOMANYREQUESTS", "slowly").with("Retry-After", after);
        Stocked::new().survives(Fault::on("GET", "/blobs/", Act::Answer(busy)).times(2));
    }
}

#[test]
fn a_registry_that_stays_busy_is_told_so_often_and_no_more() {
    let stocked = Stocked::new();
    let busy = Reply::error(429, "TOOMANYREQUESTS", "pull rate limit reached");
    let text = stocked.fails(Fault::on("*", "/manifests/", Act::Answer(busy)).always());
    assert!(text.contains("pull rate limit reached"), "{text}");
    // One for the tag by HEAD and one by GET may each be tried as often as is allowed.
    let asked = stocked.server.seen_of("*", "/manifests/").len();
    assert!((5..=10).contains(&asked), "{asked} requests");
}

#[test]
fn a_registry_that_hangs_up_is_asked_again() {
    let stocked = Stocked::new();
    stocked.survives(Fault::on("GET", "/manifests/", Act::HangUp).times(2));
    let stocked = Stocked::new();
    stocked.survives(Fault::on("GET", &stocked.blob, Act::HangUp).times(2));
}

#[test]
fn a_registry_that_always_hangs_up_is_told() {
    let stocked = Stocked::new();
    stocked.fails(Fault::on("GET", &stocked.blob, Act::CutAnswer(0)).always());
    let asked = stocked.server.seen_of("GET", &stocked.blob).len();
    assert!((5..=10).contains(&asked), "{asked} requests");
}

#[test]
fn a_blob_with_another_digest_is_refused_and_nothing_is_written() {
    let stocked = Stocked::new();
    let text = stocked.fails(Fault::on("GET", &stocked.blob, Act::Corrupt).always());
    let digest = stocked.blob.strip_prefix("/blobs/").unwrap();
    assert!(text.contains(digest), "{text}");
}

#[test]
fn a_blob_that_is_too_short_is_refused_and_nothing_is_written() {
    let stocked = Stocked::new();
    stocked.fails(Fault::on("GET", &stocked.blob, Act::Shorten(1000)).always());
}

#[test]
fn a_blob_that_is_gone_is_told() {
    let stocked = Stocked::new();
    let gone = Reply::error(404, "BLOB_UNKNOWN", "gone");
    let text = stocked.fails(Fault::on("*", &stocked.blob, Act::Answer(gone)).always());
    let digest = stocked.blob.strip_prefix("/blobs/").unwrap();
    assert!(text.contains(digest), "{text}");
}

#[test]
fn a_resumed_blob_is_checked_as_a_whole() {
    let stocked = Stocked::new();
    let cut = Fault::on("GET", &stocked.blob, Act::CutAnswer(100_000));
    stocked.server.arm(cut);
    stocked.fails(Fault::on("GET", &stocked.blob, Act::Corrupt).always());
}

/// Options for a registry that stands still. What waits for it is a test's only wait, so it is
/// short; a machine that is busy makes it no shorter for the client that is starved, too.
fn impatient(attempts: u32) -> Options {
    Options {
        stall: Duration::from_secs(2),
        attempts: NonZeroU32::new(attempts).unwrap(),
        ..options()
    }
}

#[test]
fn a_blob_that_stands_still_is_asked_for_again() {
    let stocked = Stocked::new();
    stocked
        .server
        .arm(Fault::on("GET", &stocked.blob, Act::StallAnswer(100_000)));
    stocked.pull_with(&client_with(impatient(5))).unwrap();
    assert!(blobs(&stocked.place.path().join("a")) == stocked.layout.blobs());
}

#[test]
fn a_registry_that_says_nothing_is_given_up() {
    let stocked = Stocked::new();
    stocked
        .server
        .arm(Fault::on("*", "/manifests/", Act::Silence).always());
    let text = stocked.pull_with(&client_with(impatient(1))).unwrap_err();
    assert!(text.contains(&stocked.server.host()), "{text}");
    stocked.nothing_is_written();
}

#[test]
fn a_registry_that_is_slow_is_waited_for() {
    let pause = Duration::from_millis(1);
    Stocked::new().survives(Fault::on("GET", "/manifests/", Act::Dribble(pause)).always());
}
