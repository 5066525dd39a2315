//! The renewal of a login, beside the official client.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::files::{
    EXPIRES_AT, REFRESH_TOKEN, REPLACES, TOKEN, TokenFiles, digest, replacement_of, token_of,
};
use crate::domain::login::{Login, TokenName};
use crate::domain::time::Timestamp;
use crate::hub::{HubClient, IssuedTokens, StoredTokens, Token, TokenOrigin};
use crate::sys::host::{Host, checkpoint};
use crate::sys::lock::FileLock;
use crate::sys::pause::Sleeper;
use crate::sys::private_file::PrivateReplacement;

/// The application of the official client's login; a Hub of one's own may have another.
const CLIENT_ID: &str = "26be6b09-91c5-47da-9861-d2d2bb7a7e36";

/// Renews a login and returns its new token.
///
/// If another program has renewed it meanwhile, that token is returned.
pub fn renew(
    host: &Host,
    files: &TokenFiles,
    anonymous: &HubClient,
    pause: &Sleeper,
    (login, old): (&Login, &Token),
) -> Result<Token> {
    let _lock = lock(files, pause)?;
    let stored = files.read_stored()?;
    let name = login.name.as_str();
    if let Some(newer) = newer_than(&stored, &login.name, old) {
        catch_up(files, old, &newer)?;
        return Ok(newer);
    }
    let refresh = stored.get(name, REFRESH_TOKEN).unwrap_or_default();
    let refresh = Token::parse(refresh, &TokenOrigin::File)?;
    let refresh = refresh.context("it has no refresh token")?;
    // Room for longer tokens.
    let room = stored.as_str().len() + 16 * 1024;
    let replacement = PrivateReplacement::prepare(&files.stored, room);
    let cannot_write = || format!("cannot write `{}`", files.stored.display());
    let replacement = replacement.with_context(cannot_write)?;
    let client_id = host.variable("HF_DEVICE_CODE_OAUTH_CLIENT_ID");
    let grant = anonymous.renew(&refresh, client_id.unwrap_or(CLIENT_ID))?;
    checkpoint("login renewed");
    // Another program may have changed the file without the lock, as a new login does.
    let now = files.read_stored().unwrap_or_default();
    if let Some(newer) = newer_than(&now, &login.name, old) {
        return Ok(newer);
    }
    let is_whole = token_of(&now, name).is_some();
    let current = if is_whole { &now } else { &stored };
    let text = with_grant(current, name, &grant, (&refresh, old), host.now())?;
    let written = replacement.finish(text.as_str().as_bytes());
    written.with_context(cannot_write)?;
    checkpoint("login stored");
    catch_up(files, old, &grant.access)?;
    log::info!("the login `{name}` was renewed");
    Ok(grant.access)
}

/// Writes the token file after a renewal that was killed before.
pub fn finish_renewal(files: &TokenFiles, pause: &Sleeper) -> Result<()> {
    let is_behind = |files: &TokenFiles| -> Result<Option<(Token, Token)>> {
        let token = files.read_token()?.unwrap_or_default();
        let Some(old) = Token::parse(&token, &TokenOrigin::File)? else {
            return Ok(None);
        };
        Ok(replacement_of(&files.read_stored()?, &old).map(|new| (old, new)))
    };
    if is_behind(files)?.is_none() {
        return Ok(());
    }
    let _lock = lock(files, pause)?;
    if let Some((old, new)) = is_behind(files)? {
        catch_up(files, &old, &new)?;
    }
    Ok(())
}

fn lock(files: &TokenFiles, pause: &Sleeper) -> Result<FileLock> {
    const STEP: Duration = Duration::from_millis(50);
    // As long as the official client waits.
    const MOST_STEPS: u32 = 600;
    let mut n_steps = 0;
    let may_wait = || {
        n_steps += 1;
        n_steps <= MOST_STEPS
    };
    let path = files.lock.display();
    let lock = FileLock::acquire_while(&files.lock, STEP, pause, may_wait)
        .with_context(|| format!("cannot lock `{path}`"))?;
    let Some(lock) = lock else {
        bail!("another program holds `{path}`");
    };
    Ok(lock)
}

/// Returns the token of a section, if it is another one than before.
fn newer_than(stored: &StoredTokens, name: &TokenName, old: &Token) -> Option<Token> {
    token_of(stored, name.as_str()).filter(|token| token != old)
}

fn with_grant(
    stored: &StoredTokens,
    name: &str,
    grant: &IssuedTokens,
    (refresh, old): (&Token, &Token),
    now: Timestamp,
) -> Result<StoredTokens> {
    let seconds = grant.expires_in_seconds;
    let end = seconds.and_then(|span| now.as_second().checked_add_unsigned(span));
    // An end that is not known is an empty value, which the official client takes for none.
    let end = end.map_or_else(String::new, |end| end.to_string());
    let refresh = grant.refresh.as_ref().unwrap_or(refresh);
    let values = [
        (TOKEN, grant.access.secret()),
        (REFRESH_TOKEN, refresh.secret()),
        (EXPIRES_AT, &end),
        (REPLACES, &digest(old)),
    ];
    let mut changed = stored.clone();
    for (key, value) in values {
        changed = changed.with(name, key, value)?;
    }
    Ok(changed)
}

/// Writes a new token into the token file, unless another login is active there.
fn catch_up(files: &TokenFiles, old: &Token, new: &Token) -> Result<()> {
    let active = files.read_token()?.unwrap_or_default();
    if Token::parse(&active, &TokenOrigin::File)?.as_ref() != Some(old) {
        return Ok(());
    }
    let written = PrivateReplacement::prepare(&files.token, 0)
        .and_then(|file| file.finish(new.secret().as_bytes()));
    written.with_context(|| format!("cannot write `{}`", files.token.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        Token::parse(text, &TokenOrigin::File).unwrap().unwrap()
    }

    #[test]
    fn an_answer_without_end_and_refresh_token_keeps_the_old_refresh_token() {
        let text = b"[kim]\nhf_token = old\nrefresh_token = keep\nexpires_at = 1\n";
        let stored = StoredTokens::parse(text.to_vec()).unwrap();
        let grant = IssuedTokens {
            access: token("new"),
            refresh: None,
            expires_in_seconds: None,
        };
        let pair = (&token("keep"), &token("old"));
        let changed = with_grant(&stored, "kim", &grant, pair, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(changed.get("kim", TOKEN), Some("new"));
        assert_eq!(changed.get("kim", REFRESH_TOKEN), Some("keep"));
        assert_eq!(changed.get("kim", EXPIRES_AT), Some(""));
        assert_eq!(replacement_of(&changed, &token("old")), Some(token("new")));
        assert_eq!(replacement_of(&changed, &token("new")), None);
    }
}
