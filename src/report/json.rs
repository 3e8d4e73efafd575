//! The report as JSON.

use serde::Serialize;

use super::{Diff, Inspection, Renderer, Report};

/// JSON, for programs.
///
/// A report is one object: `"schema": "distrobuild.report/1"`, then the fields of [`Report`]
/// under their names; a comparison of two images is `"schema": "distrobuild.diff/1"` and the
/// fields of [`Diff`]; what is known of an image without its layers is
/// `"schema": "distrobuild.inspect/1"` and the fields of [`Inspection`]. Sizes are whole bytes, `null` is unknown, and the order of keys and
/// rows is always the same. Fields may be added under one schema number; a change of what a
/// field means, or one that goes, gets the next number.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

/// The schema of a report.
const REPORT: &str = "distrobuild.report/1";
/// The schema of a comparison of two images.
const DIFF: &str = "distrobuild.diff/1";
/// The schema of what is known of an image without its layers.
const INSPECT: &str = "distrobuild.inspect/1";

#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

impl Json {
    /// What is known of an image without its layers, as text that ends in a newline.
    pub fn inspection(&self, inspection: &Inspection) -> String {
        document(INSPECT, inspection)
    }
}

impl Renderer for Json {
    fn report(&self, report: &Report) -> String {
        document(REPORT, report)
    }

    fn diff(&self, diff: &Diff) -> String {
        document(DIFF, diff)
    }
}

fn document<T: Serialize>(schema: &'static str, body: &T) -> String {
    // Keys are strings and numbers are finite: there is nothing that JSON cannot say.
    #[expect(clippy::expect_used)]
    let mut text =
        serde_json::to_string_pretty(&Document { schema, body }).expect("plain values are JSON");
    text.push('\n');
    text
}
