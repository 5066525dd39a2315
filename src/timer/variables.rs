//! Checks the variables of a timer's entry: secrets are refused.
//!
//! Crontabs, units and task files are read by other programs and people, and are
//! copied into backups and tickets.

use super::refusal::TimerRefusal;

/// Words that mark a variable as a secret by its name.
const SECRET_WORDS: [&str; 12] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "CREDENTIAL",
    "CREDENTIALS",
    "KEY",
    "APIKEY",
    "AUTH",
    "COOKIE",
];

/// Refuses variables that must not be in an entry, with the next step.
pub fn check_variable(name: &str, value: &str) -> Result<(), TimerRefusal> {
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_name {
        return Err(TimerRefusal::usage(format!(
            "`{name}` is not a valid variable name"
        )));
    }
    let rule = "and a timer's entry must not contain secrets";
    let upper = name.to_ascii_uppercase();
    if upper == "HFDL_HOME" {
        let reason = "the timer gets its home directory by `--home`";
        return Err(
            TimerRefusal::usage(reason).next("use `--home DIR` and leave `--env HFDL_HOME` out")
        );
    }
    if upper == "HFDL_PING_URL" {
        let reason = format!("`{name}` is a secret address, {rule}");
        return Err(TimerRefusal::usage(reason)
            .next("`hfdl config set ping.url URL` keeps it in the home directory, for you alone"));
    }
    if names_a_secret(&upper) {
        let reason = format!("`{name}` may hold a secret, {rule}");
        return Err(TimerRefusal::usage(reason)
            .next("keep tokens in a file: `hf auth login`, or `--env HF_TOKEN_PATH`"));
    }
    if is_in_credentials(value) {
        let reason = format!(
            "`{value}` is a credential of one unit of systemd, and is there only while that unit runs"
        );
        return Err(TimerRefusal::usage(reason).next(
            "keep the token in a file that stays (`hf auth login`), or install units with `LoadCredential=` \
             by hand, as `cron-examples/systemd-hfdl.service` shows",
        ));
    }
    if has_token(value) {
        let reason = format!("the value of `{name}` holds a token, {rule}");
        return Err(TimerRefusal::usage(reason)
            .next("keep tokens in a file: `hf auth login`, or `--env HF_TOKEN_PATH`"));
    }
    if has_password(value) {
        let reason = format!("the value of `{name}` holds a password, {rule}");
        return Err(TimerRefusal::usage(reason).next(
            "give an address without user name and password; or have a script that only you can read \
             set the variable and run `hfdl run-due --trigger timer`, and put that into your crontab",
        ));
    }
    Ok(())
}

/// Tells whether a path is that of a systemd credential.
pub fn is_in_credentials(path: &str) -> bool {
    path.starts_with("/run/credentials/") || path.contains("/systemd/credentials/")
}

/// Compares whole words, so that `KEYBOARD` does not match; the name of a file or
/// folder is no secret.
fn names_a_secret(upper: &str) -> bool {
    let names_a_place = ["_PATH", "_FILE", "_DIR"];
    let mut words = upper.split('_');
    let has_word = words.any(|word| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        SECRET_WORDS.contains(&word) || SECRET_WORDS[..4].iter().any(|s| word.ends_with(s))
    });
    has_word && !names_a_place.iter().any(|end| upper.ends_with(end))
}

/// Tells whether a value contains a token of the Hub as a word.
fn has_token(value: &str) -> bool {
    // A path may have a component with this prefix.
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    value
        .split(|c| !is_inside(c))
        .any(|word| word.starts_with("hf_"))
}

/// Tells whether a value is a URL with user name and password. The scheme may be
/// missing, as in proxies of some programs.
pub fn has_password(value: &str) -> bool {
    let behind_scheme = value.split_once("://").map(|(_, rest)| rest);
    let address = behind_scheme.unwrap_or(value);
    // Without a scheme only `USER:PASSWORD@HOST` counts: other values may contain
    // an `@`.
    address.rsplit_once('@').is_some_and(|(user, _)| {
        let is_path = user.starts_with(['/', '.', '~']);
        behind_scheme.is_some() || (user.contains(':') && !is_path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_refused() {
        for (name, value) in [
            ("HF_TOKEN", "hf_x"),
            ("hf_token", "x"),
            ("HUGGING_FACE_HUB_TOKEN", "x"),
            ("GITHUB_TOKEN_2", "x"),
            ("MYTOKEN", "x"),
            ("PGPASSWORD", "x"),
            ("PROXY_PASS", "x"),
            ("SSH_PASSPHRASE", "x"),
            ("CLIENT_SECRET", "x"),
            ("MY_API_KEY", "x"),
            ("OPENAI_KEY", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("HTTP_PROXY_AUTH", "me:pass"),
            ("HFDL_PING_URL", "https://ping.example/x"),
            ("https_proxy", "http://me:pass@proxy:3128"),
            ("https_proxy", "http://me:pa/ss@proxy:3128"),
            ("https_proxy", "me:pass@proxy:3128"),
            ("ALL_PROXY", "socks5h://token@proxy:1080"),
            ("X", "hf_abc"),
            ("HEADERS", "Authorization: Bearer hf_abc"),
            ("HFDL_HOME", "/x"),
            ("HF_TOKEN_PATH", "/run/credentials/hfdl.service/hf_token"),
            ("", "x"),
            ("A=B", "x"),
            ("1A", "x"),
        ] {
            let refusal = check_variable(name, value).expect_err(name);
            assert!(!refusal.to_string().contains("pass@"), "{refusal}");
        }
        for (name, value) in [
            ("HF_TOKEN_PATH", "/run/secrets/hf"),
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("no_proxy", "localhost,.example.org"),
            ("SSL_CERT_FILE", "/etc/ssl/corp.pem"),
            ("TZ", "Europe/Berlin"),
            ("HF_HOME", "/srv/hf_models"),
            ("XDG_CACHE_HOME", "/srv/a:b@c"),
            ("KEYBOARD", "us"),
            ("MAIL_TO", "me@example.org"),
            ("COMPASS", "x"),
        ] {
            assert_eq!(check_variable(name, value), Ok(()), "{name}={value}");
        }
    }

    #[test]
    fn a_refusal_has_a_next_step() {
        for (name, value, next) in [
            ("HF_TOKEN", "x", "hf auth login"),
            ("HFDL_PING_URL", "https://p/x", "hfdl config set ping.url"),
            (
                "https_proxy",
                "http://me:pass@proxy",
                "a script that only you can read",
            ),
        ] {
            let refusal = check_variable(name, value).expect_err(name);
            assert!(
                refusal.next.as_deref().unwrap_or_default().contains(next),
                "{refusal:?}"
            );
        }
    }
}
