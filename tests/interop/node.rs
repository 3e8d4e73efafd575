//! Apps in Node.js: with the packages that they run with, and without those that made them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::container::Bundle;
use crate::image::{Image, contents};
use crate::kept::{copy, fetch, kept, write};
use crate::tools::{run, tool};
use crate::workshop::{Workshop, assert_tells};

/// `bufferutil` ships its addon compiled; `is-number` is there for those who develop.
const PACKAGE: &str = r#"{
  "name": "shop",
  "version": "1.0.0",
  "private": true,
  "main": "server.js",
  "scripts": { "start": "node server.js" },
  "dependencies": { "bufferutil": "4.0.9", "express": "4.21.2" },
  "devDependencies": { "is-number": "7.0.0" }
}
"#;

/// Answers with what the addon computes, and which addons were loaded.
const SERVER: &str = r#"#!/usr/bin/env node
const express = require('express');
const bufferutil = require('bufferutil');
const words = require('./lib/words');

const app = express();
app.get('/', (request, response) => {
  const output = Buffer.alloc(2);
  bufferutil.mask(Buffer.from([1, 2]), Buffer.from([3, 3, 3, 3]), output, 0, 2);
  response.json({
    word: words.word,
    masked: [...output],
    addons: Object.keys(require.cache).filter((path) => path.endsWith('.node')).length,
    user: process.getuid(),
  });
});
app.listen(3000);
"#;

const WORDS: &str = "exports.word = 'from a module of its own';\n";

/// A project directory with everything installed.
fn express() -> &'static Path {
    static PROJECT: OnceLock<PathBuf> = OnceLock::new();
    PROJECT.get_or_init(|| {
        let node = run(tool("node").arg("--version")).output();
        kept(
            "node-express",
            &format!("{node} {PACKAGE} {SERVER}"),
            |project| {
                write(project, "package.json", PACKAGE);
                write(project, "server.js", SERVER);
                write(project, "lib/words.js", WORDS);
                write(project, "lib/words.test.js", "require('is-number');\n");
                fetch(
                    tool("npm")
                        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund"])
                        .arg("--cache")
                        .arg(project.with_file_name("npm-cache"))
                        .arg("--prefix")
                        .arg(project)
                        .current_dir(project),
                );
            },
        )
    })
}

/// A copy of [`express`] for a test to damage.
fn damaged(workshop: &Workshop) -> PathBuf {
    copy(express(), &workshop.path("shop"));
    workshop.path("shop")
}

#[track_caller]
fn assert_answers(image: &Image, workshop: &Workshop) {
    let mut server = Bundle::of(image, workshop).read_only().start();
    let answer: serde_json::Value = serde_json::from_str(&server.page(3000, "/")).unwrap();
    assert_eq!(
        answer,
        serde_json::json!({
            "word": "from a module of its own",
            "masked": [2, 1],
            "addons": 1,
            "user": 65532,
        })
    );
}

/// The packages below `node_modules` in an image.
fn packages(image: &Image) -> Vec<String> {
    let mut packages: Vec<String> = image
        .paths()
        .iter()
        .filter_map(|path| path.strip_suffix("/package.json"))
        .filter_map(|path| path.rsplit_once("node_modules/"))
        .map(|(_, package)| package.to_owned())
        .collect();
    packages.sort();
    packages.dedup();
    packages
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_express_app_with_an_addon_answers_http() {
    let workshop = Workshop::new();
    let image = workshop.build(
        express().join("server.js"),
        "server.oci",
        &["--port", "3000", "--smoke", "--smoke-port", "3000"],
    );
    assert_answers(&image, &workshop);
    let packages = packages(&image);
    for package in ["express", "bufferutil", "node-gyp-build", "body-parser"] {
        assert!(
            packages.iter().any(|found| found == package),
            "{packages:?}"
        );
    }
    assert!(
        !packages.iter().any(|found| found == "is-number"),
        "{packages:?}"
    );
    // Of the addon's builds the one for this machine.
    let addons: Vec<_> = image
        .paths()
        .into_iter()
        .filter(|path| path.ends_with(".node"))
        .collect();
    assert_eq!(addons.len(), 1, "{addons:?}");
    // npm is for those who build.
    let npm: Vec<_> = packages.iter().filter(|found| *found == "npm").collect();
    assert!(npm.is_empty(), "{npm:?}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_directory_with_a_package_json_is_an_app() {
    let workshop = Workshop::new();
    let image = workshop.build(express(), "shop.oci", &[]);
    assert_answers(&image, &workshop);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_project_at_two_places_gives_the_same_bytes() {
    let workshop = Workshop::new();
    let layouts = ["one/shop", "quite/another place/shop"].map(|place| {
        copy(express(), &workshop.path(place));
        let output = format!("{}.oci", place.replace('/', "-"));
        contents(&workshop.build(workshop.path(place), &output, &[]).layout)
    });
    assert_eq!(layouts[0], layouts[1]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_module_script_without_a_package_json_runs() {
    let workshop = Workshop::new();
    let app = workshop.write(
        "app.mjs",
        "import { createHash } from 'node:crypto';\n\
         import { word } from './word.mjs';\n\
         console.log(word, createHash('sha256').update('abc').digest('hex').slice(0, 8));\n",
    );
    workshop.write("word.mjs", "export const word = 'hashed';\n");
    let image = workshop.build(&app, "app.oci", &["--smoke", "--smoke-expect", "hashed"]);
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, "hashed ba7816bf\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_decision_for_node_is_told_with_the_flag_against_it() {
    let workshop = Workshop::new();
    let outcome = workshop.try_build(express(), "shop.oci", &[]);
    assert!(outcome.status.success(), "{outcome}");
    assert_tells(&outcome.stderr, &["Node.js ", "--runtime none"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_broken_package_json_is_refused() {
    let workshop = Workshop::new();
    let shop = damaged(&workshop);
    fs::write(shop.join("package.json"), "{ \"name\": \"shop\", ").unwrap();
    for app in [shop.clone(), shop.join("server.js")] {
        let message = workshop.refusal(app, &[]);
        assert_tells(&message, &["shop/package.json:1:", "JSON"]);
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_lock_file_that_does_not_match_is_refused() {
    let workshop = Workshop::new();
    let shop = damaged(&workshop);
    // A package that the lock file names is not installed.
    fs::rename(shop.join("node_modules/express"), shop.join("express")).unwrap();
    let message = workshop.refusal(&shop, &[]);
    assert_tells(&message, &["package-lock.json", "express", "npm ci"]);
    // One is installed in another version.
    fs::rename(shop.join("express"), shop.join("node_modules/express")).unwrap();
    let manifest = shop.join("node_modules/express/package.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let other = text.replace("\"version\": \"4.21.2\"", "\"version\": \"4.0.0\"");
    assert_ne!(text, other);
    fs::write(&manifest, other).unwrap();
    let message = workshop.refusal(&shop, &[]);
    assert_tells(&message, &["express", "4.21.2", "4.0.0", "npm ci"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_package_whose_main_file_is_missing_is_refused() {
    let workshop = Workshop::new();
    let shop = damaged(&workshop);
    fs::remove_file(shop.join("server.js")).unwrap();
    assert_tells(
        &workshop.refusal(&shop, &[]),
        &["package.json", "server.js"],
    );
}
