//! What a program asks the system about: its user, names, zones, certificates.

use crate::container::Bundle;
use crate::workshop::Workshop;

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_user_is_nonroot_with_a_name_a_group_and_a_home_it_can_write() {
    let workshop = Workshop::new();
    let program = workshop.compile(
        "gcc",
        r#"
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static int writable(const char *directory) {
    char path[64];
    snprintf(path, sizeof path, "%s/probe", directory);
    return open(path, O_CREAT | O_WRONLY, 0600) >= 0;
}
int main(void) {
    struct passwd *user = getpwuid(getuid());
    struct group *group = getgrgid(getgid());
    if (!user || !group) return 1;
    printf("%d %d %s %s %s\n", getuid(), getgid(), user->pw_name, group->gr_name, user->pw_dir);
    printf("%s %d %d %d\n", getenv("HOME"), writable(user->pw_dir), writable("/tmp"),
           writable("/etc"));
    user = getpwnam("root");
    printf("%d %s\n", user->pw_uid, user->pw_name);
    return 0;
}
"#,
        "tree/who",
        &[],
    );
    let image = workshop.build(&program, "who.oci", &[]);
    assert_eq!(image.config()["config"]["User"], "65532:65532");
    assert_eq!(
        Bundle::of(&image, &workshop).run().output(),
        "65532 65532 nonroot nonroot /home/nonroot\n/home/nonroot 1 1 0\n0 root\n"
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn another_user_and_directory_can_be_asked_for() {
    let workshop = Workshop::new();
    let program = workshop.compile(
        "gcc",
        r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void) {
    char directory[64];
    printf("%d %d %s %s\n", getuid(), getgid(), getcwd(directory, sizeof directory),
           getenv("GREETING"));
    return 0;
}
"#,
        "tree/where",
        &[],
    );
    let image = workshop.build(
        &program,
        "where.oci",
        &[
            "--user",
            "1234:4321",
            "--workdir",
            "/tmp",
            "--env",
            "GREETING=a=b c",
        ],
    );
    assert_eq!(
        Bundle::of(&image, &workshop).run().output(),
        "1234 4321 /tmp a=b c\n"
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn time_zones_are_there() {
    let workshop = Workshop::new();
    let program = workshop.compile(
        "gcc",
        r#"
#include <stdio.h>
#include <time.h>
int main(void) {
    time_t winter = 1704067200, summer = 1719792000;
    tzset();
    printf("%s", localtime(&winter)->tm_zone);
    printf(" %s\n", localtime(&summer)->tm_zone);
    return 0;
}
"#,
        "tree/zone",
        &[],
    );
    let image = workshop.build(&program, "zone.oci", &[]);
    let bundle = Bundle::of(&image, &workshop);
    assert_eq!(bundle.run().output(), "UTC UTC\n");
    assert_eq!(bundle.env("TZ=Europe/Berlin").run().output(), "CET CEST\n");
    // A name that is an alias of another.
    let bundle = Bundle::of(&image, &workshop).env("TZ=US/Pacific");
    assert_eq!(bundle.run().output(), "PST PDT\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn names_of_hosts_services_and_protocols_are_resolved() {
    let workshop = Workshop::new();
    let program = workshop.compile(
        "gcc",
        r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
int main(void) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo("localhost", "https", &hints, &found);
    if (error) { fprintf(stderr, "%s\n", gai_strerror(error)); return 1; }
    struct sockaddr_in *address = (struct sockaddr_in *)found->ai_addr;
    printf("%s %d\n", inet_ntoa(address->sin_addr), ntohs(address->sin_port));
    struct servent *service = getservbyname("https", "tcp");
    struct protoent *protocol = getprotobyname("udp");
    if (!service || !protocol) return 2;
    printf("%d %d\n", ntohs(service->s_port), protocol->p_proto);
    return 0;
}
"#,
        "tree/names",
        &[],
    );
    let image = workshop.build(&program, "names.oci", &[]);
    // Engines bind a hosts file; runc alone does not.
    let hosts = workshop.write("hosts", "127.0.0.1 localhost\n");
    assert_eq!(
        Bundle::of(&image, &workshop)
            .bind(&hosts, "/etc/hosts")
            .run()
            .output(),
        "127.0.0.1 443\n443 17\n"
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn files_belong_to_root_have_no_time_and_no_special_bits() {
    let workshop = Workshop::new();
    let program = workshop.compile("gcc", "int main(void) { return 0; }\n", "tree/quiet", &[]);
    let setuid = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
    std::fs::set_permissions(&program, setuid).unwrap();
    let outcome = workshop.try_build(&program, "quiet.oci", &[]);
    assert!(outcome.stderr.contains("setuid"), "{outcome}");
    outcome.output();
    let image = crate::image::Image::new(workshop.path("quiet.oci"), "latest");
    let mut entries = 0;
    for line in image.listings().iter().flat_map(|listing| listing.lines()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[mode, owner, _, date, time, path, ..] = fields.as_slice() else {
            panic!("{line}");
        };
        let home = path.trim_matches(['.', '/']) == "home/nonroot";
        assert_eq!(owner, if home { "65532/65532" } else { "0/0" }, "{line}");
        assert_eq!((date, time), ("1970-01-01", "00:00:00"), "{line}");
        assert!(!mode.contains(['s', 'S']), "{line}");
        entries += 1;
    }
    assert!(entries > 100, "{entries} entries");
}
