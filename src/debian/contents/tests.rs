#![allow(clippy::unwrap_used)]

use super::*;

const CONTENTS: &str = "\
FILE                                                    LOCATION
bin/ls                                                  utils/coreutils
etc/libz.so.1                                           misc/trap
lib/i386-linux-gnu/libz.so.1                            libs/zlib1g
lib/x86_64-linux-gnu/libz.so.1                          libs/zlib1g
lib64/ld-linux-x86-64.so.2\tlibs/libc6
opt/lib/libz.so.1                                       misc/trap
usr/bin/a b                                             non-free/utils/blank,utils/another-dev,utils/another
usr/lib/debug/lib/x86_64-linux-gnu/libz.so.1            debug/zlib1g-dbg
usr/lib/gcc/x86_64-linux-gnu/12/32/libgcc_s.so.1        libdevel/lib32gcc-12-dev
usr/lib/gcc/x86_64-linux-gnu/12/libgcc_s.so.1           libdevel/libgcc-12-dev
usr/lib/libz.so.1                                       misc/plain
usr/lib/x86_64-linux-gnu/a/libz.so.1                    libs/deeper
usr/lib/x86_64-linux-gnu/libgcc_s.so.1                  libs/libgcc-s1
usr/lib/x86_64-linux-gnu/libz.so                        libdevel/zlib1g-dev
usr/lib/x86_64-linux-gnu/libz.so.1.3                    libs/zlib1g
usr/lib32/libz.so.1                                     libs/lib32z1
usr/libx32/libz.so.1                                    libs/libx32z1
usr/share/zz/x86_64-linux-gnu/libz.so.1                 misc/trap
";

fn find(text: &str, names: &[&str], architecture: Architecture) -> Vec<String> {
    let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    let found = find_in_contents(text.as_bytes(), &names, architecture).unwrap();
    found
        .iter()
        .map(|it| format!("{} {} {}", it.wanted, it.path, it.packages.join("+")))
        .collect()
}

#[test]
fn a_library_is_found_where_the_architecture_has_it_and_nowhere_else() {
    assert_eq!(
        find(CONTENTS, &["libz.so.1"], Architecture::Amd64),
        [
            "libz.so.1 /lib/x86_64-linux-gnu/libz.so.1 zlib1g",
            "libz.so.1 /usr/lib/libz.so.1 plain",
            "libz.so.1 /usr/lib/x86_64-linux-gnu/a/libz.so.1 deeper",
        ]
    );
    assert_eq!(
        find(
            CONTENTS,
            &["libz.so.1", "ld-linux-x86-64.so.2"],
            Architecture::I386
        ),
        [
            "libz.so.1 /lib/i386-linux-gnu/libz.so.1 zlib1g",
            "libz.so.1 /usr/lib/libz.so.1 plain"
        ]
    );
}

#[test]
fn names_come_in_the_order_asked_and_development_packages_last() {
    assert_eq!(
        find(
            CONTENTS,
            &[
                "libz.so",
                "libgcc_s.so.1",
                "libabsent.so",
                "ld-linux-x86-64.so.2"
            ],
            Architecture::Amd64
        ),
        [
            "libz.so /usr/lib/x86_64-linux-gnu/libz.so zlib1g-dev",
            "libgcc_s.so.1 /usr/lib/x86_64-linux-gnu/libgcc_s.so.1 libgcc-s1",
            "libgcc_s.so.1 /usr/lib/gcc/x86_64-linux-gnu/12/libgcc_s.so.1 libgcc-12-dev",
            "ld-linux-x86-64.so.2 /lib64/ld-linux-x86-64.so.2 libc6",
        ]
    );
}

#[test]
fn a_path_is_found_on_both_sides_of_usr_merge() {
    for asked in ["/bin/ls", "/usr/bin/ls", "usr/bin/ls"] {
        assert_eq!(
            find(CONTENTS, &[asked], Architecture::Arm64),
            [format!("{asked} /bin/ls coreutils")]
        );
    }
    assert_eq!(
        find(
            CONTENTS,
            &[
                "/usr/bin/a b",
                "/share/zz/x86_64-linux-gnu/libz.so.1",
                "/ls"
            ],
            Architecture::Amd64
        ),
        ["/usr/bin/a b /usr/bin/a b another+blank+another-dev"]
    );
}

/// Gives its bytes by few at a time.
struct Drops<'a>(&'a [u8], usize);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.1.min(buffer.len());
        self.0.read(&mut buffer[..size])
    }
}

#[test]
fn however_the_bytes_arrive_the_result_is_the_same() {
    let padding = "usr/share/doc/x/some-file-of-a-package                   misc/x\n".repeat(9_000);
    let text = format!("{padding}{CONTENTS}{padding}usr/lib/libz.so.1 misc/last");
    let names = ["libz.so.1".to_owned()];
    let read =
        |step| find_in_contents(Drops(text.as_bytes(), step), &names, Architecture::Amd64).unwrap();
    let whole = read(usize::MAX);
    assert_eq!(whole.len(), 4);
    for step in [1_000, 4_097, BLOCK - 1, BLOCK + 1] {
        assert_eq!(read(step), whole, "{step}");
    }
}

#[test]
fn a_line_without_end_and_files_without_end_are_refused() {
    let names = ["liba.so".to_owned()];
    let long = format!("bin/a x/a\n{}", "x".repeat(LINE_LIMIT + 2 * BLOCK));
    let error = find_in_contents(long.as_bytes(), &names, Architecture::Amd64).unwrap_err();
    assert!(matches!(error, ContentsError::Line { line: 2 }), "{error}");
    let many = "usr/lib/liba.so a/a\n".repeat(FOUND_LIMIT + 1);
    let error = find_in_contents(many.as_bytes(), &names, Architecture::Amd64).unwrap_err();
    assert!(matches!(error, ContentsError::TooMany), "{error}");
}

#[test]
fn a_reader_that_fails_is_told() {
    let mut whole = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut whole, CONTENTS.as_bytes()).unwrap();
    let whole = whole.finish().unwrap();
    let cut = flate2::read::GzDecoder::new(&whole[..whole.len() / 2]);
    let error = find_in_contents(cut, &["x".to_owned()], Architecture::Amd64).unwrap_err();
    assert!(error.to_string().contains("download it again"), "{error}");
}

#[test]
fn bytes_of_any_kind_do_no_harm() {
    use proptest::prelude::*;
    proptest!(|(bytes in prop::collection::vec(prop::sample::select(b"usr/lib64 .-,\n\t\xff".to_vec()), 0..80))| {
        let names = ["lib".to_owned(), "/lib/s".to_owned(), String::new(), "/".to_owned()];
        let found = find_in_contents(bytes.as_slice(), &names, Architecture::Amd64).unwrap();
        for file in found {
            prop_assert!(names.contains(&file.wanted) && file.path.starts_with('/'));
        }
    });
}
