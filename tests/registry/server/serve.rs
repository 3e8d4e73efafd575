//! One connection, from its first request to its last.

use std::io;
use std::net::TcpStream;

use super::fault::{Act, due};
use super::wire::{Broken, Head, Reply, Wire};
use super::{Seen, Shared, auth, routes, uploads};

pub(super) fn connection(shared: &Shared, stream: TcpStream) -> io::Result<()> {
    let mut wire = Wire::new(stream, shared.settings.tls)?;
    while let Some(head) = wire.head()? {
        let number = note(shared, &head);
        if head.method == "CONNECT" {
            // As a proxy that finds this registry under every name.
            wire.write(b"HTTP/1.1 200 Connected\r\n\r\n")?;
            continue;
        }
        if !request(shared, &mut wire, &head, number)? {
            break;
        }
    }
    Ok(())
}

/// Writes down that there was such a request.
fn note(shared: &Shared, head: &Head) -> usize {
    let mut log = shared.log.lock().unwrap();
    log.seen.push(Seen {
        method: head.method.clone(),
        target: head.target.clone(),
        headers: head.headers.clone(),
        body: 0,
        status: 0,
    });
    log.forgotten + log.seen.len() - 1
}

/// Writes down what became of it, unless it was forgotten meanwhile.
fn learn(shared: &Shared, number: usize, learn: impl FnOnce(&mut Seen)) {
    let mut log = shared.log.lock().unwrap();
    let number = number.checked_sub(log.forgotten);
    if let Some(seen) = number.and_then(|number| log.seen.get_mut(number)) {
        learn(seen);
    }
}

/// Answers; tells whether the connection goes on.
fn request(shared: &Shared, wire: &mut Wire, head: &Head, number: usize) -> io::Result<bool> {
    let act = due(
        &mut shared.faults.lock().unwrap(),
        &head.method,
        &head.target,
    );
    match &act {
        Some(Act::HangUp) => return Ok(false),
        Some(Act::Silence) => {
            wire.wait();
            return Ok(false);
        }
        Some(Act::CutUpload(most)) => {
            let body = wire.body(head, *most)?;
            learn(shared, number, |seen| seen.body = body.len() as u64);
            uploads::keep(shared, head, &body);
            return Ok(false);
        }
        _ => {}
    }
    let body = match wire.body(head, u64::MAX) {
        Ok(body) => body,
        Err(error) => {
            let broken = error.get_ref().and_then(|error| error.downcast_ref());
            if let Some(Broken(body)) = broken {
                learn(shared, number, |seen| seen.body = body.len() as u64);
                uploads::keep(shared, head, body);
            }
            return Err(error);
        }
    };
    learn(shared, number, |seen| seen.body = body.len() as u64);
    let mut reply = match &act {
        Some(Act::Answer(reply)) => reply.clone(),
        Some(Act::Redirect(to)) => {
            Reply::status(307).with("Location", format!("{to}{}", head.target))
        }
        _ => answer(shared, head, &body),
    };
    if let Some(Act::LoseAnswer) = act {
        return Ok(false);
    }
    learn(shared, number, |seen| seen.status = reply.status);
    spoil(&mut reply, act.as_ref());
    if !reply
        .headers
        .iter()
        .any(|(name, _)| name == "Content-Length")
        && reply.status != 204
    {
        let length = reply.body.len();
        reply.set("Content-Length", &length.to_string());
    }
    wire.reply_head(&reply)?;
    if head.method == "HEAD" {
        return Ok(true);
    }
    let until = |most: usize| &reply.body[..most.min(reply.body.len())];
    match act {
        Some(Act::CutAnswer(most)) => {
            wire.write(until(most))?;
            Ok(false)
        }
        Some(Act::StallAnswer(most)) => {
            wire.write(until(most))?;
            wire.wait();
            Ok(false)
        }
        Some(Act::Dribble(pause)) => wire.dribble(&reply.body, pause).map(|()| true),
        _ => wire.write(&reply.body).map(|()| true),
    }
}

fn spoil(reply: &mut Reply, act: Option<&Act>) {
    match act {
        Some(Act::Shorten(most)) => {
            reply.body.truncate(*most);
            reply.headers.retain(|(name, _)| name != "Content-Length");
        }
        Some(Act::Corrupt) => {
            let middle = reply.body.len() / 2;
            if let Some(byte) = reply.body.get_mut(middle) {
                *byte ^= 0x01;
            }
        }
        Some(Act::Header(name, value)) => reply.set(name, value),
        _ => {}
    }
}

/// What a registry without faults answers.
fn answer(shared: &Shared, head: &Head, body: &[u8]) -> Reply {
    if shared
        .settings
        .longest
        .is_some_and(|longest| body.len() as u64 > longest)
    {
        return Reply::error(413, "SIZE_INVALID", "the body is too large");
    }
    if head.path() == "/token" {
        return match &shared.settings.tokens {
            Some(service) => service.answer(head, body),
            None => Reply::error(404, "NAME_UNKNOWN", "there are no tokens here"),
        };
    }
    if let Err(refusal) = auth::check(shared, head) {
        return refusal;
    }
    if head.method == "HEAD" && !shared.settings.head {
        return Reply::error(405, "UNSUPPORTED", "HEAD is not known here");
    }
    routes::answer(shared, head, body)
}
