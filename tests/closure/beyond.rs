//! What a program opens while it runs.

use distrobuild::elf::{Finding, Notice, Resolver, Root, resolve};
use distrobuild::sysroot::Directory;

use crate::workshop::{Workshop, found};

/// An assembler block with a `.note.dlopen` of this text.
fn note(json: &str) -> String {
    let text = json.replace('"', "\\\\\\\"");
    format!(
        "__asm__(\".pushsection .note.dlopen,\\\"a\\\",%note\\n.balign 4\\n.long 4\\n.long 2f-1f\\n\
         .long 0x407c0c0a\\n.asciz \\\"FDO\\\"\\n1: .asciz \\\"{text}\\\"\\n2: .balign 4\\n.popsection\\n\");\n"
    )
}

const MAIN: &str = "int main(void) { return 0; }\n";

#[test]
fn the_first_available_alternative_of_a_note_is_packed_with_what_it_needs() {
    let shop = Workshop::new();
    shop.library("lib/libdep.so", &[]);
    shop.library(
        "lib/libsecond.so",
        &["{}/lib/libdep.so", "-Wl,-rpath,{}/lib"],
    );
    shop.library("lib/libthird.so", &[]);
    let source = note(
        r#"[{"soname":["libfirst.so","libsecond.so","libthird.so"],"feature":"x","priority":"required"}]"#,
    ) + MAIN;
    let app = shop.program_from("app", &source, &["-Wl,-rpath,{}/lib"]);
    let closure = shop.agrees(&app);
    assert!(closure.missing.is_empty());
    assert_eq!(found(&closure, "libdep.so"), Some(shop.at("lib/libdep.so")));
    assert_eq!(found(&closure, "libthird.so"), None);
    let object = closure
        .objects
        .iter()
        .find(|object| object.path.ends_with("libsecond.so"))
        .unwrap();
    assert_eq!(
        object.requests[0].finding,
        Finding::DlopenNote(Some("x".to_owned()))
    );
}

#[test]
fn a_note_in_a_library_is_resolved_with_the_path_of_that_library() {
    let shop = Workshop::new();
    shop.library("plugins/libplugin.so", &[]);
    let source = note(r#"[{"soname":["libplugin.so"]}]"#);
    shop.library_from(
        "lib/liba.so",
        &source,
        &["-Wl,-soname,liba.so", "-Wl,-rpath,{}/plugins"],
    );
    let app = shop.program("app", &["{}/lib/liba.so", "-Wl,-rpath,{}/lib"]);
    let closure = shop.agrees(&app);
    assert_eq!(
        found(&closure, "libplugin.so"),
        Some(shop.at("plugins/libplugin.so"))
    );
}

#[test]
fn what_a_note_requires_is_missing_and_what_it_recommends_is_a_warning() {
    let shop = Workshop::new();
    let source = note(
        r#"[{"soname":["libneed.so"],"priority":"required"},{"soname":["libnice.so"],"priority":"recommended"}]"#,
    ) + MAIN;
    let app = shop.program_from("app", &source, &[]);
    let closure = shop.closure(&app);
    assert_eq!(closure.missing.len(), 1);
    assert_eq!(closure.missing[0].name, "libneed.so");
    assert!(
        closure
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Warning(text) if text.contains("libnice.so")))
    );
}

#[test]
fn what_a_note_suggests_is_listed_and_packed_on_request() {
    let shop = Workshop::new();
    shop.library("lib/libextra.so", &[]);
    let source =
        note(r#"[{"soname":["libextra.so"],"feature":"e","priority":"suggested"}]"#) + MAIN;
    let app = shop.program_from("app", &source, &["-Wl,-rpath,{}/lib"]);
    let closure = shop.closure(&app);
    assert_eq!(found(&closure, "libextra.so"), None);
    assert!(closure.notices.contains(&Notice::Suggested {
        sonames: vec!["libextra.so".into()],
        feature: Some("e".to_owned()),
        by: 0
    }));
    let resolver = Resolver {
        suggested: true,
        ..Resolver::default()
    };
    let roots = [Root::Program { path: app }];
    let closure = resolve(&Directory::host().unwrap(), &roots, &resolver).unwrap();
    assert_eq!(
        found(&closure, "libextra.so"),
        Some(shop.at("lib/libextra.so"))
    );
}

#[test]
fn libgcc_s_is_packed_for_a_program_that_unwinds_through_libc() {
    let shop = Workshop::new();
    let source = "#include <pthread.h>\nint main(void) { pthread_exit(0); }\n";
    let app = shop.program_from("app", source, &["-pthread"]);
    let closure = shop.agrees(&app);
    let unwinder = closure
        .objects
        .iter()
        .find(|object| object.path.ends_with("libgcc_s.so.1"))
        .unwrap();
    assert_eq!(unwinder.requests[0].finding, Finding::Libc("pthread_exit"));
    let plain = shop.program("plain", &[]);
    assert_eq!(found(&shop.agrees(&plain), "libgcc_s.so.1"), None);
}

#[test]
fn a_name_in_the_data_of_a_program_that_imports_dlopen_is_a_hint() {
    let shop = Workshop::new();
    shop.library("lib/libhint.so.2", &[]);
    let source = "extern void *dlopen(const char *, int);\n\
                  int main(void) { return !dlopen(\"libhint.so.2\", 1) + !dlopen(\"libnone.so.9\", 1); }\n";
    let app = shop.program_from("app", source, &["-Wl,-rpath,{}/lib"]);
    let closure = shop.agrees(&app);
    let hints: Vec<_> = closure
        .notices
        .iter()
        .filter(|notice| matches!(notice, Notice::Hint { .. }))
        .collect();
    assert_eq!(
        hints,
        [&Notice::Hint {
            name: "libhint.so.2".into(),
            path: shop.at("lib/libhint.so.2"),
            by: 0
        }]
    );
    let silent = "const char *name = \"libhint.so.2\"; int main(void) { return !name; }\n";
    let app = shop.program_from("silent", silent, &["-Wl,-rpath,{}/lib"]);
    assert!(shop.agrees(&app).notices.is_empty());
}

#[test]
fn a_name_is_a_hint_also_when_a_library_opens_it_for_the_program() {
    let shop = Workshop::new();
    shop.library("lib/libhint.so.2", &[]);
    shop.library_from(
        "lib/libopener.so",
        "extern void *dlopen(const char *, int);\n\
         void *module_open(const char *name) { return dlopen(name, 1); }\n",
        &["-Wl,-soname,libopener.so"],
    );
    let source = "extern void *module_open(const char *);\n\
                  int main(void) { return !module_open(\"libhint.so.2\"); }\n";
    let app = shop.program_from("app", source, &["{}/lib/libopener.so", "-Wl,-rpath,{}/lib"]);
    let notices = shop.agrees(&app).notices;
    assert!(
        matches!(&notices[..], [Notice::Hint { name, .. }] if name == "libhint.so.2"),
        "{notices:?}"
    );
}

#[test]
fn plugins_and_names_given_by_the_user_have_the_program_as_their_loader() {
    let shop = Workshop::new();
    shop.library("lib/libdep.so", &[]);
    shop.library("lib/libnamed.so", &[]);
    let plugin = shop.library("plugins/libplugin.so", &["{}/lib/libdep.so"]);
    let app = shop.program("app", &["-Wl,--disable-new-dtags", "-Wl,-rpath,{}/lib"]);
    let roots = [
        Root::Program { path: app },
        Root::Plugin {
            path: plugin.clone(),
        },
        Root::Dlopen {
            name: "libnamed.so".into(),
        },
        Root::Dlopen {
            name: "libgone.so".into(),
        },
    ];
    let closure = resolve(&Directory::host().unwrap(), &roots, &Resolver::default()).unwrap();
    assert_eq!(found(&closure, plugin.to_str().unwrap()), Some(plugin));
    assert_eq!(found(&closure, "libdep.so"), Some(shop.at("lib/libdep.so")));
    assert_eq!(
        found(&closure, "libnamed.so"),
        Some(shop.at("lib/libnamed.so"))
    );
    assert_eq!(closure.missing.len(), 1);
    assert_eq!(closure.missing[0].finding, Finding::DlopenOption);
    assert_eq!(closure.missing[0].needed_by, [0]);
}

#[test]
fn a_library_for_auditing_is_packed_with_what_it_needs() {
    let shop = Workshop::new();
    shop.library("lib/libdep.so", &[]);
    let audit = shop.library(
        "lib/libaudit1.so",
        &["{}/lib/libdep.so", "-Wl,-rpath,{}/lib"],
    );
    let flag = format!("-Wl,--audit={}", audit.display());
    let app = shop.program("app", &[&flag, "-Wl,--audit=libgone.so"]);
    let closure = shop.closure(&app);
    assert_eq!(found(&closure, "libdep.so"), Some(shop.at("lib/libdep.so")));
    assert!(closure.missing.is_empty(), "{:?}", closure.missing);
}

#[test]
fn the_same_file_in_two_processes_is_one_object_with_the_requests_of_both() {
    let shop = Workshop::new();
    let roots = ["one", "two"].map(|name| Root::Program {
        path: shop.program(name, &[]),
    });
    let closure = resolve(&Directory::host().unwrap(), &roots, &Resolver::default()).unwrap();
    let libc: Vec<_> = closure
        .objects
        .iter()
        .filter(|object| object.path.ends_with("libc.so.6"))
        .collect();
    assert_eq!(libc.len(), 1);
    assert_eq!(libc[0].requests.len(), 2);
    assert_eq!(closure.loaders.len(), 1);
}

#[test]
fn a_static_program_is_its_own_closure() {
    let shop = Workshop::new();
    for flags in [&["-static"][..], &["-static-pie"]] {
        let app = shop.program("app", flags);
        let closure = shop.closure(&app);
        assert_eq!(closure.objects.len(), 1);
        assert!(closure.loaders.is_empty() && closure.missing.is_empty());
        assert!(closure.notices.is_empty());
    }
}

#[test]
fn a_static_program_that_asks_name_services_gets_a_warning() {
    let shop = Workshop::new();
    let source = "#include <netdb.h>\nint main(void) { struct addrinfo *a; \
                  return getaddrinfo(\"localhost\", 0, 0, &a); }\n";
    let app = shop.program_from("app", source, &["-static", "-w"]);
    let closure = shop.closure(&app);
    assert!(matches!(&closure.notices[..], [Notice::Warning(text)] if text.contains("static")));
}

#[test]
fn a_missing_interpreter_is_told_with_all_else_that_is_missing() {
    let shop = Workshop::new();
    shop.library("gone/libgone.so", &[]);
    let app = shop.program(
        "app",
        &[
            "{}/gone/libgone.so",
            "-Wl,--dynamic-linker=/nowhere/ld-linux-x86-64.so.2",
        ],
    );
    let closure = shop.closure(&app);
    assert_eq!(closure.missing[0].name, "/nowhere/ld-linux-x86-64.so.2");
    assert_eq!(closure.missing[0].finding, Finding::Interpreter);
    assert!(
        closure.missing[0]
            .note
            .as_deref()
            .unwrap()
            .contains("kernel")
    );
    assert!(
        closure
            .missing
            .iter()
            .any(|missing| missing.name == "libgone.so")
    );
}

#[test]
fn a_setuid_program_whose_libraries_depend_on_origin_gets_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let shop = Workshop::new();
    shop.library("lib/libx1.so", &[]);
    let app = shop.program("app", &["{}/lib/libx1.so", "-Wl,-rpath,$ORIGIN/lib"]);
    assert!(shop.agrees(&app).notices.is_empty());
    std::fs::set_permissions(&app, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let closure = shop.closure(&app);
    assert!(matches!(&closure.notices[..], [Notice::Warning(text)] if text.contains("setuid")));
}
