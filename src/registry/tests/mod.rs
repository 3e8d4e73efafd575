//! What one question promises, against servers that do what they should not.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod asking;
mod certificate;
mod encrypting;
mod mirroring;
mod proving;
mod receiving;
mod redirecting;
mod reply;
mod sending;
mod server;
mod token_servers;
mod tokens;

use std::io::{self, Read};
use std::num::NonZeroU32;
use std::sync::Mutex;

use reqwest::{Method, Url};

use super::credentials::{Anonymous, CredentialError, Login, Secret};
use super::exchange::{Answer, Place, Question};
use super::*;
use reply::Reply;
use server::{Seen, Server, ToTls};

/// Options that lose no time, and keep to the servers of the test.
fn options() -> Options {
    Options {
        backoff: Duration::from_millis(1),
        proxy: Proxy::Direct,
        ..Options::default()
    }
}

/// The same, for servers that stand still.
fn impatient() -> Options {
    Options {
        stall: Duration::from_secs(1),
        attempts: NonZeroU32::MIN,
        ..options()
    }
}

fn client(options: Options) -> Client {
    Client::new(options, Arc::new(Anonymous))
}

fn repository(host: &str, path: &str) -> Repository {
    Repository {
        host: host.parse().unwrap(),
        path: path.to_owned(),
    }
}

/// `GET /v2/me/app/manifests/v1`.
fn reading(repository: &Repository) -> Question<'_> {
    Question {
        method: Method::GET,
        repository,
        writes: false,
        fresh: false,
        also: None,
        place: Place::Path("manifests/v1"),
        headers: Vec::new(),
        body: Body::None,
        repeatable: true,
    }
}

/// `PUT /v2/me/app/blobs/uploads/1`.
fn writing<'a>(repository: &'a Repository, body: Body<'a>) -> Question<'a> {
    Question {
        method: Method::PUT,
        writes: true,
        place: Place::Path("blobs/uploads/1"),
        body,
        ..reading(repository)
    }
}

fn text(answer: Answer) -> String {
    io::read_to_string(answer.body).unwrap()
}

fn read(client: &Client, host: &str) -> Result<String, RegistryError> {
    let repository = repository(host, "me/app");
    client.ask(&reading(&repository)).map(text)
}

/// Knows one login for all, and what it was asked for.
#[derive(Debug)]
struct Known {
    login: Option<Login>,
    asked: Mutex<Vec<String>>,
}

impl Known {
    fn new(login: Login) -> Arc<Self> {
        Arc::new(Self {
            login: Some(login),
            asked: Mutex::default(),
        })
    }

    fn password() -> Arc<Self> {
        Self::new(Login::Password {
            username: "me".to_owned(),
            password: Secret::new("hunter2".to_owned()),
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Credentials for Known {
    fn find(&self, repository: &Repository) -> Result<Option<Login>, CredentialError> {
        self.asked.lock().unwrap().push(repository.path.clone());
        Ok(self.login.clone())
    }

    fn places(&self) -> Vec<String> {
        vec!["/home/me/.docker/config.json".to_owned()]
    }
}

/// `me:hunter2`.
const BASIC: &str = "Basic bWU6aHVudGVyMg==";
