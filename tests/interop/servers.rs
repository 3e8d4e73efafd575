//! A server serves.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::container::{Bundle, open_to_all};
use crate::workshop::{Workshop, installed};

/// Every path that nginx has compiled in is set to one that an unprivileged user can write. It
/// listens on a socket in a bound directory, as the container has no network.
const CONFIGURATION: &str = "\
error_log stderr;
pid /tmp/nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    gzip on;
    server {
        listen unix:/run/web/socket;
        root /srv/web;
        rewrite ^/old$ /page.html;
    }
}
";

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn nginx_serves_a_page() {
    let workshop = Workshop::new();
    let sockets = workshop.directory("sockets");
    open_to_all(&sockets);
    let configuration = workshop.write("nginx.conf", CONFIGURATION);
    let page = workshop.write("web/page.html", "<p>served from a container</p>\n");
    let image = workshop.build(
        installed("nginx"),
        "nginx.oci",
        &[
            "--include",
            &format!("{}:/etc/nginx/nginx.conf", configuration.display()),
            "--include",
            &format!("{}:/srv/web/page.html", page.display()),
            "--",
            "-e",
            "stderr",
            "-g",
            "daemon off;",
        ],
    );
    let mut server = Bundle::of(&image, &workshop)
        .bind(&sockets, "/run/web")
        .start();

    let deadline = Instant::now() + Duration::from_secs(60);
    let mut connection = loop {
        match UnixStream::connect(sockets.join("socket")) {
            Ok(connection) => break connection,
            Err(error) => assert!(
                !server.has_ended() && Instant::now() < deadline,
                "{error}\n{}",
                server.log()
            ),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    connection
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    connection
        .write_all(b"GET /old HTTP/1.0\r\nHost: here\r\n\r\n")
        .unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    assert!(
        response.starts_with("HTTP/1.1 200 OK\r\nServer: nginx"),
        "{response}\n{}",
        server.log()
    );
    assert!(
        response.ends_with("\r\n\r\n<p>served from a container</p>\n"),
        "{response}"
    );
}
