//! Symbol versions.

use distrobuild::elf::Notice;

use crate::workshop::{Workshop, oracle};

/// A program linked against `lib/libv.so` with version `V_2`, which is then replaced.
fn program(shop: &Workshop, flags: &[&str]) -> std::path::PathBuf {
    std::fs::write(shop.at("two.map"), "V_1 { };\nV_2 { global: f; } V_1;\n").unwrap();
    std::fs::write(shop.at("one.map"), "V_1 { global: f; };\n").unwrap();
    library(shop, &["-Wl,--version-script,{}/two.map"]);
    shop.program_from(
        "app",
        "extern int f(void); int main(void) { return f(); }\n",
        &[&["{}/lib/libv.so", "-Wl,-rpath,{}/lib"], flags].concat(),
    )
}

fn library(shop: &Workshop, flags: &[&str]) {
    shop.library_from(
        "lib/libv.so",
        "int f(void) { return 0; }\n",
        &[&["-Wl,-soname,libv.so"], flags].concat(),
    );
}

#[test]
fn a_version_that_is_defined_is_met() {
    let shop = Workshop::new();
    let app = program(&shop, &[]);
    let closure = shop.agrees(&app);
    assert!(closure.unmet_versions.is_empty());
}

#[test]
fn a_version_that_is_not_defined_is_unmet() {
    let shop = Workshop::new();
    let app = program(&shop, &[]);
    library(&shop, &["-Wl,--version-script,{}/one.map"]);
    assert!(
        std::process::Command::new(&app)
            .output()
            .unwrap()
            .status
            .code()
            == Some(1)
    );
    let closure = shop.closure(&app);
    assert_eq!(closure.unmet_versions.len(), 1);
    let unmet = &closure.unmet_versions[0];
    assert_eq!(unmet.version, "V_2");
    assert_eq!(unmet.required_by, 0);
    assert!(closure.objects[unmet.provider].path.ends_with("libv.so"));
}

#[test]
fn a_library_without_any_version_gives_a_warning() {
    let shop = Workshop::new();
    let app = program(&shop, &[]);
    library(&shop, &[]);
    assert_eq!(oracle(&app, "").1, None);
    let closure = shop.closure(&app);
    assert!(closure.unmet_versions.is_empty());
    assert!(closure.notices.iter().any(
        |notice| matches!(notice, Notice::Warning(text) if text.contains("no version information"))
    ));
}

#[test]
fn a_weak_version_need_may_be_unmet() {
    let shop = Workshop::new();
    let app = shop.program_from(
        "app",
        "extern int f(void) __attribute__((weak)); int main(void) { return f ? f() : 0; }\n",
        &["-pie"],
    );
    // Binutils marks a need as weak when all its symbols are weak.
    let closure = shop.agrees(&app);
    assert!(closure.unmet_versions.is_empty());
    let app = {
        std::fs::write(shop.at("two.map"), "V_1 { };\nV_2 { global: f; } V_1;\n").unwrap();
        std::fs::write(shop.at("one.map"), "V_1 { global: f; };\n").unwrap();
        library(&shop, &["-Wl,--version-script,{}/two.map"]);
        shop.program_from(
            "weak",
            "extern int f(void) __attribute__((weak)); int main(void) { return f ? f() : 0; }\n",
            &["{}/lib/libv.so", "-Wl,-rpath,{}/lib"],
        )
    };
    library(&shop, &["-Wl,--version-script,{}/one.map"]);
    let closure = shop.closure(&app);
    let runs = std::process::Command::new(&app).output().unwrap();
    let starts = !String::from_utf8_lossy(&runs.stderr).contains("not found");
    assert_eq!(closure.unmet_versions.is_empty(), starts);
}
