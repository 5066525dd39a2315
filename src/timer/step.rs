//! What installing and removing come down to: files, and programs to run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::sys::helper::{self, HelperError};
use crate::sys::host::Host;
use crate::sys::{files, fs};

/// How the text of a file becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    /// Little-endian with a byte order mark, as Windows wants its task files.
    Utf16,
}

impl Encoding {
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf16 => std::iter::once(0xfeff)
                .chain(text.encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect(),
        }
    }
}

/// What becomes of a program's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    EndsAll,
    /// For what may have been done before, such as unloading what is not loaded.
    IsNoMatter,
}

/// One thing to do; a list of them can be shown instead of being done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Write {
        path: PathBuf,
        text: String,
        encoding: Encoding,
    },
    Remove {
        path: PathBuf,
    },
    Run {
        program: &'static str,
        arguments: Vec<String>,
        on_failure: Failure,
    },
    /// Lines for the crontab, which is read, changed and written as a whole.
    AddToCrontab {
        lines: String,
    },
}

impl Step {
    pub fn run(program: &'static str, line: &[&str]) -> Self {
        Self::Run {
            program,
            arguments: line.iter().map(|word| (*word).to_owned()).collect(),
            on_failure: Failure::EndsAll,
        }
    }

    pub fn try_to_run(program: &'static str, line: &[&str]) -> Self {
        match Self::run(program, line) {
            Self::Run {
                program, arguments, ..
            } => Self::Run {
                program,
                arguments,
                on_failure: Failure::IsNoMatter,
            },
            other => other,
        }
    }
}

/// Carries out steps; the first that fails ends it.
pub fn carry_out(host: &Host, steps: &[Step]) -> Result<()> {
    for step in steps {
        match step {
            Step::Write {
                path,
                text,
                encoding,
            } => write(path, &encoding.encode(text))?,
            Step::Remove { path } => {
                files::remove_if_present(path)
                    .with_context(|| format!("cannot remove `{}`", path.display()))?;
            }
            Step::Run {
                program,
                arguments,
                on_failure,
            } => {
                let ended = helper::run(host, program, arguments, None)?;
                if !ended.is_success() && *on_failure == Failure::EndsAll {
                    bail!(
                        "`{program} {}`: {}",
                        arguments.join(" "),
                        ended.failure_text()
                    );
                }
            }
            Step::AddToCrontab { .. } => bail!("a crontab is edited by its own back-end"),
        }
    }
    Ok(())
}

/// Writes beside the target and renames: the system may read it at any moment.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let problem = || format!("cannot write `{}`", path.display());
    let folder = path.parent().with_context(problem)?;
    fs::create_private_dir(folder)
        .with_context(|| format!("cannot create `{}`", folder.display()))?;
    files::write_atomically(path, bytes, folder).with_context(problem)
}

/// Asks a program a question that it answers by its exit code; `None` when it
/// is not there or does not answer.
pub fn answer(host: &Host, program: &str, line: &[&str]) -> Result<Option<i32>, HelperError> {
    match helper::run(host, program, line, None) {
        Ok(ended) => Ok(ended.code),
        Err(HelperError::Missing(_)) => Ok(None),
        Err(err) => Err(err),
    }
}

/// Renders steps as `start --dry-run` shows them: what is to be read by people
/// begins with `#`, what is to be run with `$`, the rest is the files' text.
pub fn render_steps(steps: &[Step]) -> String {
    let mut shown = String::new();
    for step in steps {
        match step {
            Step::Write {
                path,
                text,
                encoding,
            } => {
                let note = match encoding {
                    Encoding::Utf8 => "",
                    Encoding::Utf16 => " (as UTF-16, little-endian, with a byte order mark)",
                };
                shown.push_str(&format!("# write {}{note}\n{text}", path.display()));
            }
            Step::Remove { path } => shown.push_str(&format!("# remove {}\n", path.display())),
            Step::Run {
                program, arguments, ..
            } => shown.push_str(&format!("$ {program} {}\n", arguments.join(" "))),
            Step::AddToCrontab { lines } => shown.push_str(lines),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_text_has_a_mark_and_two_bytes_for_each_unit() {
        assert_eq!(Encoding::Utf16.encode("aä"), [0xff, 0xfe, b'a', 0, 0xe4, 0]);
        assert_eq!(Encoding::Utf8.encode("ä"), "ä".as_bytes());
    }
}
