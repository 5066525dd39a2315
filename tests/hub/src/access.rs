//! Access control and the Hub's exact error messages.

use serde_json::json;

use super::http::{Incoming, Reply};
use super::repos::Gate;
use super::world::{RepoKey, RepoState, World};

/// The sender of a request, by its token.
pub(crate) enum Caller {
    Anonymous,
    Token(String),
}

impl Caller {
    /// Identifies the caller; an invalid token is refused on public repositories too.
    pub(crate) fn of(incoming: &Incoming, world: &World) -> Result<Self, Reply> {
        let Some(header) = incoming.header("authorization") else {
            return Ok(Self::Anonymous);
        };
        let token = header.strip_prefix("Bearer ").unwrap_or_default();
        if world.tokens.contains_key(token) {
            return Ok(Self::Token(token.to_owned()));
        }
        Err(error(
            401,
            None,
            "Invalid credentials in Authorization header",
        ))
    }

    fn may_read(&self, key: &RepoKey, world: &World) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Token(token) => world
                .tokens
                .get(token)
                .is_some_and(|repos| repos.contains(&key.web_path())),
        }
    }
}

/// Returns the repository if the caller may know that it exists.
pub(crate) fn enter<'w>(
    world: &'w World,
    key: &RepoKey,
    caller: &Caller,
) -> Result<&'w RepoState, Reply> {
    let repo = world
        .repos
        .get(key)
        .filter(|repo| !repo.access.private || caller.may_read(key, world));
    match (repo, caller) {
        (Some(repo), _) if repo.access.disabled => {
            Err(error(403, None, "Access to this resource is disabled."))
        }
        (Some(repo), _) => Ok(repo),
        (None, Caller::Anonymous) => Err(error(
            401,
            Some("RepoNotFound"),
            "Invalid username or password.",
        )),
        (None, Caller::Token(_)) => Err(error(404, Some("RepoNotFound"), "Repository not found")),
    }
}

/// Refuses the content of a gated repository to callers without access.
pub(crate) fn pass_gate(
    world: &World,
    key: &RepoKey,
    repo: &RepoState,
    caller: &Caller,
) -> Result<(), Reply> {
    let (Some(gate), false) = (repo.access.gated, caller.may_read(key, world)) else {
        return Ok(());
    };
    let (kind, id) = (key.kind.singular(), &key.id);
    let (status, text) = match (caller, gate) {
        (Caller::Anonymous, _) => (
            401,
            format!(
                "Access to {kind} {id} is restricted. You must have access to it and be \
                 authenticated to access it. Please log in."
            ),
        ),
        (Caller::Token(_), Gate::Auto) => (
            403,
            format!(
                "Access to {kind} {id} is restricted and you are not in the authorized list. \
                 Visit https://huggingface.co/{} to ask for access.",
                key.web_path()
            ),
        ),
        (Caller::Token(_), Gate::Manual) => (
            403,
            format!(
                "Your request to access {kind} {id} is awaiting a review from the repo authors."
            ),
        ),
    };
    Err(error(status, Some("GatedRepo"), &text))
}

pub(crate) fn revision_not_found(revision: &str) -> Reply {
    error(
        404,
        Some("RevisionNotFound"),
        &format!("Invalid rev id: {revision}"),
    )
}

pub(crate) fn entry_not_found(commit: &str) -> Reply {
    error(404, Some("EntryNotFound"), "Entry not found").with("X-Repo-Commit", commit)
}

/// Returns an error in the Hub's format: in headers and in JSON.
pub(crate) fn error(status: u16, code: Option<&str>, message: &str) -> Reply {
    let mut reply = Reply::json(status, &json!({"error": message}));
    if let Some(code) = code {
        reply.set_header("X-Error-Code", code);
    }
    reply.with("X-Error-Message", message)
}
