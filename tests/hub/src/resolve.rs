//! `/resolve/`, `/resolve-cache/` and `/raw/`: one file, or a redirect to it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::access::{entry_not_found, revision_not_found};
use super::cdn::{Subject, content};
use super::http::{Body, Incoming, Reply};
use super::route::{Api, RepoCall};
use super::server::Shared;
use super::settings::{Delivery, Settings};
use super::world::{Commit, FileEntry, Storage};

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

/// Percent-encodes everything, including `/`.
pub(crate) fn escape_segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Percent-encodes everything but `/`.
pub(crate) fn escape_path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

pub(crate) fn answer(
    shared: &Shared,
    settings: &Settings,
    incoming: &Incoming,
    call: &RepoCall,
    commit: Option<&Commit>,
) -> Reply {
    let revision = call.revision.as_deref().unwrap_or("main");
    let Some(commit) = commit else {
        return revision_not_found(revision);
    };
    let Some(file) = commit.files.get(&call.path) else {
        return entry_not_found(&commit.sha);
    };
    let one = OneFile {
        shared,
        settings,
        incoming,
        call,
        commit,
        file,
    };
    match (call.api, settings.shape.delivery) {
        (Api::Raw, _) => one.raw(),
        (Api::ResolveCache, _) => one.cached(),
        _ if one.is_known_to_client() => one.describe(Reply::new(304)),
        (_, Delivery::Direct) => one.describe(one.direct()),
        (_, Delivery::Redirects) if file.is_lfs() => one.describe(one.to_cdn()),
        (_, Delivery::Redirects) => one.describe(one.to_cache()),
        (_, Delivery::Storage) if incoming.method == "HEAD" => one.describe(one.direct()),
        (_, Delivery::Storage) => one
            .describe(one.to_cdn())
            .with("Set-Cookie", "session_id=0123456789abcdef; Path=/"),
    }
}

struct OneFile<'a> {
    shared: &'a Shared,
    settings: &'a Settings,
    incoming: &'a Incoming,
    call: &'a RepoCall,
    commit: &'a Commit,
    file: &'a FileEntry,
}

impl OneFile<'_> {
    fn is_known_to_client(&self) -> bool {
        let bare = |etag: &str| {
            etag.trim()
                .trim_start_matches("W/")
                .trim_matches('"')
                .to_owned()
        };
        let asked = self.incoming.header("if-none-match");
        asked.is_some_and(|etags| etags.split(',').any(|etag| bare(etag) == self.file.etag()))
    }

    /// Adds the headers that describe the file.
    fn describe(&self, reply: Reply) -> Reply {
        let style = self.settings.shape.etag;
        let etag = style.render(self.file.etag());
        let mut reply = reply.with("X-Repo-Commit", &*self.commit.sha);
        if self.settings.shape.linked_headers {
            reply.set_header("X-Linked-ETag", &*etag);
            if self.file.is_lfs() || self.settings.shape.delivery == Delivery::Storage {
                reply.set_header("X-Linked-Size", self.file.content.len().to_string());
            }
        }
        // A redirect to the CDN has an etag of its own, different from the content's.
        if reply.status == 302 {
            reply.set_header("ETag", style.render(&self.file.oid()));
        } else {
            reply.set_header("ETag", etag);
        }
        if let Storage::Xet(hash) = &self.file.storage {
            let cas = self
                .settings
                .xet
                .as_ref()
                .map_or("https://cas.invalid", |xet| &xet.cas_url);
            let token = format!(
                "{}{}/xet-read-token/{}",
                self.shared.origin(self.settings),
                self.call.key.api_path(),
                self.commit.sha
            );
            reply.set_header("X-Xet-Hash", hash.as_str());
            reply.set_header(
                "Link",
                format!(
                    "<{token}>; rel=\"xet-auth\", \
                     <{cas}/v1/reconstructions/{hash}>; rel=\"xet-reconstruction-info\""
                ),
            );
        }
        reply
    }

    fn to_cdn(&self) -> Reply {
        let subject = Subject {
            key: &self.call.key,
            commit: &self.commit.sha,
            path: &self.call.path,
            file: self.file,
        };
        let range = self.incoming.header("range");
        let target = self.shared.links.sign(&subject, range, self.settings);
        let location = format!("{}{target}", self.shared.cdn_origin());
        Reply::text(302, format!("Found. Redirecting to {location}"))
            .with("Location", location)
            .with("Accept-Ranges", "bytes")
            .with("Vary", "Origin, Accept")
    }

    fn to_cache(&self) -> Reply {
        let (key, path) = (&self.call.key, escape_path(&self.call.path));
        let location = format!(
            "{}/api/resolve-cache/{}/{}/{}/{path}?{}=&etag=%22{}%22",
            self.shared.prefix,
            key.kind.plural(),
            key.id,
            self.commit.sha,
            escape_segment(self.incoming.raw_path()),
            self.file.etag()
        );
        Reply::text(
            307,
            format!("Temporary Redirect. Redirecting to {location}"),
        )
        .with("Location", location)
        .with("Accept-Ranges", "bytes")
    }

    fn direct(&self) -> Reply {
        let mut reply = content(self.incoming, self.file, self.settings.shape.ranges);
        reply.chunked = !self.settings.shape.content_length;
        reply.with("Content-Type", self.content_type())
    }

    fn cached(&self) -> Reply {
        let style = self.settings.shape.etag;
        let reply = if self.is_known_to_client() {
            Reply::new(304)
        } else if self.settings.gzip && self.is_text() && self.accepts_gzip() {
            return self.compressed();
        } else {
            self.direct()
        };
        reply
            .with("X-Repo-Commit", &*self.commit.sha)
            .with("ETag", style.render(self.file.etag()))
    }

    fn compressed(&self) -> Reply {
        let Ok(bytes) = self.file.content.to_vec() else {
            return Reply::text(500, "unreadable");
        };
        let mut reply = Reply::new(200)
            .with("Content-Type", self.content_type())
            .with("Content-Encoding", "gzip")
            .with("X-Repo-Commit", &*self.commit.sha)
            .with("ETag", format!("W/\"{}\"", self.file.etag()))
            .body(Body::Bytes(super::gzip::stored(&bytes)));
        reply.chunked = true;
        reply
    }

    fn raw(&self) -> Reply {
        let bytes = match self.file.storage {
            Storage::Git => self.file.content.to_vec().unwrap_or_default(),
            _ => self.file.content.lfs_pointer().into_bytes(),
        };
        Reply::new(200)
            .with("Content-Type", "text/plain; charset=utf-8")
            .with("X-Repo-Commit", &*self.commit.sha)
            .body(Body::Bytes(bytes))
    }

    fn accepts_gzip(&self) -> bool {
        self.incoming
            .header("accept-encoding")
            .is_some_and(|value| value.contains("gzip"))
    }

    fn is_text(&self) -> bool {
        self.content_type().starts_with("text/") && self.file.content.len() > 0
    }

    fn content_type(&self) -> &'static str {
        match self.call.path.rsplit('.').next() {
            Some("json" | "txt" | "md" | "py" | "jinja" | "yaml" | "csv" | "gitattributes") => {
                "text/plain; charset=utf-8"
            }
            _ => "application/octet-stream",
        }
    }
}

/// Returns the answer of `xet-read-token`.
pub(crate) fn xet_read_token(settings: &Settings) -> Reply {
    let Some(xet) = &settings.xet else {
        return super::access::error(404, None, "Xet is not enabled");
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let expires = (now.unwrap_or_default() + xet.lifetime).as_secs();
    let body = json!({"casUrl": xet.cas_url, "exp": expires, "accessToken": xet.access_token});
    Reply::json(200, &body)
        .with("X-Xet-Cas-Url", &*xet.cas_url)
        .with("X-Xet-Access-Token", &*xet.access_token)
        .with("X-Xet-Token-Expiration", expires.to_string())
}
