//! The second host: content behind signed links.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::content::{Content, sha1_hex, sha256_hex};
use super::http::{Body, Incoming, RangeAsked, Reply};
use super::resolve::escape_path;
use super::server::lock;
use super::settings::Settings;
use super::world::{FileEntry, RepoKey};

/// All links issued so far.
#[derive(Default)]
pub(crate) struct Links {
    files: Mutex<HashMap<String, Link>>,
    xorbs: Mutex<HashMap<String, XorbLink>>,
}

/// A link to some runs of chunks; each run needs exactly its own `Range`.
struct XorbLink {
    target: String,
    content: Content,
    ranges: Vec<(u64, u64)>,
    expires: Instant,
    uses_left: Option<u32>,
}

struct Link {
    target: String,
    repo: String,
    commit: String,
    path: String,
    file: FileEntry,
    range: Option<String>,
    expires: Instant,
    uses_left: Option<u32>,
}

/// The object of a link.
pub(crate) struct Subject<'s> {
    pub(crate) key: &'s RepoKey,
    pub(crate) commit: &'s str,
    pub(crate) path: &'s str,
    pub(crate) file: &'s FileEntry,
}

impl Links {
    /// Returns path and query of a new signed link.
    pub(crate) fn sign(
        &self,
        subject: &Subject<'_>,
        range: Option<&str>,
        settings: &Settings,
    ) -> String {
        let mut links = self.links();
        let signature = format!(
            "{}~{}",
            sha1_hex(format!("{} {}", links.len(), subject.path).as_bytes()),
            links.len()
        );
        let lifetime = settings.link_lifetime.as_secs();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let name = subject.path.rsplit('/').next().unwrap_or_default();
        // As many characters that a client might re-encode as in the links of the real CDN.
        let target = format!(
            "/xet-bridge-us/{}/{}?X-Xet-Cas-Uid=public&response-content-disposition=inline%3B+\
             filename*%3DUTF-8%27%27{name}%3B+filename%3D%22{name}%22%3B&x-id=GetObject&Expires={}\
             &Policy=eyJTdGF0ZW1lbnQiOlt7%7D&Signature={signature}&Key-Pair-Id=K2L8F4GPSG1IFC",
            &sha1_hex(subject.key.web_path().as_bytes())[..24],
            sha256_hex(subject.file.cdn_etag().as_bytes()),
            now.as_secs() + lifetime,
            name = escape_path(name),
        );
        let link = Link {
            target: target.clone(),
            repo: subject.key.web_path(),
            commit: subject.commit.to_owned(),
            path: subject.path.to_owned(),
            file: subject.file.clone(),
            range: range.filter(|_| settings.bind_range).map(str::to_owned),
            expires: Instant::now() + settings.link_lifetime,
            uses_left: settings.link_uses,
        };
        links.insert(signature, link);
        target
    }

    /// Returns repository, commit and path of a link, to label the request.
    pub(crate) fn subject(&self, target: &str) -> Option<(String, String, String)> {
        let links = self.links();
        let link = links.get(signature(target)?)?;
        Some((link.repo.clone(), link.commit.clone(), link.path.clone()))
    }

    /// Marks all links issued so far as expired.
    pub(crate) fn expire(&self) {
        for link in self.links().values_mut() {
            link.uses_left = Some(0);
        }
        for link in lock(&self.xorbs).values_mut() {
            link.uses_left = Some(0);
        }
    }

    /// Returns path and query of a new signed link to parts of a xorb.
    pub(crate) fn sign_xorb(
        &self,
        name: &str,
        content: &Content,
        ranges: &[(u64, u64)],
        settings: &Settings,
    ) -> String {
        let mut links = lock(&self.xorbs);
        let signature = format!("{}~{}", sha1_hex(name.as_bytes()), links.len());
        let signed: Vec<String> = ranges.iter().map(|(a, b)| format!("{a}-{b}")).collect();
        let target = format!(
            "/xorbs/default/{name}?X-Xet-Signed-Range=bytes%3D{}&Policy=eyJTdGF0ZW1lbnQiOlt7%7D\
             &Signature={signature}&Key-Pair-Id=K2L8F4GPSG1IFC",
            signed.join("%2C")
        );
        let link = XorbLink {
            target: target.clone(),
            content: content.clone(),
            ranges: ranges.to_vec(),
            expires: Instant::now() + settings.link_lifetime,
            uses_left: settings.link_uses,
        };
        links.insert(signature, link);
        target
    }

    /// Sends the chunks of a link; the `Range` must be exactly one of the signed ranges.
    pub(crate) fn answer_xorb(&self, incoming: &Incoming) -> Reply {
        if incoming.header("authorization").is_some() {
            return refused(400, "InvalidArgument", "Only one auth mechanism allowed");
        }
        let mut links = lock(&self.xorbs);
        let link = signature(&incoming.target).and_then(|signature| links.get_mut(signature));
        let Some(link) = link.filter(|link| link.target == incoming.target) else {
            return refused(403, "SignatureDoesNotMatch", "the query was changed");
        };
        if link.expires <= Instant::now() || link.uses_left == Some(0) {
            return expired();
        }
        let header = incoming.header("range").unwrap_or_default();
        let signed = |(first, last): &&(u64, u64)| header == format!("bytes={first}-{last}");
        let Some(&(first, last)) = link.ranges.iter().find(signed) else {
            return Reply::text(403, "Auth failed: invalid range");
        };
        if let Some(uses) = &mut link.uses_left {
            *uses -= 1;
        }
        let body = Body::Part {
            content: link.content.clone(),
            start: first,
            len: last - first + 1,
        };
        Reply::new(206)
            .with("Content-Type", "application/octet-stream")
            .with(
                "Content-Range",
                format!("bytes {first}-{last}/{}", link.content.len()),
            )
            .body(body)
    }

    pub(crate) fn answer(&self, incoming: &Incoming, settings: &Settings) -> Reply {
        if incoming.header("authorization").is_some() {
            return refused(400, "InvalidArgument", "Only one auth mechanism allowed");
        }
        let mut links = self.links();
        let link = signature(&incoming.target).and_then(|signature| links.get_mut(signature));
        let Some(link) = link else {
            return refused(403, "SignatureError", "invalid key pair id");
        };
        if link.target != incoming.target {
            return refused(403, "SignatureDoesNotMatch", "the query was changed");
        }
        if link.expires <= Instant::now() || link.uses_left == Some(0) {
            return expired();
        }
        let range = incoming.header("range");
        if link.range.is_some() && link.range.as_deref() != range {
            return Reply::text(403, "Auth failed: invalid range");
        }
        let too_large = settings
            .unranged_limit
            .is_some_and(|max| link.file.content.len() > max);
        if range.is_none() && too_large {
            return refused(
                400,
                "BadRequest",
                "the file is too large for a request without range",
            );
        }
        if let Some(uses) = &mut link.uses_left {
            *uses -= 1;
        }
        let file = link.file.clone();
        drop(links);
        content(incoming, &file, settings.shape.ranges)
            .with("Content-Type", "application/octet-stream")
            .with("ETag", format!("\"{}\"", file.cdn_etag()))
    }

    fn links(&self) -> MutexGuard<'_, HashMap<String, Link>> {
        lock(&self.files)
    }
}

/// Returns the bytes of a file, or the requested range.
pub(crate) fn content(incoming: &Incoming, file: &FileEntry, ranges: bool) -> Reply {
    let size = file.content.len();
    let part = |start, len| Body::Part {
        content: file.content.clone(),
        start,
        len,
    };
    if !ranges {
        return Reply::new(200).body(part(0, size));
    }
    let reply = match incoming.header("range").and_then(RangeAsked::parse) {
        None => Reply::new(200).body(part(0, size)),
        Some(range) => match range.within(size) {
            Some((start, len)) => Reply::new(206)
                .with(
                    "Content-Range",
                    format!("bytes {start}-{}/{size}", start + len - 1),
                )
                .body(part(start, len)),
            None => {
                let reply = Reply::text(416, "Range Not Satisfiable");
                reply.with("Content-Range", format!("bytes */{size}"))
            }
        },
    };
    reply.with("Accept-Ranges", "bytes")
}

/// Returns the CDN's answer for an expired link.
pub(crate) fn expired() -> Reply {
    refused(403, "AccessDenied", "Access denied")
}

fn refused(status: u16, code: &str, message: &str) -> Reply {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code>\
         <Message>{message}</Message></Error>"
    );
    Reply::new(status)
        .with("Content-Type", "application/xml")
        .body(Body::Bytes(xml.into_bytes()))
}

fn signature(target: &str) -> Option<&str> {
    let (_, rest) = target.split_once("Signature=")?;
    rest.split('&').next()
}
