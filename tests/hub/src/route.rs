//! Routing: parses the target of a request.

use super::http::{Incoming, decode};
use super::server::Port;
use super::world::{Kind, RepoKey, World};

/// The kinds of requests that a test can count or make fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    Info,
    Tree,
    Refs,
    Commits,
    PathsInfo,
    AuthCheck,
    XetReadToken,
    WhoAmI,
    /// The request for a token: a login that is renewed, or an exchanged identity.
    OauthToken,
    Resolve,
    /// The target of the relative redirect for small files.
    ResolveCache,
    Raw,
    /// Other requests to the second port.
    Cdn,
    /// Chunks of a xorb, on the second port.
    Xorb,
    /// Any request to the third port.
    Reconstruction,
    /// The hub's own `/__hub__/...`.
    Control,
    Unknown,
}

/// A request for a part of a repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RepoCall {
    pub(crate) key: RepoKey,
    pub(crate) api: Api,
    /// `None` where the API means the default branch.
    pub(crate) revision: Option<String>,
    /// File or folder; empty for none.
    pub(crate) path: String,
    /// The raw path after the repository id, for redirects of renamed repositories.
    pub(crate) tail: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Repo(RepoCall),
    Other(Api),
}

impl Route {
    pub(crate) fn api(&self) -> Api {
        match self {
            Self::Repo(call) => call.api,
            Self::Other(api) => *api,
        }
    }

    pub(crate) fn parse(port: Port, incoming: &Incoming, prefix: &str, world: &World) -> Self {
        let raw = incoming.raw_path();
        match port {
            Port::Cas => return Self::Other(Api::Reconstruction),
            Port::Cdn if raw.starts_with("/xorbs/") => return Self::Other(Api::Xorb),
            Port::Cdn => return Self::Other(Api::Cdn),
            Port::Hub => {}
        }
        if raw.starts_with(super::control::PREFIX) {
            return Self::Other(Api::Control);
        }
        let Some(raw) = raw
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('/'))
        else {
            return Self::Other(Api::Unknown);
        };
        let segments: Vec<&str> = raw.split('/').collect();
        let call = match segments.as_slice() {
            ["oauth", "token"] => return Self::Other(Api::OauthToken),
            ["api", "whoami-v2"] => return Self::Other(Api::WhoAmI),
            ["api", "resolve-cache", kind, rest @ ..] => {
                Kind::from_plural(kind).and_then(|kind| resolve_cache(kind, rest, world))
            }
            ["api", kind, rest @ ..] => {
                Kind::from_plural(kind).and_then(|kind| api_call(kind, rest, world))
            }
            ["datasets", rest @ ..] => web_call(Kind::Dataset, rest),
            ["spaces", rest @ ..] => web_call(Kind::Space, rest),
            ["kernels", rest @ ..] => web_call(Kind::Kernel, rest),
            rest => web_call(Kind::Model, rest),
        };
        call.map_or(Self::Other(Api::Unknown), Self::Repo)
    }
}

/// Splits `org/name/rest` or `name/rest`; the existing repositories decide between the two.
fn split_id<'s>(kind: Kind, segments: &'s [&'s str], world: &World) -> (RepoKey, &'s [&'s str]) {
    let key = |n: usize| RepoKey {
        kind,
        id: decode(&segments[..n.min(segments.len())].join("/")),
    };
    let known = |key: &RepoKey| world.repos.contains_key(key) || world.renamed.contains_key(key);
    let n = if !known(&key(2)) && known(&key(1)) {
        1
    } else {
        2.min(segments.len())
    };
    (key(n), &segments[n..])
}

fn api_call(kind: Kind, segments: &[&str], world: &World) -> Option<RepoCall> {
    let (key, rest) = split_id(kind, segments, world);
    let (api, revision, path): (Api, Option<&str>, &[&str]) = match rest {
        [] | [""] => (Api::Info, None, &[]),
        ["revision", revision] => (Api::Info, Some(revision), &[]),
        ["tree", revision, path @ ..] => (Api::Tree, Some(revision), path),
        ["refs"] => (Api::Refs, None, &[]),
        ["commits", revision] => (Api::Commits, Some(revision), &[]),
        ["paths-info", revision] => (Api::PathsInfo, Some(revision), &[]),
        ["auth-check"] => (Api::AuthCheck, None, &[]),
        ["xet-read-token", revision] => (Api::XetReadToken, Some(revision), &[]),
        _ => return None,
    };
    Some(RepoCall {
        key,
        api,
        revision: revision.map(decode),
        path: decode(path.join("/").trim_end_matches('/')),
        tail: rest.join("/"),
    })
}

fn resolve_cache(kind: Kind, segments: &[&str], world: &World) -> Option<RepoCall> {
    let (key, rest) = split_id(kind, segments, world);
    let (commit, path) = rest.split_first()?;
    Some(RepoCall {
        key,
        api: Api::ResolveCache,
        revision: Some(decode(commit)),
        path: decode(&path.join("/")),
        tail: rest.join("/"),
    })
}

fn web_call(kind: Kind, segments: &[&str]) -> Option<RepoCall> {
    let verb = segments
        .iter()
        .take(3)
        .position(|word| matches!(*word, "resolve" | "raw"))?;
    let (id, rest) = segments.split_at(verb);
    let [word, revision, path @ ..] = rest else {
        return None;
    };
    Some(RepoCall {
        key: RepoKey {
            kind,
            id: decode(&id.join("/")),
        },
        api: if *word == "raw" {
            Api::Raw
        } else {
            Api::Resolve
        },
        revision: Some(decode(revision)),
        path: decode(&path.join("/")),
        tail: rest.join("/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(target: &str) -> Route {
        let mut world = World::default();
        world.repos.entry(RepoKey::parse("gpt2")).or_default();
        let incoming = Incoming {
            method: "GET".to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        Route::parse(Port::Hub, &incoming, "", &world)
    }

    fn call(target: &str) -> RepoCall {
        match parse(target) {
            Route::Repo(call) => call,
            other => panic!("{target} is {other:?}"),
        }
    }

    #[test]
    fn an_encoded_revision_is_one_revision() {
        let tree = call("/api/datasets/acme/corpus/tree/refs%2Fpr%2F1/a%2Fb?recursive=true");
        assert_eq!(tree.key, RepoKey::parse("datasets/acme/corpus"));
        assert_eq!((tree.api, tree.path.as_str()), (Api::Tree, "a/b"));
        assert_eq!(tree.revision.as_deref(), Some("refs/pr/1"));
    }

    #[test]
    fn names_without_an_owner_are_recognised_when_they_exist() {
        assert_eq!(call("/api/models/gpt2/tree/main").key.id, "gpt2");
        assert_eq!(call("/api/models/gpt2").api, Api::Info);
        assert_eq!(call("/api/models/acme/tiny").key.id, "acme/tiny");
    }

    #[test]
    fn resolve_keeps_the_folders_of_a_file() {
        let file = call("/spaces/acme/app/resolve/main/a/b%20c.py");
        assert_eq!(
            (file.key.kind, file.path.as_str()),
            (Kind::Space, "a/b c.py")
        );
    }

    #[test]
    fn other_paths_are_unknown() {
        for target in [
            "/",
            "/api/models/acme/tiny/likers",
            "/favicon.ico",
            "/api/x",
        ] {
            assert_eq!(parse(target).api(), Api::Unknown, "{target}");
        }
    }
}
