//! Who is asked first, and whose paths count.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use distrobuild::elf::{Finding, Notice, Rule};

use crate::workshop::{Workshop, answers, found, oracle};

const RPATH: &str = "-Wl,--disable-new-dtags";
const RUNPATH: &str = "-Wl,--enable-new-dtags";

#[test]
fn an_rpath_reaches_the_dependencies_of_a_dependency() {
    let shop = Workshop::new();
    shop.library("lib/libb.so", &[]);
    shop.library("lib/liba.so", &["{}/lib/libb.so"]);
    let app = shop.program("app", &["{}/lib/liba.so", RPATH, "-Wl,-rpath,{}/lib"]);
    let closure = shop.agrees(&app);
    assert_eq!(found(&closure, "libb.so"), Some(shop.at("lib/libb.so")));
    let request = closure
        .objects
        .iter()
        .flat_map(|object| &object.requests)
        .find(|request| request.name == "libb.so")
        .unwrap();
    assert!(matches!(request.rule, Rule::Rpath { of: 0, .. }));
}

#[test]
fn a_runpath_does_not_reach_the_dependencies_of_a_dependency() {
    let shop = Workshop::new();
    shop.library("lib/libb.so", &[]);
    shop.library("lib/liba.so", &["{}/lib/libb.so"]);
    let app = shop.program("app", &["{}/lib/liba.so", RUNPATH, "-Wl,-rpath,{}/lib"]);
    let closure = shop.agrees(&app);
    assert_eq!(closure.missing.len(), 1);
    assert_eq!(closure.missing[0].name, "libb.so");
    assert_eq!(closure.missing[0].finding, Finding::Needed);
}

#[test]
fn an_rpath_reaches_through_a_parent_with_a_runpath_but_not_that_parent_itself() {
    let shop = Workshop::new();
    shop.library("lib/libdeep.so", &[]);
    shop.library("other/libb.so", &["{}/lib/libdeep.so"]);
    shop.library("lib/libdirect.so", &[]);
    shop.library(
        "lib/liba.so",
        &[
            "{}/other/libb.so",
            "{}/lib/libdirect.so",
            RUNPATH,
            "-Wl,-rpath,{}/other",
        ],
    );
    let app = shop.program("app", &["{}/lib/liba.so", RPATH, "-Wl,-rpath,{}/lib"]);
    let closure = shop.agrees(&app);
    assert_eq!(
        found(&closure, "libdeep.so"),
        Some(shop.at("lib/libdeep.so"))
    );
    assert_eq!(closure.missing[0].name, "libdirect.so");
}

#[test]
fn loading_is_breadth_first_so_that_the_nearer_request_decides() {
    let shop = Workshop::new();
    shop.library("x/libs.so", &[]);
    shop.library("y/libs.so", &[]);
    shop.library("lib/libc1.so", &["{}/x/libs.so", "-Wl,-rpath,{}/x"]);
    shop.library("lib/liba.so", &["{}/lib/libc1.so", "-Wl,-rpath,{}/lib"]);
    shop.library("lib/libb.so", &["{}/y/libs.so", "-Wl,-rpath,{}/y"]);
    let app = shop.program(
        "app",
        &[
            "{}/lib/liba.so",
            "{}/lib/libb.so",
            RUNPATH,
            "-Wl,-rpath,{}/lib",
        ],
    );
    let closure = shop.agrees(&app);
    assert_eq!(found(&closure, "libs.so"), Some(shop.at("y/libs.so")));
}

#[test]
fn a_soname_that_is_loaded_already_needs_no_file() {
    let shop = Workshop::new();
    // The file liba.so has the soname libreal.so.1, of which no file exists.
    shop.plain_library("lib/liba.so", &["-Wl,-soname,libreal.so.1"]);
    shop.plain_library("link/liba.so", &["-Wl,-soname,liba.so"]);
    shop.library("lib/libb.so", &["{}/lib/liba.so"]);
    let app = shop.program(
        "app",
        &["{}/link/liba.so", "{}/lib/libb.so", "-Wl,-rpath,{}/lib"],
    );
    let closure = shop.agrees(&app);
    assert_eq!(
        found(&closure, "libreal.so.1"),
        Some(shop.at("lib/liba.so"))
    );
    assert!(closure.missing.is_empty());
}

#[test]
fn the_loader_chain_is_that_of_who_loaded_an_object_first() {
    let shop = Workshop::new();
    shop.library("deep/libz1.so", &[]);
    shop.library("lib/libmid.so", &["{}/deep/libz1.so"]);
    // Both need libmid; only the second one's RPATH leads to libz1.
    shop.library(
        "lib/liba.so",
        &["{}/lib/libmid.so", RPATH, "-Wl,-rpath,{}/lib"],
    );
    shop.library(
        "lib/libb.so",
        &["{}/lib/libmid.so", RPATH, "-Wl,-rpath,{}/lib:{}/deep"],
    );
    let app = shop.program(
        "app",
        &[
            "{}/lib/liba.so",
            "{}/lib/libb.so",
            RUNPATH,
            "-Wl,-rpath,{}/lib",
        ],
    );
    let closure = shop.agrees(&app);
    assert_eq!(closure.missing[0].name, "libz1.so");
}

#[test]
fn a_file_under_two_names_is_loaded_once_and_both_names_are_kept() {
    let shop = Workshop::new();
    let one = shop.plain_library("lib/libone.so", &[]);
    std::fs::hard_link(&one, shop.at("lib/libtwo.so")).unwrap();
    symlink("libone.so", shop.at("lib/libthree.so")).unwrap();
    let stub = |name: &str| shop.library(&format!("stub/{name}"), &[]);
    stub("libone.so");
    stub("libtwo.so");
    stub("libthree.so");
    let app = shop.program(
        "app",
        &[
            "{}/stub/libone.so",
            "{}/stub/libtwo.so",
            "{}/stub/libthree.so",
            "-Wl,-rpath,{}/lib",
        ],
    );
    let closure = shop.agrees(&app);
    let object = closure
        .objects
        .iter()
        .find(|object| object.path == one)
        .unwrap();
    let aliases: Vec<&Path> = object.aliases.iter().map(|(path, _)| &**path).collect();
    assert_eq!(
        aliases,
        [shop.at("lib/libtwo.so"), shop.at("lib/libthree.so")]
    );
    assert_eq!(object.aliases[1].1.links.len(), 1, "the link is kept");
}

#[test]
fn the_origin_of_the_app_is_where_its_file_really_is() {
    let shop = Workshop::new();
    shop.library("real/lib/libx1.so", &[]);
    shop.program(
        "real/app",
        &["{}/real/lib/libx1.so", "-Wl,-rpath,$ORIGIN/lib"],
    );
    let link = shop.at("elsewhere/app");
    symlink("../real/app", &link).unwrap();
    let closure = shop.agrees(&link);
    assert_eq!(
        found(&closure, "libx1.so"),
        Some(shop.at("real/lib/libx1.so"))
    );
}

#[test]
fn the_origin_of_a_library_is_where_it_was_found_links_not_resolved() {
    let shop = Workshop::new();
    shop.library("real/libdep.so", &[]);
    shop.library("lib/libdep.so", &[]);
    shop.library(
        "real/libx1.so",
        &["{}/real/libdep.so", "-Wl,-rpath,$ORIGIN"],
    );
    symlink("../real/libx1.so", shop.at("lib/libx1.so")).unwrap();
    let app = shop.program("app", &["{}/real/libx1.so", "-Wl,-rpath,{}/lib"]);
    let closure = shop.agrees(&app);
    assert_eq!(found(&closure, "libdep.so"), Some(shop.at("lib/libdep.so")));
}

#[test]
fn dots_go_through_the_target_of_a_link_and_stay_in_the_path() {
    let shop = Workshop::new();
    shop.library("far/lib/libx1.so", &[]);
    shop.library("lib/libx1.so", &[]);
    std::fs::create_dir_all(shop.at("far/bin/x").parent().unwrap()).unwrap();
    symlink("far/bin", shop.at("link")).unwrap();
    let app = shop.program("app", &["{}/lib/libx1.so", "-Wl,-rpath,{}/link/../lib"]);
    let closure = shop.agrees(&app);
    let path = shop.at("link").join("../lib/libx1.so");
    assert_eq!(found(&closure, "libx1.so"), Some(path));
    let object = closure
        .objects
        .iter()
        .find(|object| object.path.ends_with("libx1.so"))
        .unwrap();
    assert_eq!(object.trace.target.as_path(), shop.at("far/lib/libx1.so"));
}

#[test]
fn the_library_path_comes_after_rpath_and_before_runpath() {
    let shop = Workshop::new();
    for directory in ["own", "env"] {
        shop.library(&format!("{directory}/libx1.so"), &[]);
    }
    let rpath = shop.program("rpath", &["{}/own/libx1.so", RPATH, "-Wl,-rpath,{}/own"]);
    let runpath = shop.program(
        "runpath",
        &["{}/own/libx1.so", RUNPATH, "-Wl,-rpath,{}/own"],
    );
    let closure = shop.agrees_with(&rpath, &["{}/env"]);
    assert_eq!(found(&closure, "libx1.so"), Some(shop.at("own/libx1.so")));
    let closure = shop.agrees_with(&runpath, &["{}/env"]);
    assert_eq!(found(&closure, "libx1.so"), Some(shop.at("env/libx1.so")));
}

#[test]
fn tokens_are_expanded_and_what_only_looks_like_one_is_kept() {
    let shop = Workshop::new();
    shop.library("$ORIGINAL/libx1.so", &[]);
    shop.library("lib/x86_64-linux-gnu/libx2.so", &[]);
    let app = shop.program(
        "app",
        &[
            "{}/$ORIGINAL/libx1.so",
            "{}/lib/x86_64-linux-gnu/libx2.so",
            "-Wl,-rpath,{}/$ORIGINAL:${ORIGIN}/$LIB:{}/$PLATFORM",
        ],
    );
    shop.agrees(&app);
}

#[test]
fn trailing_slashes_repeats_and_missing_directories_do_no_harm() {
    let shop = Workshop::new();
    shop.library("lib/libx1.so", &[]);
    std::fs::write(shop.at("file"), "no directory").unwrap();
    let app = shop.program(
        "app",
        &[
            "{}/lib/libx1.so",
            "-Wl,-rpath,{}/none:{}/file:{}/lib//:{}/lib",
        ],
    );
    let closure = shop.agrees(&app);
    assert_eq!(found(&closure, "libx1.so"), Some(shop.at("lib/libx1.so")));
}

#[test]
fn an_absolute_name_is_opened_as_it_is() {
    let shop = Workshop::new();
    let path = shop.plain_library("lib/libx1.so", &[]);
    let app = shop.program("app", &["{}/lib/libx1.so"]);
    let closure = shop.agrees(&app);
    assert_eq!(found(&closure, path.to_str().unwrap()), Some(path));
}

#[test]
fn a_name_with_origin_and_a_slash_is_expanded() {
    let shop = Workshop::new();
    shop.library("lib/libx1.so", &[]);
    shop.plain_library("stub/libx1.so", &["-Wl,-soname,$ORIGIN/lib/libx1.so"]);
    let app = shop.program("app", &["{}/stub/libx1.so"]);
    let closure = shop.closure(&app);
    assert_eq!(
        found(&closure, "$ORIGIN/lib/libx1.so"),
        Some(shop.at("lib/libx1.so"))
    );
}

#[test]
fn a_relative_name_is_missing_with_a_note() {
    let shop = Workshop::new();
    shop.plain_library("libx1.so", &["-Wl,-soname,lib/libx1.so"]);
    let app = shop.program("app", &["{}/libx1.so"]);
    let closure = shop.closure(&app);
    assert_eq!(closure.missing[0].name, "lib/libx1.so");
    assert!(
        closure.missing[0]
            .note
            .as_deref()
            .unwrap()
            .contains("relative")
    );
}

#[test]
fn without_default_libraries_neither_the_cache_nor_the_directories_of_the_system_count() {
    let shop = Workshop::new();
    let app = shop.program("app", &["-Wl,-z,nodefaultlib"]);
    let closure = shop.agrees(&app);
    assert_eq!(closure.missing[0].name, "libc.so.6");
}

#[test]
fn filters_are_loaded_and_auxiliary_ones_may_be_missing() {
    let shop = Workshop::new();
    shop.library("lib/libdep.so", &[]);
    shop.library(
        "lib/libtarget.so",
        &["{}/lib/libdep.so", "-Wl,-rpath,{}/lib"],
    );
    shop.library("lib/libaux.so", &[]);
    shop.library("lib/libf.so", &["-Wl,-F,libtarget.so", "-Wl,-rpath,{}/lib"]);
    shop.library(
        "lib/libg.so",
        &[
            "-Wl,-f,libaux.so",
            "-Wl,-f,libnowhere.so",
            "-Wl,-rpath,{}/lib",
        ],
    );
    let app = shop.program(
        "app",
        &["{}/lib/libf.so", "{}/lib/libg.so", "-Wl,-rpath,{}/lib"],
    );
    let closure = shop.closure(&app);
    let mut wanted = oracle(&app, "").0;
    // Under trace, the loader lists what it goes without in earnest.
    assert_eq!(wanted.remove("libnowhere.so"), Some(None));
    assert!(Command::new(&app).status().unwrap().success());
    assert_eq!(answers(&closure), wanted);
    assert_eq!(found(&closure, "libaux.so"), Some(shop.at("lib/libaux.so")));
    assert_eq!(found(&closure, "libdep.so"), Some(shop.at("lib/libdep.so")));
    assert!(closure.missing.is_empty());
}

#[test]
fn all_missing_libraries_are_told_at_once_with_all_who_need_them() {
    let shop = Workshop::new();
    shop.library("gone/libm1.so", &[]);
    shop.library("gone/libm2.so", &[]);
    shop.library("lib/liba.so", &["{}/gone/libm1.so"]);
    let app = shop.program(
        "app",
        &[
            "{}/lib/liba.so",
            "{}/gone/libm1.so",
            "{}/gone/libm2.so",
            "-Wl,-rpath,{}/lib",
        ],
    );
    std::fs::remove_dir_all(shop.at("gone")).unwrap();
    let closure = shop.agrees(&app);
    let names: Vec<_> = closure
        .missing
        .iter()
        .map(|missing| &missing.name)
        .collect();
    assert_eq!(names, ["libm1.so", "libm2.so"]);
    assert_eq!(closure.missing[0].needed_by.len(), 2);
    assert_eq!(
        closure.missing[0].searched[0],
        shop.at("lib/x").parent().unwrap().display().to_string()
    );
}

#[test]
fn a_relative_path_is_passed_over_with_a_warning() {
    let shop = Workshop::new();
    shop.library("lib/libx1.so", &[]);
    let app = shop.program("app", &["{}/lib/libx1.so", "-Wl,-rpath,lib:{}/lib"]);
    let closure = shop.agrees(&app);
    assert_eq!(found(&closure, "libx1.so"), Some(shop.at("lib/libx1.so")));
    assert!(
        matches!(&closure.notices[..], [Notice::Warning(text)] if text.contains("working directory"))
    );
}
