//! Programs of the operating system, such as `crontab` and `systemctl`, and their
//! output.
//!
//! They run with English messages and a time limit. stdout and stderr stay apart: a
//! warning mixed into a crontab would be installed with the next write. For the
//! same reason truncated output is an error.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::child::{self, ChildCommand, ChildOutput, Ended, Pipes, Stream};
use super::host::Host;
use super::search_path::find_helper;
use super::stop::StopFlag;

/// More than any crontab; longer output is an error.
const MOST_OUTPUT_BYTES: usize = 8 << 20;

/// The reason why a helper program gave no usable output.
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
    #[error("`{line}` printed more than {MOST_OUTPUT_BYTES} bytes")]
    OutputTooLong { line: String },
}

/// The exit code and output of a helper program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperOutput {
    /// `None` when a signal ended the program.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl HelperOutput {
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// Returns the exit code and stderr in one line, for messages.
    pub fn failure_text(&self) -> String {
        let stderr = String::from_utf8_lossy(&self.stderr);
        let words: Vec<&str> = stderr.split_whitespace().collect();
        let code = self.code.map_or_else(
            || "it was killed".to_owned(),
            |code| format!("exit code {code}"),
        );
        if words.is_empty() {
            code
        } else {
            format!("{code}, {}", words.join(" "))
        }
    }
}

/// Runs a helper program to its end. Without `input` its stdin is empty.
pub fn run<A: AsRef<str>>(
    host: &Host,
    name: &str,
    arguments: &[A],
    input: Option<&[u8]>,
) -> Result<HelperOutput, HelperError> {
    // Long enough for a machine that has just booted; tests use a shorter limit.
    let limit = Duration::from_secs(if host.takes_pauses() { 15 } else { 5 });
    let path = find_helper(host, name).ok_or_else(|| HelperError::Missing(name.to_owned()))?;
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    log::debug!("running {} {}", path.display(), arguments.join(" "));
    let output = child::run(ChildCommand {
        program: path.as_os_str(),
        arguments: arguments.iter().map(OsStr::new).collect(),
        variables: vec![("LC_ALL", Some("C".to_owned()))],
        directory: None,
        stdin: input.map(<[u8]>::to_vec),
        timeout: limit,
        stop: StopFlag::new(),
        most_output_bytes: MOST_OUTPUT_BYTES,
        pipes: Pipes::MustEnd,
    });
    let line = format!("{name} {}", arguments.join(" "));
    let answer = match output {
        Ok(output) => helper_output(output, line, limit)?,
        Err(source) => return Err(HelperError::Start { path, source }),
    };
    log::debug!("{name} ended: {}", answer.failure_text());
    Ok(answer)
}

fn helper_output(
    output: ChildOutput,
    line: String,
    limit: Duration,
) -> Result<HelperOutput, HelperError> {
    let seconds = limit.as_secs();
    let code = match output.ended {
        Ended::TimedOut | Ended::Stopped => return Err(HelperError::TimedOut { line, seconds }),
        _ if output.is_cut => return Err(HelperError::OutputTooLong { line }),
        Ended::Code(code) => Some(code),
        Ended::Signal(_) => None,
    };
    Ok(HelperOutput {
        code,
        stdout: output.of(Stream::Out),
        stderr: output.of(Stream::Err),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(ended: Ended, is_cut: bool) -> ChildOutput {
        let pieces = vec![
            (Stream::Out, b"in\xff".to_vec()),
            (Stream::Err, b"no\n way".to_vec()),
            (Stream::Out, b"out".to_vec()),
        ];
        ChildOutput {
            ended,
            pieces,
            is_cut,
        }
    }

    fn convert(output: ChildOutput) -> Result<HelperOutput, String> {
        let result = helper_output(output, "crontab -l".to_owned(), Duration::from_secs(15));
        result.map_err(|err| err.to_string())
    }

    #[test]
    fn streams_stay_apart_and_the_failure_text_is_one_line() {
        let answer = convert(output(Ended::Code(3), false)).unwrap();
        assert_eq!(answer.stdout, b"in\xffout");
        assert_eq!(answer.failure_text(), "exit code 3, no way");
        assert!(!answer.is_success());
        let killed = convert(output(Ended::Signal(Some(9)), false)).unwrap();
        assert_eq!(killed.failure_text(), "it was killed, no way");
    }

    #[test]
    fn truncated_output_is_an_error() {
        assert_eq!(
            convert(output(Ended::Code(0), true)).unwrap_err(),
            "`crontab -l` printed more than 8388608 bytes"
        );
        assert_eq!(
            convert(output(Ended::TimedOut, false)).unwrap_err(),
            "`crontab -l` did not end within 15 s and was killed"
        );
    }
}
