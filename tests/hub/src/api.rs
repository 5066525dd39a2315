//! JSON answers below `/api/`.

use serde_json::{Map, Value, json};

use super::access::{Caller, error, revision_not_found};
use super::http::{Incoming, Reply, form_pairs};
use super::repos::Gate;
use super::resolve::escape_segment;
use super::route::{Api, RepoCall};
use super::server::Shared;
use super::settings::Settings;
use super::world::{Commit, FileEntry, Listed, RepoState, Storage};

/// Page size with `expand=true`, which makes each entry expensive.
const EXPANDED_PAGE: usize = 50;

/// An API call for one repository that the caller may see.
pub(crate) struct ApiCall<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) settings: &'a Settings,
    pub(crate) incoming: &'a Incoming,
    pub(crate) call: &'a RepoCall,
    pub(crate) repo: &'a RepoState,
    /// Whether the caller may read content; otherwise Xet hashes are hidden.
    pub(crate) may_read: bool,
}

impl ApiCall<'_> {
    pub(crate) fn answer(&self) -> Reply {
        let revision = self.call.revision.as_deref().unwrap_or("main");
        let commit = self.repo.find(revision);
        match (self.call.api, commit) {
            (Api::AuthCheck, _) => Reply::text(200, "OK"),
            (Api::Refs, _) => self.refs(),
            (_, None) => revision_not_found(revision),
            (Api::Info, Some(commit)) => self.info(&commit),
            (Api::Tree, Some(commit)) => self.tree(&commit),
            (Api::Commits, Some(commit)) => self.commits(&commit),
            (Api::PathsInfo, Some(commit)) => self.paths_info(&commit),
            (Api::XetReadToken, Some(_)) => super::resolve::xet_read_token(self.settings),
            _ => error(404, None, "Not found"),
        }
    }

    fn info(&self, commit: &Commit) -> Reply {
        if self.settings.shape.info_needs_revision && self.call.revision.is_none() {
            return error(401, None, "Invalid username or password.");
        }
        let blobs = self.has_flag("blobs");
        let siblings: Vec<Value> = commit
            .files
            .iter()
            .map(|(path, file)| sibling(path, file, blobs))
            .collect();
        let id = &self.call.key.id;
        let mut info = json!({
            "_id": &super::content::sha1_hex(id.as_bytes())[..24],
            "id": id,
            "modelId": id,
            "author": id.split('/').next(),
            "sha": commit.sha,
            "lastModified": commit.date,
            "createdAt": "2026-01-01T00:00:00.000Z",
            "private": self.repo.access.private,
            "gated": match self.repo.access.gated {
                None => json!(false),
                Some(Gate::Auto) => json!("auto"),
                Some(Gate::Manual) => json!("manual"),
            },
            "disabled": self.repo.access.disabled,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "usedStorage": commit.files.values().map(|file| file.content.len()).sum::<u64>(),
            "siblings": siblings,
        });
        if let Some(licence) = &self.repo.licence {
            info["cardData"] = json!({ "license": licence });
        }
        if self.has_flag("securityStatus") {
            let issues = self.repo.issues.iter();
            let issues = issues.map(|(path, level)| json!({"path": path, "level": level}));
            let issues: Vec<Value> = issues.collect();
            info["securityRepoStatus"] = json!({"scansDone": true, "filesWithIssues": issues});
        }
        let fields: Vec<String> = form_pairs(self.incoming.raw_query())
            .into_iter()
            .filter_map(|(key, value)| (key.trim_end_matches("[]") == "expand").then_some(value))
            .collect();
        if let (false, Some(map)) = (fields.is_empty(), info.as_object_mut()) {
            map.retain(|key, _| key == "_id" || key == "id" || fields.contains(key));
        }
        Reply::json(200, &info)
    }

    fn tree(&self, commit: &Commit) -> Reply {
        let raw_path = self.incoming.raw_path();
        if self.settings.shape.tree_slash_redirect && !raw_path.ends_with('/') {
            let location = format!("{}{raw_path}/", self.shared.bare_origin(self.settings));
            return Reply::text(307, "").with("Location", with_query(&location, self.incoming));
        }
        let folder = &self.call.path;
        let (recursive, expand) = (self.has_flag("recursive"), self.has_flag("expand"));
        let selected: Vec<&Listed> = commit
            .listing()
            .iter()
            .filter(|listed| is_in(listed, folder, recursive))
            .collect();
        if selected.is_empty() && !folder.is_empty() {
            return super::access::entry_not_found(&commit.sha);
        }
        let limit = self
            .incoming
            .query("limit")
            .and_then(|text| text.parse().ok());
        let page = limit
            .unwrap_or(usize::MAX)
            .min(self.settings.page_size)
            .max(1);
        let page = if expand {
            page.min(EXPANDED_PAGE)
        } else {
            page
        };
        let start = match self
            .incoming
            .query("cursor")
            .map(|text| cursor_position(&text))
        {
            None => 0,
            Some(Some(start)) => start,
            Some(None) => return error(400, None, "Invalid cursor"),
        };
        let entries: Vec<Value> = selected
            .iter()
            .skip(start)
            .take(page)
            .map(|listed| self.entry(commit, listed, expand))
            .collect();
        let reply = Reply::json(200, &Value::Array(entries));
        if start + page < selected.len() {
            let query = format!("cursor={}", cursor(start + page));
            return reply.with("Link", self.next_link(&query, page));
        }
        reply
    }

    fn entry(&self, commit: &Commit, listed: &Listed, expand: bool) -> Value {
        let mut entry = match listed {
            Listed::Raw(index) => return commit.raw_entries[*index].clone(),
            Listed::Directory(path) => directory_entry(commit, path),
            Listed::File(path) => self.file_entry(path, &commit.files[path]),
        };
        if expand {
            let last = json!({"id": commit.sha, "title": commit.title, "date": commit.date});
            entry.insert("lastCommit".to_owned(), last);
            entry.insert("securityFileStatus".to_owned(), json!({"status": "safe"}));
        }
        Value::Object(entry)
    }

    fn file_entry(&self, path: &str, file: &FileEntry) -> Map<String, Value> {
        let mut entry = Map::new();
        let size = file.content.len();
        let sha256_as_oid = self.settings.shape.lfs_oid_is_sha256 && file.is_lfs();
        let oid = if sha256_as_oid {
            file.etag().to_owned()
        } else {
            file.oid()
        };
        entry.insert("type".to_owned(), json!("file"));
        entry.insert("oid".to_owned(), json!(oid));
        entry.insert("size".to_owned(), json!(size));
        entry.insert("path".to_owned(), json!(path));
        if file.is_lfs() {
            let pointer_size = file.content.lfs_pointer().len();
            let lfs = json!({"oid": file.etag(), "size": size, "pointerSize": pointer_size});
            entry.insert("lfs".to_owned(), lfs);
        }
        if let Storage::Xet(hash) = &file.storage {
            let shown = if self.may_read {
                hash.clone()
            } else {
                "*".repeat(64)
            };
            entry.insert("xetHash".to_owned(), json!(shown));
        }
        entry
    }

    fn refs(&self) -> Reply {
        let group = |prefix: &str| -> Vec<Value> {
            let named = self.repo.refs.iter();
            named
                .filter_map(|(full, sha)| full.strip_prefix(prefix).map(|name| (full, name, sha)))
                .map(|(full, name, sha)| {
                    let target = self.repo.tag_objects.get(full).unwrap_or(sha);
                    json!({"name": name, "ref": full, "targetCommit": target})
                })
                .collect()
        };
        let mut body = json!({
            "branches": group("refs/heads/"),
            "converts": group("refs/convert/"),
            "tags": group("refs/tags/"),
        });
        if self.has_flag("include_prs") {
            body["pullRequests"] = Value::Array(group("refs/pr/"));
        }
        Reply::json(200, &body)
    }

    fn commits(&self, newest: &Commit) -> Reply {
        let mut list = vec![commit_entry(newest)];
        let mut parent = newest.parent.clone();
        while let Some(commit) = parent.and_then(|sha| self.repo.commits.get(&sha)) {
            list.push(commit_entry(commit));
            parent = commit.parent.clone();
        }
        let number = |name| {
            self.incoming
                .query(name)
                .and_then(|text| text.parse::<usize>().ok())
        };
        let (page, size) = (
            number("p").unwrap_or(0),
            number("limit")
                .unwrap_or(self.settings.page_size.min(50))
                .max(1),
        );
        let total = list.len();
        let shown: Vec<Value> = list.into_iter().skip(page * size).take(size).collect();
        let reply = Reply::json(200, &Value::Array(shown)).with("X-Total-Count", total.to_string());
        if (page + 1) * size < total {
            return reply.with("Link", self.next_link(&format!("p={}", page + 1), size));
        }
        reply
    }

    fn paths_info(&self, commit: &Commit) -> Reply {
        let (paths, expand) = asked_paths(self.incoming);
        let entries: Vec<Value> = commit
            .listing()
            .iter()
            .filter(|listed| match listed {
                Listed::Directory(path) | Listed::File(path) => paths.contains(path),
                Listed::Raw(_) => false,
            })
            .map(|listed| self.entry(commit, listed, expand))
            .collect();
        Reply::json(200, &Value::Array(entries))
    }

    /// Returns a complete absolute link: the query of the request with a new position.
    fn next_link(&self, position: &str, limit: usize) -> String {
        let moved = ["cursor=", "p=", "limit="];
        let kept: Vec<&str> = self
            .incoming
            .raw_query()
            .split('&')
            .filter(|pair| !pair.is_empty() && !moved.iter().any(|name| pair.starts_with(name)))
            .collect();
        let kept = kept
            .iter()
            .map(|pair| format!("{pair}&"))
            .collect::<String>();
        let (origin, path) = (
            self.shared.bare_origin(self.settings),
            self.incoming.raw_path(),
        );
        format!("<{origin}{path}?{kept}limit={limit}&{position}>; rel=\"next\"")
    }

    fn has_flag(&self, name: &str) -> bool {
        let value = self.incoming.query(name);
        value.is_some_and(|value| matches!(&*value.to_ascii_lowercase(), "true" | "1"))
    }
}

pub(crate) fn who_am_i(caller: &Caller) -> Reply {
    match caller {
        Caller::Anonymous => error(401, None, "Invalid username or password."),
        Caller::Token(_) => Reply::json(
            200,
            &json!({
                "type": "user",
                "name": "tester",
                "orgs": [],
                "auth": {"type": "access_token",
                         "accessToken": {"displayName": "test", "role": "read"}},
            }),
        ),
    }
}

fn sibling(path: &str, file: &FileEntry, blobs: bool) -> Value {
    let mut sibling = json!({"rfilename": path});
    if blobs {
        let size = file.content.len();
        sibling["size"] = json!(size);
        sibling["blobId"] = json!(file.oid());
        if file.is_lfs() {
            let pointer_size = file.content.lfs_pointer().len();
            sibling["lfs"] =
                json!({"size": size, "sha256": file.etag(), "pointerSize": pointer_size});
        }
    }
    sibling
}

fn directory_entry(commit: &Commit, path: &str) -> Map<String, Value> {
    let oid = super::content::sha1_hex(format!("tree {} {path}", commit.sha).as_bytes());
    let mut entry = Map::new();
    entry.insert("type".to_owned(), json!("directory"));
    entry.insert("oid".to_owned(), json!(oid));
    entry.insert("size".to_owned(), json!(0));
    entry.insert("path".to_owned(), json!(path));
    entry
}

fn commit_entry(commit: &Commit) -> Value {
    json!({
        "id": commit.sha,
        "title": commit.title,
        "message": "",
        "authors": [{"user": "tester"}],
        "date": commit.date,
    })
}

fn is_in(listed: &Listed, folder: &str, recursive: bool) -> bool {
    let path = match listed {
        Listed::Raw(_) => return folder.is_empty(),
        Listed::Directory(path) | Listed::File(path) => path,
    };
    let below = if folder.is_empty() {
        Some(path.as_str())
    } else {
        path.strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix('/'))
    };
    below.is_some_and(|rest| recursive || !rest.contains('/'))
}

fn asked_paths(incoming: &Incoming) -> (Vec<String>, bool) {
    if incoming
        .header("content-type")
        .is_some_and(|kind| kind.contains("json"))
    {
        let body: Value = serde_json::from_slice(&incoming.body).unwrap_or_default();
        let paths = match &body["paths"] {
            Value::Array(paths) => paths
                .iter()
                .filter_map(|path| path.as_str().map(str::to_owned))
                .collect(),
            Value::String(path) => vec![path.clone()],
            _ => Vec::new(),
        };
        return (paths, body["expand"] == json!(true));
    }
    let pairs = form_pairs(&String::from_utf8_lossy(&incoming.body));
    let expand = pairs.iter().any(|(key, value)| {
        key == "expand" && matches!(&*value.to_ascii_lowercase(), "true" | "1")
    });
    let paths = pairs
        .into_iter()
        .filter(|(key, _)| key == "paths")
        .map(|(_, value)| value);
    (paths.collect(), expand)
}

/// Returns an opaque cursor that clients must return unchanged: it contains a quoted `=`, like
/// those of the real Hub.
fn cursor(position: usize) -> String {
    escape_segment(&format!("ZXlK{position}OjE="))
}

fn cursor_position(text: &str) -> Option<usize> {
    text.strip_prefix("ZXlK")?
        .strip_suffix("OjE=")?
        .parse()
        .ok()
}

fn with_query(location: &str, incoming: &Incoming) -> String {
    match incoming.raw_query() {
        "" => location.to_owned(),
        query => format!("{location}?{query}"),
    }
}
