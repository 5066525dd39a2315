//! The command line: one file per command, one way in, one way out.

mod adopt;
mod adopt_report;
mod apply;
mod change_note;
mod completions;
mod config;
mod context;
mod doctor;
mod download;
mod download_report;
mod dry_run_report;
mod due_plan_report;
mod explain;
mod export;
mod fields;
mod forecast_text;
mod groups;
mod habits;
mod help;
mod hf_flags;
mod init;
mod limits;
mod list_options;
mod lock;
mod lock_file;
mod logs;
mod man;
mod man_sections;
mod models;
mod names;
mod next_steps;
mod pause;
mod policy_text;
mod prune;
mod refused_line;
mod report;
mod run_due;
mod run_due_report;
mod run_id;
mod runs;
mod sbom;
mod schedules;
mod schema;
mod sessions;
mod sessions_show;
mod since;
mod start;
mod status;
mod status_text;
mod stop;
mod tags;
mod updates;
mod verify;
mod views;
mod watcher;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Error, Result};
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::context::Context;
use self::explain::{Complaint, Quiet, explain};
use crate::domain::invalid_value::InvalidValue;
use crate::domain::outcome::ExitStatus;
use crate::domain::settings::SettingKey;
use crate::ops::login::known_tokens;
use crate::sys::child;
use crate::sys::file_limit;
use crate::sys::host::Host;
use crate::sys::logging::{self, LogFormat, LogSettings};
use crate::sys::paths::Home;
use crate::ui::{Clock, ColourChoice, Format, Output};

/// Keep Hugging Face models, datasets and spaces on disk, verified and current
///
/// Nothing stays resident: a timer of the operating system starts hfdl, which does what is due and
/// exits. Models say which repositories to keep, and schedules when to check them; both are in one
/// database.
#[derive(Debug, Parser)]
#[command(
    name = "hfdl",
    bin_name = "hfdl",
    version,
    propagate_version = false,
    disable_help_subcommand = true,
    max_term_width = 100
)]
#[command(
    after_help = "`hfdl init` sets everything up; `hfdl help topics` lists the pages of the manual.\n\nExit codes: 0 ok, 1 failed, 2 usage, 3 integrity, 4 auth, 5 temporary, 6 disk, 8 transfer budget, \
                        10 time budget, 11 locked, 130/143 interrupted"
)]
#[command(after_long_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str =
    "`hfdl init` sets everything up; `hfdl help topics` lists the pages of the manual.

Examples:
  hfdl models add org/name                     keep a model
  hfdl models add org/name:Q4_K_M              keep one quantisation
  hfdl models add datasets/org/corpus --to /srv/corpus
  hfdl schedules add nightly --daily 02:30 --all --window 22:00-07:00
  hfdl schedules next                          see what is planned
  hfdl start                                   look every 15 minutes
  hfdl export > hfdl.yaml                      write everything down
  hfdl apply -f hfdl.yaml                      set it up elsewhere

Exit codes: 0 ok, 1 failed, 2 usage, 3 integrity, 4 auth, 5 temporary, 6 disk, 8 transfer budget, \
10 time budget, 11 locked, 130/143 interrupted";

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    // The variable is not read by clap: with a value in the environment it would print
    // `--home <DIR>` in every usage line and not show its help.
    /// Directory of the database, the logs and the lock [env: HFDL_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,

    /// Format of stdout: table, json or yaml
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "HFDL_FORMAT",
        hide_env_values = true,
        default_value = "table",
        value_parser = parse_format
    )]
    format: Format,

    /// Short for --format json
    #[arg(long, global = true)]
    json: bool,

    /// Print less on stderr; lists print only names
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Print more on stderr; twice or three times for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,

    /// Format of log lines and errors on stderr: text or json
    #[arg(
        long,
        global = true,
        value_name = "FORM",
        env = "HFDL_LOG_FORMAT",
        hide_env_values = true,
        default_value = "text"
    )]
    log_format: LogFormat,

    /// When to use colours: auto, always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColourChoice,

    /// Write the times in tables as exact dates
    #[arg(long, global = true)]
    absolute: bool,

    /// Answer yes to confirmations
    #[arg(short, long, global = true)]
    yes: bool,

    /// Use another value for a setting, for this command only
    #[arg(short = 'c', long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitCommand),
    #[command(alias = "model")]
    Models(models::ModelsCommand),
    #[command(alias = "schedule")]
    Schedules(schedules::SchedulesCommand),
    #[command(alias = "tag")]
    Tags(tags::TagsCommand),
    #[command(visible_alias = "run")]
    RunDue(run_due::RunDue),
    Download(download::Download),
    Adopt(adopt::AdoptCommand),
    Verify(verify::VerifyCommand),
    Prune(prune::PruneCommand),
    Report(report::ReportCommand),
    Status(status::StatusCommand),
    #[command(alias = "update")]
    Updates(updates::Updates),
    #[command(alias = "view")]
    Views(views::Views),
    #[command(alias = "session")]
    Sessions(sessions::Sessions),
    Runs(runs::Runs),
    Logs(logs::Logs),
    Pause(pause::PauseCommand),
    Resume(pause::Resume),
    Start(start::StartCommand),
    Stop(stop::StopCommand),
    Doctor(doctor::DoctorCommand),
    Config(config::Config),
    Apply(apply::Apply),
    Export(export::Export),
    Lock(lock_file::Lock),
    Sbom(sbom::Sbom),
    Schema(schema::SchemaCommand),
    Completions(completions::Completions),
    Man(man::Man),
    Help(help::Help),
}

/// Runs the program: arguments in, exit code out.
pub fn run() -> ExitCode {
    let host = Host::from_process();
    let status = catch_unwind(AssertUnwindSafe(|| run_with(&host))).unwrap_or(ExitStatus::Failed);
    logging::release();
    ExitCode::from(status.code())
}

fn run_with(host: &Host) -> ExitStatus {
    let parsed = command()
        .try_get_matches_from(host.arguments())
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(err) => return show_usage(host, &err),
    };
    let global = cli.global;
    let format = if global.json {
        Format::Json
    } else {
        global.format
    };
    let out = Output::new(host, format, global.color, global.quiet);
    logging::start(&LogSettings {
        verbosity: verbosity(host, &global),
        filter: host.variable("HFDL_LOG").map(str::to_owned),
        format: global.log_format,
        colour: out.colour_on_stderr,
    });
    child::register_secrets(known_tokens(host));
    file_limit::raise();
    let prepared = check_format(format, &cli.command)
        .and_then(|()| prepare(host, &global, out.clone()))
        .inspect_err(|err| tell_unreadable_tick(host, &explain(err).headline));
    let result = prepared.and_then(|context| dispatch(cli.command, &context));
    match result {
        Ok(status) => status,
        Err(error) => {
            if let Some(Quiet(status)) = error.downcast_ref::<Quiet>() {
                return *status;
            }
            log::debug!("{error:?}");
            let explanation = explain(&error);
            let clock = Clock::of_messages(host, global.absolute);
            explain::show(&explanation, &out, &clock, global.log_format);
            explanation.status
        }
    }
}

/// Shows the help or version that was asked for, or the reason why a line is refused.
fn show_usage(host: &Host, err: &clap::Error) -> ExitStatus {
    let arguments = host.arguments().iter().skip(1);
    let arguments: Vec<String> = arguments
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let is_about_help = matches!(
        err.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let complaint = habits::other_tool(err, &arguments)
        .or_else(|| (!is_about_help).then(|| refused_line::complaint(err, &command(), &arguments)));
    let Some(complaint) = complaint else {
        drop(err.print());
        return if err.use_stderr() {
            ExitStatus::Usage
        } else {
            ExitStatus::Ok
        };
    };
    let explanation = explain(&complaint.into());
    let out = Output::new(host, Format::Table, ColourChoice::Auto, false);
    let clock = Clock::of_messages(host, false);
    explain::show(&explanation, &out, &clock, log_format(host, &arguments));
    tell_unreadable_tick(host, &explanation.headline);
    explanation.status
}

/// Returns the form of errors that a line asks for, even if the rest of it is refused.
fn log_format(host: &Host, arguments: &[String]) -> LogFormat {
    let mut pairs = arguments.iter().zip(arguments.iter().skip(1));
    let apart = pairs.find_map(|(flag, value)| (flag == "--log-format").then_some(value.as_str()));
    let joined = || {
        arguments
            .iter()
            .find_map(|argument| argument.strip_prefix("--log-format="))
    };
    let word = apart
        .or_else(joined)
        .or_else(|| host.variable("HFDL_LOG_FORMAT"));
    word.and_then(|word| word.parse().ok())
        .unwrap_or(LogFormat::Text)
}

/// Tells of a timer's tick whose command line cannot be used, such as one that
/// another version of hfdl has written.
fn tell_unreadable_tick(host: &Host, why: &str) {
    let mut arguments = host.arguments().iter().skip(1).peekable();
    let mut line = vec![OsString::from("hfdl"), "run-due".into()];
    // Only the parts of the line that select the output are kept.
    let (mut is_tick, mut is_dry) = (false, false);
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        is_tick |= text == "run-due";
        is_dry |= ["-n", "--dry-run"].contains(&text.as_ref());
        let name = text.split('=').next().unwrap_or_default();
        if ["--home", "--trigger", "--metrics-file"].contains(&name) {
            line.push(argument.clone());
            line.extend(arguments.next_if(|_| !text.contains('=')).cloned());
        }
    }
    let parsed = Cli::try_parse_from(line)
        .ok()
        .filter(|_| is_tick && !is_dry);
    let Some((Command::RunDue(tick), global)) = parsed.map(|cli| (cli.command, cli.global)) else {
        return;
    };
    let out = Output::new(host, Format::Table, global.color, true);
    if let Ok(context) = prepare(host, &global, out) {
        tick.tell_unreadable_line(&context, why);
    }
}

/// Returns the verbosity: from the flags, else from the Hub's own variables.
fn verbosity(host: &Host, global: &Global) -> i8 {
    if global.quiet {
        return -1;
    }
    if global.verbose > 0 {
        return i8::try_from(global.verbose).unwrap_or(i8::MAX);
    }
    match host.variable("HF_HUB_VERBOSITY") {
        Some("debug") => 2,
        Some("info") => 1,
        Some("error" | "critical") => -1,
        _ if host.is_on("HF_DEBUG") => 2,
        _ => 0,
    }
}

/// Parses a format; `text` is another word for the table.
fn parse_format(text: &str) -> Result<Format, InvalidValue> {
    if text == "text" {
        return Ok(Format::Table);
    }
    text.parse()
}

/// Refuses a format that only a report has.
fn check_format(format: Format, command: &Command) -> Result<()> {
    let is_page = matches!(format, Format::Markdown | Format::Html);
    if !is_page || matches!(command, Command::Report(_)) {
        return Ok(());
    }
    let complaint = Complaint::usage(format!("`--format {format}` is for `hfdl report` only"));
    Err(complaint
        .next(format!("write {}", refused_line::formats("")))
        .into())
}

/// Returns the description of all commands, for parsing, completions and manual pages.
fn command() -> clap::Command {
    groups::with_repeatable(groups::grouped(Cli::command()))
}

fn prepare(host: &Host, global: &Global, out: Output) -> Result<Context> {
    host.check_variables()?;
    let mut flags = BTreeMap::new();
    for pair in &global.set {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::new(without_value(pair)))?;
        let key = SettingKey::find(key.trim())?;
        key.check(value)?;
        flags.insert(key, value.to_owned());
    }
    let given = host.variable("HFDL_HOME").map(PathBuf::from);
    let home = global.home.as_deref().or(given.as_deref());
    Ok(Context {
        host: host.clone(),
        home: Home::find(host, home)?,
        out,
        absolute: global.absolute,
        yes: global.yes || host.is_on("HFDL_YES"),
        log_format: global.log_format,
        flags,
    })
}

/// Complains about a `--set` that has no `=`.
fn without_value(text: &str) -> Complaint {
    let Ok(key) = SettingKey::find(text.trim()) else {
        let complaint = Complaint::usage(format!("`{text}` is not a setting"));
        return complaint.next("write `--set KEY=VALUE`");
    };
    let example = key.spec().default.unwrap_or("VALUE");
    Complaint::usage(format!("`-c {key}` has no value")).next(format!("write `-c {key}={example}`"))
}

fn dispatch(command: Command, context: &Context) -> Result<ExitStatus> {
    match command {
        Command::Init(command) => command.run(context),
        Command::Models(command) => command.run(context),
        Command::Schedules(command) => command.run(context),
        Command::Tags(command) => command.run(context),
        Command::RunDue(command) => command.run(context),
        Command::Download(command) => command.run(context),
        Command::Adopt(command) => command.run(context),
        Command::Verify(command) => command.run(context),
        Command::Prune(command) => command.run(context),
        Command::Report(command) => command.run(context),
        Command::Status(command) => command.run(context),
        Command::Views(command) => command.run(context),
        Command::Sessions(command) => command.run(context),
        Command::Runs(command) => command.run(context),
        Command::Pause(command) => command.run(context),
        Command::Resume(command) => command.run(context),
        Command::Start(command) => command.run(context),
        Command::Stop(command) => command.run(context),
        Command::Doctor(command) => command.run(context),
        Command::Config(command) => command.run(context),
        Command::Apply(command) => command.run(context),
        Command::Export(command) => command.run(context),
        Command::Lock(command) => command.run(context),
        Command::Sbom(command) => command.run(context),
        Command::Schema(command) => command.run(context),
        Command::Logs(command) => command.run(context),
        Command::Updates(command) => command.run(context),
        Command::Completions(command) => command.run(context),
        Command::Man(command) => command.run(context),
        Command::Help(command) => command.run(context),
    }
}
