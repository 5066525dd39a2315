//! The hub's own requests under `/__hub__/`: publish, faults, a slow line, the list of requests.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::faults::{Action, Fault, Faults, Hint, On};
use super::http::{Incoming, Reply, form_pairs};
use super::record::RequestLog;
use super::server::lock;
use super::world::World;

pub(crate) const PREFIX: &str = "/__hub__/";

/// The action of a publish request; its text is the answer.
pub(crate) type Publisher = dyn Fn() -> Result<String, String> + Send + Sync;

const USAGE: &str = "\
POST /__hub__/publish                    publish a new revision
POST /__hub__/fault?KIND[&file=F][&times=N]
                                         make requests fail; KIND is one of
       slow=BYTES                        file contents come at so many bytes per second
       cut=BYTES                         the connection closes after so many bytes
       stall=BYTES                       nothing comes after so many bytes
       flip=OFFSET                       the byte at this offset is wrong
       status=CODE                       the answer is this error status
       rate-limit=SECONDS                the answer is 429 with this `Retry-After`
       expired                           the links of the CDN have expired
       reset                             the connection is reset before an answer
POST /__hub__/heal                       end all faults
POST /__hub__/login?access=T&refresh=R   make a login valid
POST /__hub__/forget?commit=SHA          remove a commit, as after a rewritten history
GET  /__hub__/requests                   list the requests so far
";

pub(crate) fn answer(
    incoming: &Incoming,
    requests: &RequestLog,
    faults: &Faults,
    publisher: &Mutex<Option<Arc<Publisher>>>,
) -> Reply {
    let command = incoming.raw_path().strip_prefix(PREFIX).unwrap_or_default();
    match (incoming.method.as_str(), command) {
        ("GET", "requests") => Reply::text(200, requests.as_text()),
        ("POST", "publish") => {
            let publisher = lock(publisher).clone();
            match publisher.map(|publish| publish()) {
                Some(Ok(text)) => Reply::text(200, text),
                Some(Err(text)) => Reply::text(500, text),
                None => Reply::text(404, "this hub has no source to publish from\n"),
            }
        }
        ("POST", "fault") => match parse_fault(incoming.raw_query()) {
            Ok((on, fault)) => {
                faults.add(on, Action::Fault(fault));
                Reply::text(200, "the fault is active; POST /__hub__/heal ends it\n")
            }
            Err(message) => Reply::text(400, format!("{message}\n\n{USAGE}")),
        },
        ("POST", "heal") => {
            faults.clear();
            faults.release();
            Reply::text(200, "no faults are active\n")
        }
        _ => Reply::text(405, USAGE),
    }
}

/// Makes a login valid.
pub(crate) fn log_in(world: &mut World, query: &str) -> Reply {
    let pairs = form_pairs(query);
    let value = |name: &str| {
        let found = pairs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    world.tokens.insert(value("access"), BTreeSet::new());
    world.logins.insert(value("refresh"), BTreeSet::new());
    Reply::text(200, "the login is valid\n")
}

/// Removes a commit from every repository.
pub(crate) fn forget(world: &mut World, query: &str) -> Reply {
    let pairs = form_pairs(query);
    let commits = pairs.iter().filter(|(key, _)| key == "commit");
    for (_, commit) in commits {
        for repo in world.repos.values_mut() {
            repo.commits.remove(commit);
        }
    }
    Reply::text(200, "the commit is gone\n")
}

/// Parses the query of a fault request.
fn parse_fault(query: &str) -> Result<(On, Fault), String> {
    let (mut kind, mut file, mut times) = (None, None, None);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "file" => file = Some(value),
            "times" => times = Some(number(name, value)?),
            _ if kind.is_none() => kind = Some((name, value)),
            _ => return Err(format!("`{name}` is a second kind of fault")),
        }
    }
    let (name, value) = kind.ok_or("the kind of fault is missing")?;
    let fault = match name {
        "slow" => slow(number(name, value)?),
        "cut" => Fault::CutAfter(number(name, value)?),
        "stall" => Fault::StallAfter(number(name, value)?),
        "flip" => Fault::FlipByteAt(number(name, value)?),
        "status" => Fault::Status(number(name, value)?),
        "rate-limit" => Fault::TooManyRequests(Hint::RetryAfter(number(name, value)?)),
        "expired" => Fault::Expired,
        "reset" => Fault::Reset,
        _ => return Err(format!("`{name}` is no kind of fault")),
    };
    let on = match (&fault, file) {
        (Fault::Status(_) | Fault::TooManyRequests(_) | Fault::Reset, None) => On::any(),
        (_, None) => On::any_content(),
        (_, Some(file)) => On::content(file),
    };
    Ok((times.map_or(on.clone(), |times| on.times(times)), fault))
}

/// Sends contents in small pieces, so that the rate is even.
fn slow(bytes_per_second: u64) -> Fault {
    const PIECES_PER_SECOND: u64 = 20;
    let piece = (bytes_per_second / PIECES_PER_SECOND).max(1);
    Fault::Trickle(
        piece as usize,
        Duration::from_secs(1) / PIECES_PER_SECOND as u32,
    )
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    let parsed = value.parse();
    parsed.map_err(|_| format!("`{name}={value}` needs a number"))
}
