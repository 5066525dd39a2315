//! Times for people: in a zone, with the distance from now.

use jiff::tz::TimeZone;

use super::text::NOTHING;
use crate::domain::time::Timestamp;
use crate::sys::host::Host;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const TWO_DAYS: i64 = 2 * DAY;

/// The seconds by which a recorded time may be ahead of the clock without being wrong.
const LEAD: i64 = 5;

/// The moment at which a command looks, and the reader's zone.
#[derive(Clone, Debug)]
pub struct Clock {
    pub now: Timestamp,
    pub zone: TimeZone,
    /// Whether past times are written as dates, too.
    pub absolute: bool,
}

impl Clock {
    pub fn new(host: &Host, absolute: bool) -> Self {
        Self {
            now: host.now(),
            zone: host.time_zone(),
            absolute,
        }
    }

    /// Returns the clock of messages: without a terminal they are read later, in a mail.
    pub fn of_messages(host: &Host, absolute: bool) -> Self {
        Self::new(host, absolute || !host.stderr_is_terminal())
    }

    /// Renders a past time, such as `2 min ago`.
    pub fn past(&self, at: Timestamp) -> String {
        let seconds = at.duration_until(self.now).as_secs();
        // A time that is still to come is one of a clock that was set back.
        if self.absolute || seconds < -LEAD {
            return self.local(at);
        }
        if seconds < MINUTE {
            return "just now".to_owned();
        }
        format!("{} ago", distance(seconds))
    }

    /// Renders a past time with its moment, such as `2 min ago (Sun 02:30 CET)`.
    /// A missing time is a dash.
    pub fn past_in_full(&self, at: impl Into<Option<Timestamp>>) -> String {
        match at.into() {
            None => NOTHING.to_owned(),
            Some(at) if self.absolute || self.now.duration_until(at).as_secs() > LEAD => {
                self.local(at)
            }
            Some(at) => format!("{} ({})", self.past(at), self.moment(at, &self.zone)),
        }
    }

    /// Renders the next moment of a schedule: `now` for one that has come.
    pub fn due(&self, at: Timestamp, zone: &TimeZone) -> String {
        if at <= self.now {
            return "now".to_owned();
        }
        self.future(at, zone)
    }

    /// Renders a time to come in a zone, such as `Sun 02:30 CET, in 3 h`.
    pub fn future(&self, at: Timestamp, zone: &TimeZone) -> String {
        if self.absolute {
            return self.exact(at, zone);
        }
        let seconds = self.now.duration_until(at).as_secs();
        let relative = if seconds >= MINUTE {
            format!("in {}", distance(seconds))
        } else if seconds > -MINUTE {
            "now".to_owned()
        } else {
            format!("{} ago", distance(seconds))
        };
        format!("{}, {relative}", self.moment(at, zone))
    }

    /// Renders a time in a zone, with the date where the day of the week is not enough.
    pub fn moment(&self, at: Timestamp, zone: &TimeZone) -> String {
        if self.absolute {
            return self.exact(at, zone);
        }
        let seconds = self.now.duration_until(at).as_secs().abs();
        let (at, now) = (at.to_zoned(zone.clone()), self.now.to_zoned(zone.clone()));
        let form = if seconds < 6 * DAY {
            "%a %H:%M %Z"
        } else if at.year() == now.year() {
            "%a %-d %b %H:%M %Z"
        } else {
            "%a %-d %b %Y %H:%M %Z"
        };
        at.strftime(form).to_string()
    }

    /// Renders a time in a zone with its date, such as `2026-11-29 02:30 CET`.
    pub fn exact(&self, at: Timestamp, zone: &TimeZone) -> String {
        let at = at.to_zoned(zone.clone());
        at.strftime("%Y-%m-%d %H:%M %Z").to_string()
    }

    /// Renders a time in the reader's zone with its date: for errors, logs and mails, which
    /// are read later.
    pub fn local(&self, at: Timestamp) -> String {
        self.exact(at, &self.zone)
    }

    /// Renders the exact times in a message, such as `2026-11-29T01:30:00Z`, for the reader.
    /// Messages are stored with exact times, because their readers have different zones.
    pub fn told(&self, message: &str) -> String {
        const WIDTH: usize = "2026-11-29T01:30:00Z".len();
        let mut told = String::new();
        let mut rest = message;
        while let Some(end) = rest.find('Z').map(|at| at + 1) {
            let (head, tail) = rest.split_at(end);
            let start = end.checked_sub(WIDTH);
            let found = start.and_then(|start| Some((start, head.get(start..)?.parse().ok()?)));
            match found {
                None => told.push_str(head),
                Some((start, at)) => {
                    told.push_str(&head[..start]);
                    told.push_str(&self.in_sentence(at));
                }
            }
            rest = tail;
        }
        told + rest
    }

    /// Renders a time within a sentence, such as `Sun 02:30 CET (in 3 h)`.
    fn in_sentence(&self, at: Timestamp) -> String {
        let seconds = self.now.duration_until(at).as_secs();
        // Of this very minute the date is the news.
        if self.absolute || seconds.abs() < MINUTE {
            return self.local(at);
        }
        let moment = self.moment(at, &self.zone);
        if seconds > 0 {
            format!("{moment} (in {})", distance(seconds))
        } else {
            format!("{moment} ({})", self.past(at))
        }
    }

    /// Renders a past time, or a dash.
    pub fn past_or_nothing(&self, at: Option<Timestamp>) -> String {
        at.map_or_else(|| NOTHING.to_owned(), |at| self.past(at))
    }
}

/// Renders a span in one unit, such as `3 h`.
fn distance(seconds: i64) -> String {
    let seconds = seconds.abs();
    match seconds {
        ..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..TWO_DAYS => format!("{} h", seconds / HOUR),
        _ => format!("{} d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(absolute: bool) -> Clock {
        Clock {
            now: "2026-11-28T22:30:00Z".parse().unwrap(),
            zone: TimeZone::get("Europe/Berlin").unwrap(),
            absolute,
        }
    }

    #[test]
    fn past_times_are_distances() {
        let past = |at: &str| clock(false).past(at.parse().unwrap());
        assert_eq!(past("2026-11-28T22:29:30Z"), "just now");
        assert_eq!(past("2026-11-28T22:28:00Z"), "2 min ago");
        assert_eq!(past("2026-11-28T02:30:00Z"), "20 h ago");
        assert_eq!(past("2026-11-01T22:30:00Z"), "27 d ago");
        assert_eq!(past("2026-11-28T22:30:05Z"), "just now");
        assert_eq!(past("2026-11-28T22:30:06Z"), "2026-11-28 23:30 CET");
        let in_full = |at: &str| clock(false).past_in_full(at.parse::<Timestamp>().unwrap());
        assert_eq!(in_full("2026-11-28T22:30:05Z"), "just now (Sat 23:30 CET)");
        assert_eq!(in_full("2026-11-28T22:30:06Z"), "2026-11-28 23:30 CET");
        let exact = clock(true).past("2026-07-01T22:30:00Z".parse().unwrap());
        assert_eq!(exact, "2026-07-02 00:30 CEST");
    }

    #[test]
    fn times_to_come_have_their_zone_and_distance() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let future = |at: &str| clock(false).future(at.parse().unwrap(), &zone);
        assert_eq!(future("2026-11-29T01:30:00Z"), "Sun 02:30 CET, in 3 h");
        assert_eq!(
            future("2026-12-10T01:30:00Z"),
            "Thu 10 Dec 02:30 CET, in 11 d"
        );
        assert_eq!(
            future("2027-07-10T01:30:00Z"),
            "Sat 10 Jul 2027 03:30 CEST, in 223 d"
        );
        assert_eq!(future("2026-11-28T22:30:20Z"), "Sat 23:30 CET, now");
        assert_eq!(future("2026-11-28T21:30:00Z"), "Sat 22:30 CET, 1 h ago");
    }

    #[test]
    fn the_exact_times_of_a_message_are_those_of_the_reader() {
        let told = |message: &str| clock(false).told(message);
        assert_eq!(
            told("from 2026-11-28T20:30:00Z to 2026-11-29T01:30:00Z, not ZZ"),
            "from Sat 21:30 CET (2 h ago) to Sun 02:30 CET (in 3 h), not ZZ"
        );
        assert_eq!(
            told("ä at 2026-13-28T20:30:00Z"),
            "ä at 2026-13-28T20:30:00Z"
        );
        assert_eq!(told("nächtens 2026Z"), "nächtens 2026Z");
        let exact = clock(true).told("until 2026-11-29T01:30:00Z");
        assert_eq!(exact, "until 2026-11-29 02:30 CET");
    }
}
