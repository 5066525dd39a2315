//! Steps of an installation or removal: files to write, programs to run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::sys::helper::{self, HelperError};
use crate::sys::host::Host;
use crate::sys::{files, fs};

/// The encoding of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    /// Little-endian with a byte order mark, as Windows requires for task files.
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

/// The effect of a program's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    Abort,
    /// For steps that may have been done before, such as unloading an unloaded
    /// agent.
    Ignore,
}

/// One step; a list of steps can be shown instead of being carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallStep {
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
        on_failure: OnFailure,
    },
    /// Lines for the crontab, which is replaced as a whole.
    AddToCrontab {
        lines: String,
    },
}

impl InstallStep {
    pub fn run(program: &'static str, arguments: &[&str]) -> Self {
        Self::Run {
            program,
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            on_failure: OnFailure::Abort,
        }
    }

    pub fn try_to_run(program: &'static str, arguments: &[&str]) -> Self {
        match Self::run(program, arguments) {
            Self::Run {
                program, arguments, ..
            } => Self::Run {
                program,
                arguments,
                on_failure: OnFailure::Ignore,
            },
            other => other,
        }
    }
}

/// Carries out steps; stops at the first failure.
pub fn carry_out(host: &Host, steps: &[InstallStep]) -> Result<()> {
    for step in steps {
        match step {
            InstallStep::Write {
                path,
                text,
                encoding,
            } => write(path, &encoding.encode(text))?,
            InstallStep::Remove { path } => {
                files::remove_if_present(path)
                    .with_context(|| format!("cannot remove `{}`", path.display()))?;
            }
            InstallStep::Run {
                program,
                arguments,
                on_failure,
            } => {
                let output = helper::run(host, program, arguments, None)?;
                if !output.is_success() && *on_failure == OnFailure::Abort {
                    bail!(
                        "`{program} {}`: {}",
                        arguments.join(" "),
                        output.failure_text()
                    );
                }
            }
            InstallStep::AddToCrontab { .. } => bail!("a crontab is edited by its own back-end"),
        }
    }
    Ok(())
}

/// Replaces the file atomically: the system may read it at any moment.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let problem = || format!("cannot write `{}`", path.display());
    let folder = path.parent().with_context(problem)?;
    fs::create_private_dir(folder)
        .with_context(|| format!("cannot create `{}`", folder.display()))?;
    files::write_atomically(path, bytes, folder).with_context(problem)
}

/// Returns the exit code of a program; `None` when it does not exist or was killed.
pub fn exit_code(
    host: &Host,
    program: &str,
    arguments: &[&str],
) -> Result<Option<i32>, HelperError> {
    match helper::run(host, program, arguments, None) {
        Ok(output) => Ok(output.code),
        Err(HelperError::Missing(_)) => Ok(None),
        Err(err) => Err(err),
    }
}

/// Renders steps for `start --dry-run`: notes begin with `#`, commands with `$`,
/// the rest is the content of files.
pub fn render_steps(steps: &[InstallStep]) -> String {
    let mut shown = String::new();
    for step in steps {
        match step {
            InstallStep::Write {
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
            InstallStep::Remove { path } => {
                shown.push_str(&format!("# remove {}\n", path.display()))
            }
            InstallStep::Run {
                program, arguments, ..
            } => shown.push_str(&format!("$ {program} {}\n", arguments.join(" "))),
            InstallStep::AddToCrontab { lines } => shown.push_str(lines),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_text_has_a_byte_order_mark() {
        assert_eq!(Encoding::Utf16.encode("aä"), [0xff, 0xfe, b'a', 0, 0xe4, 0]);
        assert_eq!(Encoding::Utf8.encode("ä"), "ä".as_bytes());
    }
}
