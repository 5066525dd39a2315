//! Log records on stderr and, during a run, in a log file.
//!
//! There are two `env_logger`s: the one for stderr follows `-q`, `-v` and
//! `HFDL_LOG`; the one for the file writes JSON lines at `debug` regardless of the
//! verbosity, because questions arise after the run.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use log::{LevelFilter, Log, Metadata, Record};

use crate::domain::outcome::words;
use crate::domain::time::Timestamp;
use crate::sys::live_lines;
use crate::sys::text::{escaped, steers_terminal};

words! {
    /// The format of log lines on stderr.
    LogFormat {
        Text = "text",
        Json = "json",
    }
}

/// Settings of the log on stderr.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// 0 shows warnings, 1 more, and so on; -1 only errors.
    pub verbosity: i8,
    /// The `HFDL_LOG` filter, which overrides the verbosity.
    pub filter: Option<String>,
    pub format: LogFormat,
    pub colour: bool,
}

/// The target of records about the end of a session or run. The command's report
/// says the same, so stderr shows these records only with `-v`.
pub const SESSION: &str = "hfdl::session";

/// The package that checks certificates against those of the operating system. It logs
/// each refusal in the words of a library; the error of the command says the same in
/// plain ones.
const TLS_VERIFIER: &str = "rustls_platform_verifier";

/// Lines for stderr that wait until the summary of a run has been printed.
static HELD_BACK: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Held lines take no more memory than this; the log file has the rest.
const MOST_HELD: usize = 256 << 10;

/// Holds warnings back from stderr until `release`, so that the first line of a mail
/// is the summary. With `-v` each line is printed at once.
pub fn hold_back() {
    let is_brief = LOGGERS
        .get()
        .is_some_and(|loggers| loggers.stderr.filter() <= LevelFilter::Warn);
    if is_brief {
        held_back().get_or_insert_default();
    }
}

/// Prints lines that were held back, and from now on each as it comes.
pub fn release() {
    let lines = held_back().take().unwrap_or_default();
    // A closed stderr is no error.
    let _ = live_lines::write(&lines);
}

fn held_back() -> MutexGuard<'static, Option<Vec<u8>>> {
    HELD_BACK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// stderr, or the lines that wait for it.
struct StderrWriter;

impl Write for StderrWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match held_back().as_mut() {
            Some(held) if held.len() + bytes.len() <= MOST_HELD => held.extend_from_slice(bytes),
            Some(_) => {}
            None => live_lines::write(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

struct Loggers {
    stderr: env_logger::Logger,
    file: RwLock<Option<env_logger::Logger>>,
}

static LOGGERS: OnceLock<Loggers> = OnceLock::new();

/// The id of the current run.
static RUN: RwLock<Option<String>> = RwLock::new(None);

struct LogDispatch;

impl Log for LogDispatch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // At `trace` ureq logs whole URLs, and a signed URL is a secret.
        if metadata.level() == log::Level::Trace && metadata.target().starts_with("ureq") {
            return false;
        }
        LOGGERS.get().is_some_and(|loggers| {
            loggers.stderr.enabled(metadata)
                || loggers
                    .with_file(|file| file.enabled(metadata))
                    .unwrap_or(false)
        })
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(loggers) = LOGGERS.get().filter(|_| self.enabled(record.metadata())) {
            loggers.stderr.log(record);
            loggers.with_file(|file| file.log(record));
        }
    }

    fn flush(&self) {}
}

impl Loggers {
    fn with_file<T>(&self, action: impl FnOnce(&env_logger::Logger) -> T) -> Option<T> {
        self.file.read().ok()?.as_ref().map(action)
    }
}

/// Starts logging to stderr. Later calls have no effect.
pub fn start(settings: &LogSettings) {
    let level = match settings.verbosity {
        i8::MIN..=-1 => LevelFilter::Error,
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let mut builder = env_logger::Builder::new();
    let problem = settings.filter.as_deref().and_then(filter_problem);
    match settings.filter.as_ref().filter(|_| problem.is_none()) {
        Some(filter) => builder.parse_filters(filter),
        None => {
            let with_details = if level > LevelFilter::Warn {
                level
            } else {
                LevelFilter::Off
            };
            // Other packages log only warnings and errors.
            builder
                .filter_level(level.min(LevelFilter::Warn))
                .filter_module("hfdl", level)
                .filter_module(SESSION, with_details)
                .filter_module(TLS_VERIFIER, with_details.min(LevelFilter::Warn))
        }
    };
    let (format, colour) = (settings.format, settings.colour);
    builder
        .target(env_logger::Target::Pipe(Box::new(StderrWriter)))
        .format(move |out, record| match format {
            LogFormat::Json => write_json(out, record),
            LogFormat::Text => write_text(out, record, colour),
        });
    let loggers = Loggers {
        stderr: builder.build(),
        file: RwLock::new(None),
    };
    let level = loggers.stderr.filter();
    if LOGGERS.set(loggers).is_ok() && log::set_logger(&LogDispatch).is_ok() {
        log::set_max_level(level);
    }
    if let Some(problem) = problem {
        log::warn!("`HFDL_LOG` is ignored: {problem}");
    }
}

/// Returns the reason why a filter is invalid. The library takes every unknown word
/// for a package name, and would then log nothing of hfdl.
fn filter_problem(filter: &str) -> Option<String> {
    const PACKAGES: [&str; 5] = ["hfdl", "ureq", "ureq_proto", "rustls", TLS_VERIFIER];
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_package = |word: &str| {
        let package = word.split("::").next().unwrap_or(word);
        PACKAGES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(package))
    };
    let directives = filter.split('/').next().unwrap_or(filter).split(',');
    let mut directives = directives.map(str::trim).filter(|word| !word.is_empty());
    let (kind, wrong) = directives.find_map(|word| match word.split_once('=') {
        Some((package, _)) if !is_package(package.trim()) => Some(("package", package.trim())),
        Some((_, level)) => (!is_level(level.trim())).then_some(("level", level.trim())),
        None => (!is_level(word) && !is_package(word)).then_some(("level", word)),
    })?;
    let wrong: String = wrong.chars().take(40).collect();
    Some(format!(
        "`{}` is no {kind}; write `debug` or `hfdl=debug`, with off, error, warn, info, debug or trace",
        escaped(&wrong)
    ))
}

/// Opens the log file of a run; from now on every record is written there too.
pub fn start_file(directory: &Path, run_id: &str, started_at: Timestamp) -> Result<PathBuf> {
    if let Ok(mut run) = RUN.write() {
        *run = Some(run_id.to_owned());
    }
    let path = directory.join(file_name(run_id, started_at));
    let context = || format!("cannot create the log file `{}`", path.display());
    std::fs::create_dir_all(directory).with_context(context)?;
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(context)?;
    let logger = env_logger::Builder::new()
        .filter_level(LevelFilter::Warn)
        .filter_module("hfdl", LevelFilter::Debug)
        .target(env_logger::Target::Pipe(Box::new(RunLog {
            file,
            path: path.clone(),
            has_failed: false,
        })))
        .format(write_json)
        .build();
    if let Some(loggers) = LOGGERS.get() {
        log::set_max_level(loggers.stderr.filter().max(logger.filter()));
        if let Ok(mut slot) = loggers.file.write() {
            *slot = Some(logger);
        }
    }
    Ok(path)
}

/// The log file of a run. The first line that cannot be written is a warning on stderr.
struct RunLog {
    file: File,
    path: PathBuf,
    has_failed: bool,
}

impl Write for RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        if let Err(err) = &written
            && !std::mem::replace(&mut self.has_failed, true)
        {
            let path = self.path.display();
            let line = format!("warn: cannot write the log file `{path}`: {err}\n");
            let _ = live_lines::write(line.as_bytes());
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// File names sort by time and contain the run's id.
fn file_name(run_id: &str, started_at: Timestamp) -> String {
    format!("{}-{run_id}.log", started_at.strftime("%Y%m%dT%H%M%SZ"))
}

fn write_text(out: &mut impl Write, record: &Record<'_>, colour: bool) -> io::Result<()> {
    let level = record.level().as_str().to_lowercase();
    let message = record.args().to_string();
    // Records contain text from servers, programs and file names.
    let message = escaped(&message);
    if colour {
        let code = match record.level() {
            log::Level::Error => 31,
            log::Level::Warn => 33,
            log::Level::Info => 32,
            log::Level::Debug | log::Level::Trace => 36,
        };
        writeln!(out, "\u{1b}[{code}m{level}\u{1b}[0m: {message}")
    } else {
        writeln!(out, "{level}: {message}")
    }
}

/// One JSON object a line: `at`, `level`, `run_id` during a run, `target`, `message`.
fn write_json(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let run = RUN.read().ok().and_then(|run| run.clone());
    writeln!(
        out,
        "{{\"at\":\"{}\",\"level\":\"{}\",{}\"target\":\"{}\",\"message\":{}}}",
        // Real time even under a test clock: it orders lines and decides nothing.
        Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
        record.level().as_str().to_lowercase(),
        run.map_or_else(String::new, |run| format!(
            "\"run_id\":{},",
            json_string(&run)
        )),
        record.target(),
        json_string(&record.args().to_string()),
    )
}

fn json_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if steers_terminal(c) => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The log file of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    pub path: PathBuf,
    pub run_id: String,
    pub started_at: Timestamp,
    pub size_bytes: u64,
}

/// Lists the log files, oldest first; other files are ignored.
pub fn list_files(directory: &Path) -> Result<Vec<LogFile>> {
    let context = || format!("cannot list the log files in `{}`", directory.display());
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(err).with_context(context),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.with_context(context)?;
        let name = entry.file_name();
        let Some((started_at, run_id)) = name.to_str().and_then(parse_file_name) else {
            continue;
        };
        // Another process may have just pruned the file.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        files.push(LogFile {
            path: entry.path(),
            run_id,
            started_at,
            size_bytes: metadata.len(),
        });
    }
    files.sort_by(|a, b| (a.started_at, &a.run_id).cmp(&(b.started_at, &b.run_id)));
    Ok(files)
}

fn parse_file_name(name: &str) -> Option<(Timestamp, String)> {
    let (stamp, run_id) = name.strip_suffix(".log")?.split_once('-')?;
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some((at, run_id.to_owned()))
}

/// Decides which log files to delete: those that are too old, then the oldest until
/// the rest fits the size. The newest is always kept.
pub fn plan_pruning(
    files: &[LogFile],
    now: Timestamp,
    keep: Duration,
    most_bytes: u64,
) -> Vec<LogFile> {
    let mut total: u64 = files.iter().map(|file| file.size_bytes).sum();
    let keep = jiff::SignedDuration::try_from(keep).unwrap_or(jiff::SignedDuration::MAX);
    let mut pruned = Vec::new();
    for file in files.iter().take(files.len().saturating_sub(1)) {
        if now.duration_since(file.started_at) > keep || total > most_bytes {
            total -= file.size_bytes;
            pruned.push(file.clone());
        }
    }
    pruned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_log_on_a_full_disk_warns_once_and_stays_a_log() {
        let path = PathBuf::from("/dev/full");
        let file = File::options().write(true).open(&path).unwrap();
        let mut log = RunLog {
            file,
            path,
            has_failed: false,
        };
        for _ in 0..2 {
            let err = log.write(b"line\n").unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::StorageFull);
            assert!(log.has_failed);
        }
    }

    fn file(day: i8, size_bytes: u64) -> LogFile {
        let started_at: Timestamp = format!("2026-01-{day:02}T00:00:00Z").parse().unwrap();
        LogFile {
            path: PathBuf::from(format!("{day}")),
            run_id: "x".to_owned(),
            started_at,
            size_bytes,
        }
    }

    #[test]
    fn old_logs_go_first_then_the_oldest_until_the_rest_fits() {
        let files = [file(1, 10), file(2, 10), file(3, 10), file(4, 10)];
        let now = "2026-01-04T12:00:00Z".parse().unwrap();
        let days = |n: u64| Duration::from_secs(n * 86_400);
        let pruned = |keep, most| plan_pruning(&files, now, keep, most).len();
        assert_eq!(pruned(days(30), 100), 0);
        assert_eq!(pruned(days(2), 100), 2);
        assert_eq!(pruned(days(30), 25), 2);
        assert_eq!(pruned(days(0), 0), 3, "the newest stays");
    }

    #[test]
    fn a_log_file_is_found_again_by_its_name() {
        let at: Timestamp = "2026-01-31T23:59:58Z".parse().unwrap();
        let id = "01936b1e-0000-7000-8000-000000000000";
        assert_eq!(
            parse_file_name(&file_name(id, at)),
            Some((at, id.to_owned()))
        );
        assert_eq!(parse_file_name("notes.txt"), None);
    }

    #[test]
    fn an_invalid_filter_is_reported() {
        for good in [
            "debug",
            "HFDL=off",
            "hfdl::hub=trace,warn",
            "ureq",
            "info/regex",
            "",
        ] {
            assert_eq!(filter_problem(good), None, "{good}");
        }
        for (bad, word) in [
            ("loud", "`loud`"),
            ("hfdl=loud", "`loud`"),
            ("hfld=debug", "`hfld`"),
            ("debug,verbose", "`verbose`"),
        ] {
            let problem = filter_problem(bad).unwrap();
            assert!(problem.starts_with(word), "{problem}");
        }
    }

    #[test]
    fn a_message_stays_one_line_of_json() {
        assert_eq!(json_string("a\"b\\c\nd\u{1}"), r#""a\"b\\c\nd\u0001""#);
    }
}
