//! The files of the official client: the token in use, and all named tokens.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::domain::login::TokenName;
use crate::domain::time::Timestamp;
use crate::hub::{StoredTokens, Token, TokenOrigin};
use crate::sys::host::Host;
use crate::sys::paths;

/// Keys of a section.
pub const TOKEN: &str = "hf_token";
pub const REFRESH_TOKEN: &str = "refresh_token";
pub const EXPIRES_AT: &str = "expires_at";
/// A key of hfdl: the SHA-256 of the token that the section's token has replaced. A
/// token file with that token is behind, because a renewal was killed.
pub const REPLACES: &str = "hfdl_replaces";

/// A token file exists, and this process cannot read it.
#[derive(Debug, Error)]
#[error("cannot read the token file `{}`", .path.display())]
pub struct UnreadableTokenFile {
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// Returns the path of the token file, which may not exist.
pub fn token_path(host: &Host) -> Result<PathBuf> {
    match host.variable("HF_TOKEN_PATH") {
        Some(path) => paths::expand(host, path),
        None => Ok(paths::hugging_face_home(host)?.join("token")),
    }
}

/// The places of the two files.
#[derive(Clone, Debug)]
pub struct TokenFiles {
    pub token: PathBuf,
    pub stored: PathBuf,
    /// The lock that the official client holds while it renews a login.
    pub lock: PathBuf,
}

impl TokenFiles {
    pub fn find(host: &Host) -> Result<Self> {
        let token = token_path(host)?;
        Ok(Self {
            stored: token.with_file_name("stored_tokens"),
            lock: token.with_file_name("stored_tokens.lock"),
            token,
        })
    }

    /// Reads the token file; `None` if there is none. An unreadable one is an error,
    /// because without its token a private repository would look as if it were gone.
    pub fn read_token(&self) -> Result<Option<String>> {
        let bytes = read(&self.token)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Reads all named tokens; there are none without the file.
    pub fn read_stored(&self) -> Result<StoredTokens> {
        let bytes = read(&self.stored)?.unwrap_or_default();
        StoredTokens::parse(bytes)
            .with_context(|| format!("cannot understand `{}`", self.stored.display()))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => {
            let path = path.to_owned();
            Err(UnreadableTokenFile { path, source }.into())
        }
    }
}

/// Returns the token of a section, if it has a usable one.
pub fn token_of(stored: &StoredTokens, name: &str) -> Option<Token> {
    let value = stored.get(name, TOKEN)?;
    Token::parse(value, &TokenOrigin::File).ok().flatten()
}

/// Returns the name of a token, if it is stored under one.
pub fn name_of(stored: &StoredTokens, token: &Token) -> Option<TokenName> {
    let mut names = stored.names();
    let name = names.find(|name| token_of(stored, name).as_ref() == Some(token))?;
    name.parse().ok()
}

/// Returns the token that has replaced another one, if the token file is behind.
pub fn replacement_of(stored: &StoredTokens, old: &Token) -> Option<Token> {
    let digest = digest(old);
    let mut names = stored.names();
    let name = names.find(|name| stored.get(name, REPLACES) == Some(&digest))?;
    token_of(stored, name).filter(|_| name_of(stored, old).is_none())
}

pub fn digest(token: &Token) -> String {
    let digest = Sha256::digest(token.secret().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the end of a login; `None` if it has none that can be understood.
pub fn end_of(stored: &StoredTokens, name: &str) -> Option<Timestamp> {
    let seconds = stored.get(name, EXPIRES_AT)?.trim().parse().ok()?;
    Timestamp::from_second(seconds).ok()
}
