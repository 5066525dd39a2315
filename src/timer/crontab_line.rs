//! Renders the block that hfdl adds to a crontab, with the line that cron runs.

use super::refusal::TimerRefusal;
use super::spec::{LINK_HINT, TimerSpec};

/// Changes to the file besides the block, which are undone at removal. They are
/// stored in the marker line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockFlags {
    /// `nl`: the file did not end in a newline, and got one.
    pub newline_added: bool,
    /// `new`: there was no crontab at all.
    pub is_new: bool,
}

/// The first bytes of the lines that begin and end a block.
pub const START: &str = "# >>> hfdl ";
pub const END: &str = "# <<< hfdl ";

impl BlockFlags {
    /// Renders the flags as the marker line has them.
    pub fn words(self) -> String {
        let newline = if self.newline_added { " nl" } else { "" };
        let new = if self.is_new { " new" } else { "" };
        format!("{newline}{new}")
    }
}

/// Renders the block.
pub fn render(spec: &TimerSpec, flags: BlockFlags) -> Result<String, TimerRefusal> {
    let (id, words, line) = (&spec.id, flags.words(), line(spec)?);
    Ok(format!(
        "{START}{id}{words} >>> managed by \"hfdl start\"; remove it with \"hfdl stop\"\n{line}\n{END}{id} <<<\n"
    ))
}

/// Renders the line that cron runs.
fn line(spec: &TimerSpec) -> Result<String, TimerRefusal> {
    // Debian's cron refuses commands longer than about a thousand bytes.
    const LONGEST: usize = 990;
    let mut command = String::new();
    if !spec.variables.is_empty() {
        command.push_str("/usr/bin/env ");
        for (name, value) in &spec.variables {
            command.push_str(&quote(&format!("{name}={value}"), name)?);
            command.push(' ');
        }
    }
    let program = quote(&spec.program, "program's path")?;
    let home = quote(&spec.home, "home directory's path")?;
    let words = spec.command();
    command.push_str(&format!("{program} --home {home} {words}"));
    if command.len() > LONGEST {
        let reason = format!(
            "the command for the crontab has {} bytes, and cron takes about 1000",
            command.len()
        );
        return Err(TimerRefusal::usage(reason).next("use shorter paths, or `--backend systemd`"));
    }
    let minutes: Vec<String> = spec.tick.minutes().iter().map(u8::to_string).collect();
    let minutes = match spec.tick.every() {
        1 => "*".to_owned(),
        // A list, not `4/15`: only the list is understood by every cron.
        _ => minutes.join(","),
    };
    Ok(format!("{minutes} * * * * {command}"))
}

/// Puts text into single quotes; every shell that `SHELL=` may name takes it
/// literally.
fn quote(text: &str, name: &str) -> Result<String, TimerRefusal> {
    // Debian's cron turns `%` into a line break, BusyBox takes `\%` literally: no
    // spelling works for both.
    let odd = |c: char| matches!(c, '%' | '\'' | '\\') || c.is_control();
    match text.chars().find(|c| odd(*c)) {
        Some(c) => {
            let shown = if c.is_control() {
                c.escape_debug().to_string()
            } else {
                c.to_string()
            };
            let reason = format!("the {name} contains `{shown}`, which a crontab cannot");
            Err(TimerRefusal::usage(reason).next(LINK_HINT))
        }
        None => Ok(format!("'{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::tests::{plain, with_tick};
    use super::*;

    fn render_new(spec: &TimerSpec) -> Result<String, TimerRefusal> {
        render(spec, BlockFlags::default())
    }

    #[test]
    fn names_that_a_crontab_cannot_contain_are_refused() {
        for bad in ["/a%b", "/a'b", "/a\\b", "/a\nb"] {
            for spec in [
                TimerSpec {
                    home: bad.to_owned(),
                    ..plain()
                },
                TimerSpec {
                    program: bad.to_owned(),
                    ..plain()
                },
                TimerSpec {
                    variables: vec![("X".to_owned(), bad.to_owned())],
                    ..plain()
                },
            ] {
                let refusal = render_new(&spec).unwrap_err();
                assert!(refusal.is_usage && refusal.next.is_some(), "{refusal}");
            }
        }
        let long = TimerSpec {
            home: "/a".repeat(480),
            ..plain()
        };
        assert!(render_new(&long).unwrap_err().reason.contains("bytes"));
        for good in ["/a b", "/a\"b", "/a$b`c`", "/\u{e4}/#/!"] {
            let spec = TimerSpec {
                home: good.to_owned(),
                ..plain()
            };
            let text = render_new(&spec).unwrap();
            assert!(text.contains(&format!("--home '{good}' ")), "{text}");
        }
    }

    #[test]
    fn variables_stand_within_the_command() {
        let spec = TimerSpec {
            variables: vec![("HTTPS_PROXY".to_owned(), "http://proxy:3128".to_owned())],
            ..with_tick(1, 0)
        };
        let text = render_new(&spec).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert!(
            line.starts_with("* * * * * /usr/bin/env 'HTTPS_PROXY=http://proxy:3128' '/home/me/"),
            "{line}"
        );
    }
}
