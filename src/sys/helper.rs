//! The system's own programs, such as `crontab` and `systemctl`, and what they answer.
//!
//! They are asked in English and with a limit of time. Their stdout and stderr
//! stay apart: a warning that ends up in what is taken for a crontab would be
//! installed with the next write. For the same reason half an answer is none.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::child::{self, Ended, Errand, Pipes, Returned, Stream};
use super::host::Host;
use super::search_path::find_helper;
use super::stop::StopFlag;

/// More than any crontab; who says more than this is not understood.
const MOST_OUTPUT_BYTES: usize = 8 << 20;

/// Why a helper has no answer.
#[derive(Debug, Error)]
pub enum HelperError {
    #[error("there is no program `{0}` on this machine")]
    Missing(String),
    #[error("cannot start `{}`: {source}", .path.display())]
    Start {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{line}` did not end within {seconds} s and was killed")]
    TimedOut { line: String, seconds: u64 },
    #[error("`{line}` said more than anybody can want to know")]
    Endless { line: String },
}

/// What a helper said before it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// Returns the exit code and the complaint in one line, for a message to a person.
    pub fn complaint(&self) -> String {
        let said = String::from_utf8_lossy(&self.stderr);
        let said: Vec<&str> = said.split_whitespace().collect();
        let code = self.code.map_or_else(
            || "it was killed".to_owned(),
            |code| format!("exit code {code}"),
        );
        if said.is_empty() {
            code
        } else {
            format!("{code}, {}", said.join(" "))
        }
    }
}

/// Runs a helper to its end. Without `stdin` it reads from nothing.
pub fn run<A: AsRef<str>>(
    host: &Host,
    name: &str,
    arguments: &[A],
    stdin: Option<&[u8]>,
) -> Result<Answer, HelperError> {
    // Long enough for a machine that has just booted; a test need not sit it out.
    let limit = Duration::from_secs(if host.takes_pauses() { 15 } else { 5 });
    let path = find_helper(host, name).ok_or_else(|| HelperError::Missing(name.to_owned()))?;
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    log::debug!("running {} {}", path.display(), arguments.join(" "));
    let returned = child::run(Errand {
        program: path.as_os_str(),
        arguments: arguments.iter().map(OsStr::new).collect(),
        variables: vec![("LC_ALL", Some("C".to_owned()))],
        directory: None,
        stdin: stdin.map(<[u8]>::to_vec),
        timeout: limit,
        stop: StopFlag::new(),
        most_output_bytes: MOST_OUTPUT_BYTES,
        pipes: Pipes::MustEnd,
    });
    let line = format!("{name} {}", arguments.join(" "));
    let answer = match returned {
        Ok(returned) => answer(returned, line, limit)?,
        Err(source) => return Err(HelperError::Start { path, source }),
    };
    log::debug!("{name} ended: {}", answer.complaint());
    Ok(answer)
}

fn answer(returned: Returned, line: String, limit: Duration) -> Result<Answer, HelperError> {
    let seconds = limit.as_secs();
    let code = match returned.ended {
        Ended::TimedOut | Ended::Stopped => return Err(HelperError::TimedOut { line, seconds }),
        _ if returned.is_cut => return Err(HelperError::Endless { line }),
        Ended::Code(code) => Some(code),
        Ended::Signal(_) => None,
    };
    Ok(Answer {
        code,
        stdout: returned.of(Stream::Out),
        stderr: returned.of(Stream::Err),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned(ended: Ended, is_cut: bool) -> Returned {
        let pieces = vec![
            (Stream::Out, b"in\xff".to_vec()),
            (Stream::Err, b"no\n way".to_vec()),
            (Stream::Out, b"out".to_vec()),
        ];
        Returned {
            ended,
            pieces,
            is_cut,
        }
    }

    fn judge(returned: Returned) -> Result<Answer, String> {
        let judged = answer(returned, "crontab -l".to_owned(), Duration::from_secs(15));
        judged.map_err(|err| err.to_string())
    }

    #[test]
    fn streams_stay_apart_and_a_complaint_is_one_line() {
        let answer = judge(returned(Ended::Code(3), false)).unwrap();
        assert_eq!(answer.stdout, b"in\xffout");
        assert_eq!(answer.complaint(), "exit code 3, no way");
        assert!(!answer.is_success());
        let killed = judge(returned(Ended::Signal(Some(9)), false)).unwrap();
        assert_eq!(killed.complaint(), "it was killed, no way");
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(
            judge(returned(Ended::Code(0), true)).unwrap_err(),
            "`crontab -l` said more than anybody can want to know"
        );
        assert_eq!(
            judge(returned(Ended::TimedOut, false)).unwrap_err(),
            "`crontab -l` did not end within 15 s and was killed"
        );
    }
}
