//! The specification of a timer entry: the command and its times.

use std::fmt;
use std::path::Path;

use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::refusal::TimerRefusal;
use crate::domain::schedule::shift;
use crate::domain::time::{Timestamp, whole_minutes};
use crate::domain::units::Seconds;

/// The content of an entry, independent of the back-end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerSpec {
    pub id: TimerId,
    /// The program by the path through which its user starts it.
    pub program: String,
    pub home: String,
    /// The id of the database that the tick requires; `None` before there is one.
    pub database: Option<String>,
    pub tick: TickTimes,
    /// Variables that the user requested; a timer has almost none of its own.
    pub variables: Vec<(String, String)>,
}

impl TimerSpec {
    /// Returns the arguments of the program.
    pub fn arguments(&self) -> Vec<&str> {
        let mut arguments = vec!["--home", &self.home, "run-due", "--trigger", "timer"];
        if let Some(id) = &self.database {
            arguments.extend(["--database", id]);
        }
        arguments
    }

    /// Returns the arguments after the home; none of them needs quotes.
    pub fn command(&self) -> String {
        self.arguments()[2..].join(" ")
    }

    /// Refuses text that no format can contain.
    pub fn check(&self) -> Result<(), TimerRefusal> {
        let named = [("program", &self.program), ("home directory", &self.home)];
        let variables = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value));
        for (name, text) in named.into_iter().chain(variables) {
            if text.chars().any(char::is_control) {
                let reason =
                    format!("the {name} contains a line break or another control character");
                return Err(TimerRefusal::usage(reason).next(LINK_HINT));
            }
        }
        Ok(())
    }
}

pub(super) const LINK_HINT: &str = "make a link with a plain name to it and use that";

/// Identifies the entry of a home: eight hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TimerId(String);

impl TimerId {
    /// Returns the id of a home directory, whose links must be resolved.
    pub fn of(home: &Path) -> Self {
        let hash = Sha256::digest(home.as_os_str().as_encoded_bytes());
        Self(hash[..4].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Parses an id that was stored.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 8 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The minutes of each hour at which the timer fires: `offset`, and every `every`
/// minutes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickTimes {
    every: u8,
    offset: u8,
}

impl TickTimes {
    /// Computes the minutes for an installation on a host.
    ///
    /// A hash spreads them, so that not all users contact the Hub at the full hour,
    /// and keeps them stable. `every` divides an hour; the setting `timer.every`
    /// allows nothing else.
    pub fn new(every: Seconds, install_id: &str, host_name: &str) -> Self {
        let every = (every.get() / 60).clamp(1, 60);
        let mut hash = Sha256::new();
        // The zero bytes keep `a` + `bc` and `ab` + `c` apart.
        for part in [install_id, host_name] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finalize()[..8]);
        Self {
            every: every as u8,
            offset: (u64::from_be_bytes(first) % every) as u8,
        }
    }

    pub fn every(self) -> u8 {
        self.every
    }

    pub fn offset(self) -> u8 {
        self.offset
    }

    pub fn minutes(self) -> Vec<u8> {
        (self.offset..60).step_by(usize::from(self.every)).collect()
    }

    /// Returns the first time after `now` at which the timer fires. Timers count the
    /// minutes of the system's zone, which may differ from those of UTC.
    pub fn next(self, zone: &TimeZone, now: Timestamp) -> Timestamp {
        let minute = now.to_zoned(zone.clone()).minute();
        let since = (i64::from(minute) - i64::from(self.offset)).rem_euclid(self.every.into());
        let minutes = i64::from(self.every) - since;
        shift(whole_minutes(now), 60 * minutes)
    }
}

impl fmt::Display for TickTimes {
    /// Writes the times as text: `every 15 minutes, at :04, :19, :34 and :49`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.minutes();
        match minutes.as_slice() {
            [only] => write!(f, "every hour, at :{only:02}"),
            _ if self.every == 1 => f.write_str("every minute"),
            _ if minutes.len() > 6 => {
                write!(
                    f,
                    "every {} minutes, from :{:02} on",
                    self.every, self.offset
                )
            }
            [start @ .., last] => {
                let start: Vec<String> = start.iter().map(|m| format!(":{m:02}")).collect();
                let start = start.join(", ");
                write!(f, "every {} minutes, at {start} and :{last:02}", self.every)
            }
            [] => Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A specification with names that need quoting in some formats.
    pub fn awkward() -> TimerSpec {
        TimerSpec {
            home: "/home/me/A & B <state> \"x\" $y".to_owned(),
            ..plain()
        }
    }

    /// The example from the documentation: every 15 minutes from :04.
    pub fn plain() -> TimerSpec {
        TimerSpec {
            id: TimerId("7f3a9c12".to_owned()),
            program: "/home/me/.cargo/bin/hfdl".to_owned(),
            home: "/home/me/.local/share/hfdl".to_owned(),
            database: None,
            tick: TickTimes {
                every: 15,
                offset: 4,
            },
            variables: Vec::new(),
        }
    }

    pub fn with_tick(every: u8, offset: u8) -> TimerSpec {
        TimerSpec {
            tick: TickTimes { every, offset },
            ..plain()
        }
    }

    #[test]
    fn the_next_tick_is_the_first_minute_after_now() {
        let next = |every, offset, now: &str, zone: i8| {
            let zone =
                TimeZone::fixed(jiff::tz::Offset::from_seconds(i32::from(zone) * 900).unwrap());
            let next = TickTimes { every, offset }.next(&zone, now.parse().unwrap());
            next.to_string()
        };
        let at = |time: &str| format!("2026-03-01T{time}:00Z");
        assert_eq!(next(15, 4, "2026-03-01T09:00:30Z", 0), at("09:04"));
        assert_eq!(next(15, 4, "2026-03-01T09:04:00Z", 0), at("09:19"));
        assert_eq!(next(15, 4, "2026-03-01T09:50:00Z", 0), at("10:04"));
        assert_eq!(next(60, 7, "2026-03-01T09:08:00Z", 0), at("10:07"));
        assert_eq!(next(1, 0, "2026-03-01T09:08:59Z", 0), at("09:09"));
        // The zone is 45 minutes ahead: 09:00 is 09:45 there.
        assert_eq!(next(60, 50, "2026-03-01T09:00:00Z", 3), at("09:05"));
    }

    #[test]
    fn ticks_divide_each_hour_and_begin_within_the_first_period() {
        for every in [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60] {
            let tick = TickTimes::new(Seconds(every * 60), "install", "host");
            let minutes = tick.minutes();
            assert_eq!(minutes.len() as u64, 60 / every);
            assert!(u64::from(minutes[0]) < every, "{minutes:?}");
            let steps = minutes.windows(2).map(|pair| u64::from(pair[1] - pair[0]));
            assert!(steps.into_iter().all(|step| step == every));
        }
    }

    #[test]
    fn the_offset_is_spread_over_hosts_and_stable() {
        let offset = |id: &str, host: &str| TickTimes::new(Seconds(3600), id, host).offset();
        // Not stored anywhere, so this number must never change between releases.
        assert_eq!(offset("install", "host"), 48);
        let spread: std::collections::BTreeSet<u8> = (0..200)
            .map(|n| offset("install", &format!("host-{n}")))
            .collect();
        assert!(spread.len() > 50, "{spread:?}");
        assert_ne!(offset("one", "host-1"), offset("two", "host-1"));
    }

    #[test]
    fn an_id_is_derived_from_the_directory() {
        let id = TimerId::of(Path::new("/home/me/.local/share/hfdl"));
        assert_eq!(TimerId::parse(id.as_str()), Some(id.clone()));
        assert_ne!(id, TimerId::of(Path::new("/srv/hfdl")));
        for bad in ["", "7f3a9c1", "7F3A9C12", "7f3a9c1x"] {
            assert_eq!(TimerId::parse(bad), None);
        }
    }

    #[test]
    fn a_tick_is_rendered_as_text() {
        let text = |every, offset| with_tick(every, offset).tick.to_string();
        assert_eq!(text(15, 4), "every 15 minutes, at :04, :19, :34 and :49");
        assert_eq!(text(60, 7), "every hour, at :07");
        assert_eq!(text(1, 0), "every minute");
        assert_eq!(text(5, 3), "every 5 minutes, from :03 on");
        assert_eq!(text(30, 9), "every 30 minutes, at :09 and :39");
    }

    #[test]
    fn line_breaks_are_refused() {
        assert_eq!(awkward().check(), Ok(()));
        for bad in ["/a\nb", "/a\rb", "/a\0b"] {
            let spec = TimerSpec {
                home: bad.to_owned(),
                ..plain()
            };
            assert!(spec.check().is_err(), "{bad:?}");
        }
    }
}
