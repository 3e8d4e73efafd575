#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::symlink;

use super::*;
use crate::sysroot::Directory;

/// A system in a directory, in which files are made as they are named.
struct System(tempfile::TempDir);

impl System {
    fn new(files: &[&str]) -> Self {
        let system = Self(tempfile::tempdir().unwrap());
        for file in files {
            let path = system.path(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        system
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn link(&self, at: &str, text: &str) {
        std::fs::create_dir_all(self.path(at).parent().unwrap()).unwrap();
        symlink(text, self.path(at)).unwrap();
    }

    fn bring(
        &self,
        files: &[(&str, Access)],
        moved: &[(&str, &str)],
        workdir: &str,
        known: &[&str],
    ) -> Result<Vec<Companions>, TraceError> {
        let profile = Profile {
            files: files
                .iter()
                .map(|(path, access)| ProfileFile {
                    path: PathBuf::from(path),
                    access: *access,
                })
                .collect(),
        };
        let moved: Vec<_> = moved
            .iter()
            .map(|(from, to)| (PathBuf::from(from), ImagePath::new(to).unwrap()))
            .collect();
        profile.companions(
            &Directory::new(self.0.path()).unwrap(),
            Path::new("/work/dir"),
            &moved,
            &ImagePath::new(workdir).unwrap(),
            &|path| known.iter().any(|known| path.as_path() == Path::new(known)),
        )
    }
}

/// What lands where: `path`, `path -> text`, `path/`.
fn told(groups: &[Companions]) -> Vec<String> {
    let files = groups.iter().flat_map(|group| &group.files);
    let mut told: Vec<String> = files
        .map(|file| match &file.entry.kind {
            EntryKind::Directory => format!("{}/", file.path),
            EntryKind::Symlink(text) => format!("{} -> {}", file.path, text.display()),
            _ => file.path.to_string(),
        })
        .collect();
    told.sort();
    told
}

use Access::{Execute, List, Read};

#[test]
fn absolute_paths_stay_and_relative_ones_land_in_the_working_directory_of_the_image() {
    let system = System::new(&[
        "/etc/app.conf",
        "/work/dir/data/x",
        "/work/up",
        "/usr/bin/tool",
    ]);
    let groups = system
        .bring(
            &[
                ("../up", Read),
                ("/etc/app.conf", Read),
                ("/usr/bin/tool", Execute),
                ("data", List),
                ("data/x", Read),
            ],
            &[],
            "/srv/run",
            &[],
        )
        .unwrap();
    assert_eq!(
        told(&groups),
        [
            "/etc/app.conf",
            "/srv/run/data/",
            "/srv/run/data/x",
            "/srv/up",
            "/usr/bin/tool",
        ]
    );
    assert!(groups.iter().all(|group| group.by == Provenance::Trace));
    assert_eq!(groups.len(), 3, "one for each way of use");
    let all = groups.iter().flat_map(|group| &group.files);
    assert!(all.clone().all(|file| file.entry.origin == Origin::Include));
    assert_eq!(missed(&groups).count(), 4, "directories are not missed");
}

#[test]
fn what_lies_below_a_moved_directory_moves_with_it_and_the_longest_name_counts() {
    let system = System::new(&["/home/u/app/a", "/home/u/app/venv/b", "/home/u/other"]);
    let groups = system
        .bring(
            &[
                ("/home/u/app/a", Read),
                ("/home/u/app/venv/b", Read),
                ("/home/u/other", Read),
            ],
            &[("/home/u/app/venv", "/opt/venv"), ("/home/u/app", "/app")],
            "/",
            &[],
        )
        .unwrap();
    assert_eq!(told(&groups), ["/app/a", "/home/u/other", "/opt/venv/b"]);
}

#[test]
fn links_come_along_and_still_lead_to_the_file_where_it_landed() {
    let system = System::new(&["/home/u/app/real/a", "/usr/lib/b"]);
    system.link("/lib", "usr/lib");
    system.link("/home/u/app/inner", "real");
    system.link("/home/u/app/outer", "../../../usr/lib/b");
    system.link("/home/u/app/absolute", "/home/u/app/real/a");
    let groups = system
        .bring(
            &[
                ("/home/u/app/absolute", Read),
                ("/home/u/app/inner/a", Read),
                ("/home/u/app/outer", Read),
                ("/lib/b", Read),
            ],
            &[("/home/u/app", "/app")],
            "/",
            &[],
        )
        .unwrap();
    assert_eq!(
        told(&groups),
        [
            "/app/absolute -> /app/real/a",
            "/app/inner -> real",
            "/app/outer -> ../../../usr/lib/b",
            "/app/real/a",
            "/lib -> usr/lib",
            "/usr/lib/b",
        ]
    );
}

#[test]
fn a_link_that_is_on_the_way_to_what_moved_stays_behind() {
    let system = System::new(&["/data/u/app/a"]);
    system.link("/home", "data");
    let groups = system
        .bring(
            &[("/home/u/app/a", Read)],
            &[("/home/u/app", "/app"), ("/data/u/app", "/app")],
            "/",
            &[],
        )
        .unwrap();
    assert_eq!(told(&groups), ["/app/a"]);
}

#[test]
fn what_is_known_does_not_come_again() {
    let system = System::new(&["/usr/lib/b", "/usr/lib/c"]);
    system.link("/lib", "usr/lib");
    let files = [("/lib/b", Read), ("/lib/c", Read)];
    let groups = system
        .bring(&files, &[], "/", &["/lib", "/usr/lib/b"])
        .unwrap();
    assert_eq!(told(&groups), ["/usr/lib/c"]);
}

#[test]
fn directories_that_a_path_climbs_out_of_come_along() {
    let system = System::new(&["/usr/lib/gcc/12/x", "/usr/lib/data"]);
    let groups = system
        .bring(&[("/usr/lib/gcc/12/../../data", Read)], &[], "/", &[])
        .unwrap();
    assert_eq!(
        told(&groups),
        [
            "/usr/",
            "/usr/lib/",
            "/usr/lib/data",
            "/usr/lib/gcc/",
            "/usr/lib/gcc/12/",
        ]
    );
}

#[test]
fn files_that_are_gone_are_named_together() {
    let system = System::new(&["/etc/a"]);
    let files = [
        ("/etc/a", Read),
        ("/etc/a/b", Read),
        ("/gone", Read),
        ("gone", Read),
    ];
    let error = system.bring(&files, &[], "/", &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "files that the traced app used are not there any more: /etc/a/b, /gone, \
         /work/dir/gone; trace the app again"
    );
}

#[test]
fn two_files_for_one_path_are_an_error_and_one_file_by_two_names_is_none() {
    let system = System::new(&["/etc/a", "/work/dir/etc/a"]);
    let files = [("/etc/a", Read), ("etc/a", Read)];
    let error = system.bring(&files, &[], "/", &[]).unwrap_err();
    assert!(matches!(error, TraceError::Collision { .. }), "{error}");
    let files = [("/work/dir/etc/a", Read), ("etc/a", Read)];
    let groups = system.bring(&files, &[], "/work/dir", &[]).unwrap();
    assert_eq!(told(&groups), ["/work/dir/etc/a"]);
}

#[test]
fn programs_and_libraries_bring_their_own_and_the_images_user_can_read_all() {
    use std::os::unix::fs::PermissionsExt;
    let system = System::new(&["/a", "/b"]);
    let elf = |kind: u8| {
        let mut head = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        head.extend([kind, 0, 62, 0]);
        head
    };
    for (name, kind) in [("/relocatable", 1), ("/library", 3)] {
        std::fs::write(system.path(name), elf(kind)).unwrap();
    }
    let mode = |path: &str, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(system.path(path), permissions).unwrap();
    };
    mode("/a", 0o600);
    mode("/b", 0o4700);
    let files = [
        ("/a", Read),
        ("/b", Execute),
        ("/library", Read),
        ("/relocatable", Read),
    ];
    let groups = system.bring(&files, &[], "/", &[]).unwrap();
    let find = |path: &str| {
        let mut files = groups.iter().flat_map(|group| &group.files);
        files
            .find(|file| file.path.as_path() == Path::new(path))
            .unwrap()
    };
    assert_eq!(find("/a").entry.mode, 0o644);
    assert_eq!(find("/b").entry.mode, 0o755);
    assert_eq!(find("/library").role, Role::Object);
    assert_eq!(find("/relocatable").role, Role::Data);
    assert_eq!(find("/a").role, Role::Data);
}
