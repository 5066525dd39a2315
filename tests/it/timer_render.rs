//! Pictures of the entries for all four back-ends, on every platform.

use hfdl::domain::units::Seconds;
use hfdl::timer::render::{self, BlockFlags, LaunchSession, TaskUser};
use hfdl::timer::{Encoding, TickTimes, TimerId, TimerSpec, render_steps};

fn look(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn plain() -> TimerSpec {
    TimerSpec {
        id: TimerId::parse("7f3a9c12").unwrap(),
        program: "/home/me/.cargo/bin/hfdl".to_owned(),
        home: "/home/me/.local/share/hfdl".to_owned(),
        database: Some("1f2e3d4c".to_owned()),
        tick: TickTimes::new(Seconds(900), "install", "host"),
        variables: Vec::new(),
    }
}

fn with_variables() -> TimerSpec {
    TimerSpec {
        home: "/srv/models & more/hfdl".to_owned(),
        tick: TickTimes::new(Seconds(3600), "install", "host"),
        variables: vec![
            ("HTTPS_PROXY".to_owned(), "http://proxy:3128".to_owned()),
            ("NO_PROXY".to_owned(), "localhost, .example.org".to_owned()),
        ],
        ..plain()
    }
}

#[test]
fn crontab_lines_look_right() {
    let once = render::crontab(&plain(), BlockFlags::default()).unwrap();
    let flags = BlockFlags {
        newline_added: true,
        is_new: true,
    };
    let other = render::crontab(&with_variables(), flags).unwrap();
    look("timer-crontab", &format!("{once}\n{other}"));
}

#[test]
fn systemd_units_look_right() {
    let texts = [plain(), with_variables()].map(|spec| {
        let (service, timer) = (render::systemd_service(&spec), render::systemd_timer(&spec));
        format!("{service}\n{timer}")
    });
    look("timer-systemd", &texts.join("\n"));
}

#[test]
fn launchd_agents_look_right() {
    let plain = render::launchd(&plain(), LaunchSession::Screen);
    let other = render::launchd(&with_variables(), LaunchSession::Background);
    look("timer-launchd", &format!("{plain}\n{other}"));
}

#[test]
fn tasks_look_right() {
    let user = TaskUser {
        sid: Some("S-1-5-21-1-2-3-1001".to_owned()),
        windowless: Some(r"C:\Program Files\hfdl\hfdlw.exe".to_owned()),
    };
    let spec = TimerSpec {
        program: r"C:\Program Files\hfdl\hfdl.exe".to_owned(),
        home: r"C:\Users\me & you\hfdl\".to_owned(),
        ..plain()
    };
    look(
        "timer-task-scheduler",
        &render::task_scheduler(&spec, &user),
    );
    // Without either it is still a task.
    let bare = render::task_scheduler(&spec, &TaskUser::default());
    assert!(bare.contains(r"<Command>C:\Program Files\hfdl\hfdl.exe</Command>"));
    assert!(!bare.contains("UserId"));
}

#[test]
fn a_dry_run_shows_files_and_commands_apart() {
    use hfdl::timer::InstallStep;
    let steps = [
        InstallStep::Write {
            path: "/a/b".into(),
            text: "text\n".to_owned(),
            encoding: Encoding::Utf16,
        },
        InstallStep::run("systemctl", &["--user", "daemon-reload"]),
        InstallStep::Remove { path: "/c".into() },
    ];
    assert_eq!(
        render_steps(&steps),
        "# write /a/b (as UTF-16, little-endian, with a byte order mark)\ntext\n\
         $ systemctl --user daemon-reload\n# remove /c\n"
    );
}
