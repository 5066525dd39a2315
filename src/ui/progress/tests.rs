use console::measure_text_width;

use super::*;

fn progress(unicode: bool, colour: bool) -> Progress {
    Progress::new(&output(unicode, colour))
}

fn output(unicode: bool, colour: bool) -> Output {
    Output {
        colour_on_stderr: colour,
        unicode,
        ..Output::plain(None)
    }
}

fn size(columns: u16) -> TerminalSize {
    TerminalSize { columns, rows: 24 }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two models with names of sixty characters, and six files of the first one.
fn busy(unicode: bool, colour: bool) -> (Progress, String) {
    let mut progress = progress(unicode, colour);
    let long = format!("acme/{}", "very-long-name-".repeat(4));
    for model in 0..2 {
        progress.start_check(model, &long);
        progress.end_check(model);
    }
    progress.add_fetches(1200, 300 << 20, 49 << 20);
    for n in 0..6 {
        let name = format!("{long}: model-0000{n}-of-00006.safetensors");
        progress.start_file(&name, 1 << 20, 1 << 19);
    }
    progress.render(size(80), at(0));
    (progress, long)
}

#[test]
fn no_line_is_as_wide_as_the_terminal_and_the_four_busiest_files_have_one() {
    for (unicode, colour) in [(true, false), (true, true), (false, false)] {
        for columns in [20, 40, 60, 80, 100, 200] {
            let (mut progress, long) = busy(unicode, colour);
            progress.fetched(&format!("{long}: model-00005-of-00006.safetensors"), 9);
            progress.copied("other", 5 << 30);
            progress.wait(Some(&"x".repeat(300)), "rate limited", Some(at(8)));
            progress.chosen = Stopwatch::start();
            for file in &mut progress.active {
                file.is_shown = false;
            }
            let lines = progress.render(size(columns), at(3));
            // The reason and the time need a second line of their own at 20 columns.
            let n_of_wait = if columns < 40 { 3 } else { 2 };
            assert_eq!(lines.len(), 2 + MOST_FILES + n_of_wait, "{lines:#?}");
            for line in &lines {
                let width = measure_text_width(line);
                assert!(width < usize::from(columns), "{columns}: {line}");
                assert!(unicode || line.is_ascii(), "{line}");
                assert!(colour || !line.contains('\u{1b}'), "{line}");
            }
            assert!(columns < 60 || lines[5].ends_with("05-of-00006.safetensors"));
        }
    }
}

#[test]
fn resumed_bytes_count_as_done_and_not_into_the_rate() {
    let (mut progress, long) = busy(true, false);
    let lines = progress.render(size(100), at(1));
    assert_eq!(
        lines[1],
        "━━━─────────────────────   14 %  49.0 MiB of 349 MiB"
    );
    assert!(lines[0].ends_with("  0 of 1200 files, 0 of 2 models"));
    for seconds in 1..4 {
        progress.fetched(&long, 10 << 20);
        progress.render(size(100), at(seconds));
    }
    let line = &progress.render(size(100), at(4))[1];
    assert!(
        line.ends_with("22 %  79.0 MiB of 349 MiB  10.0 MiB/s  27 s left"),
        "{line}"
    );
}

#[test]
fn the_time_left_is_hidden_until_it_is_known() {
    let (mut progress, long) = busy(true, false);
    progress.fetched(&long, 1 << 20);
    for millis in [300, 600] {
        let lines = progress.render(size(100), Duration::from_millis(millis));
        assert!(!lines[1].contains("left"), "{}", lines[1]);
    }
    progress.render(size(100), at(3));
    progress.start_check(7, "acme/third");
    let lines = progress.render(size(100), at(4));
    assert!(!lines[1].contains("left"), "{}", lines[1]);
    assert_eq!(lines.last().unwrap(), "asking the Hub about acme/third …");
    progress.end_check(7);
    assert!(progress.render(size(100), at(5))[1].contains(" left"));
}

#[test]
fn a_stall_hides_the_time_left_instead_of_letting_it_grow() {
    let (mut progress, long) = busy(true, false);
    for seconds in 0..4 {
        progress.fetched(&long, 10 << 20);
        progress.snapshot_at(at(seconds));
    }
    assert!(progress.snapshot_at(at(7)).seconds_left.is_some());
    for seconds in [8, 12, 3_600] {
        assert_eq!(progress.snapshot_at(at(seconds)).seconds_left, None);
    }
}

#[test]
fn files_that_were_here_count_and_failed_ones_do_not() {
    let mut progress = progress(true, false);
    progress.start_check(1, "acme/tiny");
    progress.end_check(1);
    progress.add_reads(1, 9);
    progress.end_read("r", true);
    progress.add_here(1, 10 << 20);
    progress.add_fetches(6, 60 << 20, 0);
    progress.end_file("a", 1, 0);
    for name in ["b", "c", "d"] {
        progress.end_file(name, 0, 0);
    }
    let lines = progress.render(size(100), at(0));
    assert_eq!(lines[0], "acme/tiny  2 of 7 files");
    assert!(
        lines[1].contains("  14 %  10.0 MiB of 70.0 MiB"),
        "{}",
        lines[1]
    );
}

#[test]
fn a_sentence_names_models_bytes_and_files() {
    let mut progress = progress(true, false);
    progress.start_check(1, "acme/a");
    assert_eq!(progress.sentence(), None);
    progress.add_fetches(1, 3 << 20, 1 << 20);
    let line = "acme/a: 1.00 MiB of 4.00 MiB here (25 %), 0 of 1 file";
    assert_eq!(progress.sentence().as_deref(), Some(line));
    for model in [2, 3] {
        progress.start_check(model, "acme/b");
    }
    progress.end_model(3);
    progress.copied("x", 7 << 20);
    let line = "acme/a and 1 more (1 of 3 models done): 1.00 MiB of 4.00 MiB here (25 %), \
                0 of 1 file, 7.00 MiB copied";
    assert_eq!(progress.sentence().as_deref(), Some(line));
}

#[test]
fn a_wait_is_counted_down_and_ends() {
    let mut progress = progress(false, false);
    progress.start_check(1, "acme/tiny");
    progress.wait(None, "rate limited", Some(at(8)));
    progress.wait(None, "HTTP 503", Some(Duration::ZERO));
    let expected = [
        "asking the Hub about acme/tiny ...",
        "HTTP 503, trying again",
        "rate limited, again in 8 s",
    ];
    assert_eq!(progress.render(size(80), at(0)), expected);
    progress.end_model(1);
    progress.waits = Waits::default();
    assert!(progress.render(size(80), at(1)).is_empty());
}

#[test]
fn on_a_short_terminal_files_go_before_waits() {
    let (mut progress, _) = busy(true, false);
    progress.wait(None, "rate limited", Some(at(8)));
    let lines = progress.render(
        TerminalSize {
            columns: 80,
            rows: 5,
        },
        at(0),
    );
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[3], "rate limited, again in 8 s");
}

#[test]
fn another_process_shows_counts_bytes_files_and_waits_within_its_text() {
    let (mut progress, _) = busy(true, true);
    progress.wait(None, "rate limited", Some(at(8)));
    let mut told = progress.snapshot_at(at(3));
    told.waits[0].left = Some(at(8));
    let lines = ProgressLines::within_text(&output(true, true));
    let lines = lines.beneath_models(&told, 60);
    assert_eq!(lines[0], "0 of 1200 files, 0 of 2 models");
    assert!(
        lines[1].starts_with("14 %  49.0 MiB of 349 MiB"),
        "{}",
        lines[1]
    );
    assert_eq!(lines.last().unwrap(), "rate limited, again in 8 s");
    assert_eq!(lines.len(), 3 + MOST_FILES);
    for line in &lines {
        assert!(
            measure_text_width(line) <= 60 && !line.contains('\u{1b}'),
            "{line}"
        );
    }
    (told.waits, told.stalled_for) = (Vec::new(), Some(at(7)));
    let lines = ProgressLines::within_text(&output(true, true));
    let stalled = lines.beneath_models(&told, 60);
    assert_eq!(
        stalled.last().unwrap(),
        "stalled: no data for 7 s; will reconnect"
    );
}
