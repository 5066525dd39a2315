//! The contract of the command line as a checklist: each flag, setting and exit
//! code names the test that proves it, and the lists are complete.
//!
//! A flag or setting that is new has no line here, and a test that is renamed
//! has none either: both fail.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use hfdl::domain::outcome::ExitStatus;
use hfdl::domain::settings::SettingKey;
use hfdl_test_hub::{Fault, On, generated_bytes};
use serde_json::Value;

use super::cli_pictures::all_commands;
use crate::support::due::{keep_large, roomy_world};
use crate::support::env::TestEnv;

/// A command, some of its flags, and the test in which they act.
#[rustfmt::skip]
const FLAGS: &[(&str, &str, &str)] = &[
    ("models add", "--revision --to --name", "cli_models::the_same_repository_may_be_kept_elsewhere_or_at_another_revision"),
    ("models add", "--include", "cli_models::the_counts_are_those_that_the_filters_select"),
    ("models add", "--repo-type", "selections::a_kernel_is_kept_like_any_repository"),
    ("models add", "--exclude", "contract_flags::patterns_of_add_select_files"),
    ("models add", "--tag --priority", "cli_models::a_model_is_added_listed_changed_and_removed"),
    ("models add", "--keep-revisions", "prune::models_of_one_repository_keep_together_what_each_of_them_keeps"),
    ("models add", "--token-name", "logins::a_model_is_read_with_the_token_of_its_name"),
    ("models add", "--no-check", "cli_models::no_check_asks_the_hub_nothing"),
    ("models add", "--view", "views::a_view_shows_each_new_revision_and_goes_back_with_a_rollback"),
    ("models add", "--view-map --copy", "views::a_model_can_be_added_with_all_that_its_view_needs"),
    ("init", "--model --cache --daily --tz --window --timer --file", "init::flags_answer_every_question_and_twice_is_the_same_as_once"),
    ("models list", "--tag", "cli_models::models_are_listed_by_tag"),
    ("models list", "--state", "cli_models::a_model_is_added_listed_changed_and_removed"),
    ("models set", "--revision", "cli_models::no_check_asks_the_hub_nothing"),
    ("models set", "--include --name --priority --keep-revisions --no-include --no-tag --no-keep-revisions", "cli_models::a_model_is_added_listed_changed_and_removed"),
    ("models set", "--exclude --no-exclude", "cli_sessions::a_file_gone_upstream_is_listed_as_removed_while_the_old_listing_is_kept"),
    ("models set", "--token-name --no-token-name", "logins::an_unknown_token_name_fails_its_own_model_and_lists_the_names"),
    ("models set", "--to", "cli_models::a_directory_has_one_model"),
    ("models set", "--tag", "run_due_crowd::people_can_look_and_change_things_while_a_run_writes"),
    ("models set", "--view --no-view", "views::another_view_takes_the_place_of_the_old_one"),
    ("models set", "--view-map --no-view-map", "views::a_comfyui_view_has_the_files_that_the_map_names"),
    ("models set", "--copy --no-copy", "views::views_are_exported_and_applied"),
    ("models add", "--policy --delay --follow-tags --guards", "tags::a_model_is_added_with_rules_that_do_not_contradict_each_other"),
    ("models set", "--policy --delay --follow-tags --guards --no-policy --no-delay --no-follow-tags --no-guards", "tags::each_field_of_a_tag_is_set_and_taken_back"),
    ("tags set", "--limit-daily --limit-monthly --no-limit-daily --no-limit-monthly", "allowances::the_models_of_a_tag_share_its_allowance"),
    ("tags set", "--policy --delay --follow-tags --guards --no-policy --no-delay --no-follow-tags --no-guards", "tags::each_field_of_a_tag_is_set_and_taken_back"),
    ("models remove", "--delete-files", "cli_remove_files::the_last_model_of_a_repository_takes_its_folder_along"),
    ("models path", "--revision", "selections::the_path_of_a_model_is_printed_without_the_hub"),
    ("models rollback", "--to", "rollback::a_commit_can_be_named_by_its_first_digits"),
    ("schedules add", "--every --daily --weekly --monthly --cron --once", "cli_schedules::every_cadence_plans_its_slots"),
    ("schedules add", "--tz", "cli_database::a_state_directory_is_enough_for_an_empty_environment"),
    ("schedules add", "--all", "budgets::nights_under_a_budget_ask_for_no_more_than_may_come"),
    ("schedules add", "--model", "cli_schedules::a_schedule_of_a_removed_model_covers_nothing"),
    ("schedules add", "--tag", "cli_schedules::overlaps_and_empty_selections_are_worth_a_warning"),
    ("schedules add", "--window", "cli_schedules::windows_say_when_a_slot_starts_and_must_end"),
    ("schedules add", "--catch-up", "run_due::missed_slots_are_answered_by_one_run_or_recorded_as_missed"),
    ("schedules add", "--catch-up-within", "run_due_clock::a_longer_period_of_the_timer_names_the_schedules_that_it_makes_impossible"),
    ("schedules add", "--jitter", "cli_schedules::jitter_moves_the_start_and_stays_the_same"),
    ("schedules add", "--limit-rate", "run_due_limits::a_rate_of_the_schedule_holds_for_its_models"),
    ("schedules add", "--max-duration", "contract_flags::each_flag_of_schedules_set_changes_its_field"),
    ("schedules add", "--max-transfer", "budgets::a_budget_is_shared_among_many_files_and_connections"),
    ("schedules add", "--limit-daily --limit-monthly", "allowances::a_schedule_has_allowances_of_its_own_in_its_zone"),
    ("schedules set", "--limit-daily --limit-monthly --no-limit-daily --no-limit-monthly", "allowances::a_schedule_has_allowances_of_its_own_in_its_zone"),
    ("schedules add", "--priority", "cli_status::the_next_five_schedules_are_listed_in_order"),
    ("schedules set", "--every --daily --weekly --monthly --cron --once --tz --all --model --tag --window --catch-up --catch-up-within --jitter --limit-rate --max-duration --max-transfer --priority --no-window --no-catch-up-within --no-limit-rate --no-max-duration --no-max-transfer --name", "contract_flags::each_flag_of_schedules_set_changes_its_field"),
    ("schedules next", "--count --from", "cli_schedules::slots_that_the_clocks_skip_or_repeat_come_once"),
    ("run-due", "--dry-run --at", "run_due::a_dry_run_answers_for_any_moment_and_writes_nothing"),
    ("run-due", "--schedule", "run_due::only_the_named_schedules_count"),
    ("run-due", "--wait", "run_due_crowd::a_wait_for_the_lock_ends_with_its_release_or_its_limit"),
    ("run-due", "--max-duration", "run_due_clock::a_run_lasts_no_longer_because_the_clock_is_put_back"),
    ("run-due", "--max-transfer --limit-rate", "contract_flags::limits_hold_as_flags_and_as_settings"),
    ("run-due", "--ignore-limits", "allowances::one_command_may_go_beyond_the_allowance_and_its_bytes_count"),
    ("run-due", "--new-place", "places::a_cache_that_was_deleted_on_purpose_begins_anew_with_one_word"),
    ("run-due", "--shard", "run_due_crowd::each_model_is_in_one_shard_and_stays_there"),
    ("run-due", "--metrics-file", "notify::the_flag_names_another_file_and_a_missing_folder_is_a_warning"),
    ("run-due", "--trigger", "truth_of_output::a_document_tells_of_a_locked_paused_or_idle_run"),
    ("run-due", "--database", "timer_database::another_database_in_the_place_of_the_first_is_noticed"),
    ("download", "--token-name", "logins::a_model_is_read_with_the_token_of_its_name"),
    ("download", "--repo-type", "selections::a_kernel_is_kept_like_any_repository"),
    ("download", "--revision", "contract_flags::a_revision_by_flag_is_fetched"),
    ("download", "--include", "download::one_file_by_hand_prints_its_path_and_does_not_hide_the_others"),
    ("download", "--exclude", "download::patterns_choose_files"),
    ("download", "--to", "delta_places::a_directory_that_is_not_registered_is_updated_by_its_notes"),
    ("download", "--all --tag", "download::a_registered_name_uses_what_is_stored_and_its_state_is_kept"),
    ("download", "--force", "contract_flags::force_fetches_again_what_is_there"),
    ("download", "--accept", "held_updates::a_repository_that_was_emptied_is_held_for_as_many_nights_as_it_takes"),
    ("download", "--delete", "download::a_directory_gets_plain_files_and_keeps_the_users_own"),
    ("download", "--dry-run", "dead_ends::a_dead_end_of_another_hub_or_of_a_clock_that_was_wrong_closes_nothing"),
    ("download", "--local-dir --cache-dir", "habits::the_directory_and_cache_flags_of_the_official_client_choose_the_place"),
    ("download", "--max-workers", "habits::force_download_and_max_workers_do_as_in_the_official_client"),
    ("download", "--wait", "download::a_held_lock_has_its_own_exit_code_and_is_recorded"),
    ("download", "--max-duration", "truth_of_output::no_time_is_enough_for_a_model_that_is_whole"),
    ("download", "--max-transfer", "download::a_transfer_budget_ends_the_run_and_the_next_goes_on"),
    ("download", "--limit-rate", "contract_flags::limits_hold_as_flags_and_as_settings"),
    ("download", "--ignore-limits", "allowances::one_command_may_go_beyond_the_allowance_and_its_bytes_count"),
    ("download", "--new-place", "places::a_cache_that_was_deleted_on_purpose_begins_anew_with_one_word"),
    ("verify", "--repair", "verify::a_bad_file_is_named_and_repaired_alone"),
    ("verify", "--sample", "verify::a_sample_takes_what_was_verified_longest_ago"),
    ("verify", "--offline", "verify::offline_means_no_request_even_without_a_listing"),
    ("verify", "--wait", "contract_flags::verify_waits_for_the_lock_as_long_as_asked"),
    ("adopt", "--dry-run", "adopt::a_dry_run_counts_and_reads_nothing"),
    ("adopt", "--move", "adopt::a_moved_file_leaves_its_place_when_a_download_wants_it"),
    ("adopt", "--match", "adopt::a_match_counts_the_files_of_each_model_and_moves_what_is_nearly_whole"),
    ("adopt", "--list --forget", "adopt::what_is_adopted_is_listed_and_forgotten"),
    ("prune", "--dry-run", "prune::of_five_revisions_the_two_newest_stay_and_so_does_what_they_share"),
    ("prune", "--keep-revisions", "prune::one_kept_revision_leaves_no_rollback_target"),
    ("prune", "--older-than", "prune::young_revisions_beyond_the_number_to_keep_stay"),
    ("prune", "--make-room", "cache_max_size::prune_auto_removes_the_oldest_revisions_until_the_download_fits"),
    ("prune", "--only-copies", "only_copies::only_copies_go_when_a_person_names_them"),
    ("prune", "--max-size", "prune::the_oldest_revisions_are_removed_until_the_rest_fits_and_protected_ones_stay"),
    ("report", "--since --until", "report::a_period_and_names_narrow_a_report"),
    ("report", "--output", "report::an_output_file_is_replaced_as_a_whole_and_readable_by_all"),
    ("status", "--watch", "cli_status::watching_into_a_pipe_prints_what_is_new"),
    ("updates list", "--all", "updates::an_approved_update_is_published_by_the_next_run"),
    ("updates approve", "--commit --note", "updates::an_approved_update_is_published_by_the_next_run"),
    ("updates reject", "--note", "updates::a_rejected_update_stays_held_in_silence_and_the_next_commit_is_new"),
    ("sessions list", "--model --run --outcome --since --limit", "cli_sessions::the_list_is_newest_first_and_every_filter_narrows_it"),
    ("runs list", "--since --limit", "cli_runs::the_list_is_newest_first_and_can_be_narrowed"),
    ("logs", "--run --last --level", "cli_logs::logs_lists_the_runs_and_shows_one_as_deeply_as_asked"),
    ("logs", "--follow", "truth_of_output::following_the_log_of_a_run_that_is_over_ends"),
    ("pause", "--until --for", "cli_pause::a_pause_ends_by_itself"),
    ("pause", "--reason", "cli_pause::a_pause_holds_until_it_is_resumed"),
    ("start", "--every", "timer_crontab::another_period_changes_the_minutes_and_stays"),
    ("start", "--backend", "start_stop::another_back_end_replaces_the_first"),
    ("start", "--env", "start_stop::requested_variables_are_in_the_entry_and_secrets_are_refused"),
    ("start", "--dry-run", "start_stop::systemd_comes_before_the_crontab_where_it_answers"),
    ("stop", "--timer-only", "start_stop::stop_removes_the_timer_or_stops_the_run"),
    ("stop", "--run-only --wait", "start_stop::stop_signals_a_running_run_and_waits_for_it"),
    ("doctor", "--as-cron", "doctor::as_cron_uses_the_environment_of_cron"),
    ("doctor", "--fix", "doctor::fix_repairs_permissions_and_leftovers_and_reports_them"),
    ("config list", "--origin", "cli_config::the_origin_is_shown_on_request"),
    ("apply", "--file", "contract_flags::apply_takes_its_file_by_the_long_name_too"),
    ("apply", "--check", "apply_check::a_model_that_the_hub_does_not_have_stops_the_whole_file"),
    ("apply", "--dry-run", "apply_stories::a_dry_run_writes_nothing_at_all"),
    ("models add", "--checksums", "checksums::coreutils_accepts_the_checksums_of_each_revision"),
    ("models set", "--checksums --no-checksums", "checksums::a_view_has_the_checksums_of_its_folder"),
    ("apply", "--locked", "lock_files::another_home_reproduces_an_older_commit_and_stays_there"),
    ("lock", "--output --check", "lock_files::the_same_commits_give_the_same_bytes_and_a_new_one_changes_its_lines"),
    ("sbom", "--at", "sbom::a_day_in_history_has_the_commit_of_that_day"),
    ("sbom", "--output", "sbom::the_same_facts_give_the_same_bytes"),
    ("apply", "--prune", "apply_stories::pruning_asks_and_touches_only_the_sections_that_are_there"),
];

/// Flags that every command has.
#[rustfmt::skip]
const GLOBAL_FLAGS: &[(&str, &str)] = &[
    ("--home", "cli_database::the_state_directory_is_found_by_flag_environment_and_default"),
    ("--format", "cli_output::the_format_comes_from_flag_or_environment"),
    ("--json", "cli_json::every_command_s_document_has_the_fields_of_its_schema_with_their_types"),
    ("--quiet", "cli_output::quiet_says_nothing_of_what_was_done_and_all_that_was_asked"),
    ("--verbose", "cli_logs::stderr_says_as_much_as_flags_and_variables_ask_for"),
    ("--log-format", "cli_json::an_error_document_has_its_fields"),
    ("--absolute", "cli_output::the_time_of_a_slot_is_the_same_text_in_each_command_whatever_the_zone_of_the_machine"),
    ("--color", "cli_output::colour_is_for_terminals_unless_it_is_asked_for"),
    ("--yes", "prune::without_yes_and_a_terminal_nothing_is_removed"),
    ("--set", "cli_config::a_flag_beats_the_environment_which_beats_what_is_saved"),
];

/// A setting, and the test in which it changes what is done.
#[rustfmt::skip]
const SETTINGS: &[(&str, &str)] = &[
    ("cache.dir", "places::another_cache_than_that_of_the_published_revision_is_named"),
    ("cache.max_size", "cache_max_size::a_download_beyond_the_size_of_the_cache_is_not_started"),
    ("check.max_age", "cli_status::a_check_that_is_too_old_is_a_warning"),
    ("disk.reserve", "truth_of_words::a_good_verification_does_not_make_a_failing_model_healthy"),
    ("download.connections", "contract::more_connections_by_the_setting_fetch_a_file_in_more_requests"),
    ("download.files", "run_due_limits::models_are_fetched_by_priority"),
    ("download.limit_rate", "contract_flags::limits_hold_as_flags_and_as_settings"),
    ("download.min_rate", "download_faults::faults_of_large_files_end_with_their_code_and_heal"),
    ("download.retries", "download::a_cut_download_goes_on_where_it_stopped"),
    ("download.stall_after", "bad_manners::a_silent_connection_is_dropped_when_the_setting_says_so"),
    ("download.xet", "delta::the_setting_and_the_official_variable_switch_all_of_it_off"),
    ("hooks.finally", "notify::a_hook_may_start_a_run_which_then_starts_no_hook"),
    ("hooks.gate", "gate::the_gate_sees_the_whole_snapshot_before_readers_do_and_no_token"),
    ("hooks.gate_timeout", "gate::a_gate_that_does_not_end_is_ended_with_its_process_group"),
    ("hooks.on_failure", "notify::hooks_run_only_for_changes"),
    ("hooks.on_hold", "held_updates::mail_and_hooks_report_a_held_commit_once"),
    ("hooks.on_recovery", "notify::hooks_run_only_for_changes"),
    ("hooks.on_ref_moved", "moved_refs::the_hook_gets_the_moved_ref_once"),
    ("hooks.on_skip", "notify::skipped_runs_have_a_hook_of_their_own"),
    ("hooks.on_update", "notify::hooks_run_only_for_changes"),
    ("hooks.timeout", "notify::a_failing_hanging_or_missing_hook_is_only_logged"),
    ("hub.endpoint", "apply_stories::an_endpoint_in_the_file_is_the_hub_of_its_models"),
    ("keep.logs", "cli_logs::a_run_prunes_logs_that_are_too_old_or_too_much_and_nothing_else"),
    ("keep.revisions", "prune::a_run_that_publishes_lets_the_oldest_go_by_itself"),
    ("keep.sessions", "prune::a_run_s_end_lets_old_sessions_and_logs_go"),
    ("limit.billing_day", "allowances::a_tick_with_a_spent_allowance_starts_no_run_until_the_next_slot"),
    ("limit.daily", "allowances::a_daily_allowance_stops_a_file_in_the_middle_and_the_next_day_goes_on"),
    ("limit.kind", "allowances::a_soft_allowance_lets_the_file_in_progress_end_and_starts_no_other"),
    ("limit.monthly", "allowances::a_tick_with_a_spent_allowance_starts_no_run_until_the_next_slot"),
    ("limit.zone", "allowances::status_and_metrics_tell_the_allowances_and_warn_of_models_that_wait"),
    ("metrics.file", "notify::metrics_are_strict_and_readable_by_all"),
    ("ping.url", "notify::a_service_is_pinged_at_both_ends_with_the_id_of_the_run"),
    ("prune.auto", "cache_max_size::prune_auto_removes_the_oldest_revisions_until_the_download_fits"),
    ("run.max_duration", "contract_flags::limits_hold_as_flags_and_as_settings"),
    ("run.max_transfer", "contract_flags::limits_hold_as_flags_and_as_settings"),
    ("status.file", "notify::the_status_is_left_where_others_read_it"),
    ("timer.every", "cli_config::the_tick_decides_what_is_possible"),
    ("update.guards", "guards::decisions::saved_settings_choose_the_guards_and_the_allowed_change"),
    ("update.size_change", "guards::decisions::saved_settings_choose_the_guards_and_the_allowed_change"),
    ("verify.budget", "scrub::a_budget_of_time_ends_the_reading"),
    ("verify.every", "scrub::nothing_is_read_again_when_the_setting_is_off"),
];

/// An exit code, and a test that ends with it.
#[rustfmt::skip]
const EXIT_CODES: &[(u8, &str)] = &[
    (0, "download::one_file_by_hand_prints_its_path_and_does_not_hide_the_others"),
    (1, "cli_status::a_check_that_is_too_old_is_a_warning"),
    (2, "cli_wrong_lines::wrong_words_and_flags_are_refused"),
    (3, "truth_of_words::a_damaged_model_is_damaged_in_every_word_until_it_is_repaired"),
    (4, "download_faults::faults_of_large_files_end_with_their_code_and_heal"),
    (5, "download_faults::a_closed_port_is_temporary"),
    (6, "truth_of_words::a_good_verification_does_not_make_a_failing_model_healthy"),
    (8, "download::a_transfer_budget_ends_the_run_and_the_next_goes_on"),
    (10, "contract_flags::limits_hold_as_flags_and_as_settings"),
    (11, "truth_of_output::a_document_tells_of_a_locked_paused_or_idle_run"),
    (130, "run_due_limits::a_signal_ends_the_run_with_its_state_saved_and_its_slot_open"),
    (143, "run_due_limits::a_signal_ends_the_run_with_its_state_saved_and_its_slot_open"),
];

/// Returns the flags of a command that are its own, and those that all have.
fn flags(env: &TestEnv, command: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let help = env.line(&format!("{command} -h")).stdout().to_owned();
    let (mut own, mut global) = (BTreeSet::new(), BTreeSet::new());
    let mut is_global = false;
    for line in help.lines() {
        if !line.starts_with(' ') && line.ends_with(':') {
            is_global = line == "Global options:";
        }
        let words = line.trim_start();
        // Descriptions are indented further than flags.
        let is_flag = words.starts_with('-') && line.len() - words.len() <= 6;
        let flag = words
            .split([' ', '[', '=', ','])
            .find(|word| word.starts_with("--"));
        if let Some(flag) = flag.filter(|_| is_flag) {
            let flags = if is_global { &mut global } else { &mut own };
            flags.insert(flag.trim_end_matches("...").to_owned());
        }
    }
    for flag in ["--help", "--version"] {
        own.remove(flag);
        global.remove(flag);
    }
    (own, global)
}

/// Checks that a test exists, by the name of its module and its own.
pub fn exists(test: &str) {
    let (module, name) = test.rsplit_once("::").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let file = root.join(format!("{}.rs", module.replace("::", "/")));
    let source = fs::read_to_string(&file).unwrap_or_else(|err| panic!("{test}: {err}"));
    let head = format!("#[test]\nfn {name}()");
    assert!(source.contains(&head), "there is no test `{test}`");
}

#[test]
fn every_flag_has_a_test_that_shows_it_to_act() {
    let env = TestEnv::new();
    let mut found = BTreeSet::new();
    let mut global = BTreeSet::new();
    for command in all_commands(&env) {
        let (own, all) = flags(&env, &command);
        found.extend(own.iter().map(|flag| format!("{command} {flag}")));
        global.extend(all);
    }
    let mut named = BTreeSet::new();
    for (command, flags, test) in FLAGS {
        exists(test);
        for flag in flags.split(' ') {
            assert!(
                named.insert(format!("{command} {flag}")),
                "{command} {flag} twice"
            );
        }
    }
    let missing: Vec<_> = found.difference(&named).collect();
    let gone: Vec<_> = named.difference(&found).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "without a test: {missing:?}; gone: {gone:?}"
    );
    GLOBAL_FLAGS.iter().for_each(|(_, test)| exists(test));
    let named: BTreeSet<String> = GLOBAL_FLAGS
        .iter()
        .map(|(flag, _)| (*flag).to_owned())
        .collect();
    assert_eq!(named, global);
}

#[test]
fn every_setting_has_a_test_in_which_it_changes_what_is_done() {
    let named: Vec<&str> = SETTINGS.iter().map(|(key, _)| *key).collect();
    let all: Vec<&str> = SettingKey::ALL.iter().map(|key| key.as_str()).collect();
    assert_eq!(named, all);
    SETTINGS.iter().for_each(|(_, test)| exists(test));
}

#[test]
fn every_exit_code_is_reached_by_a_test() {
    let named: Vec<u8> = EXIT_CODES.iter().map(|(code, _)| *code).collect();
    let mut all: Vec<u8> = ExitStatus::ALL.iter().map(|status| status.code()).collect();
    all.sort_unstable();
    assert_eq!(named, all);
    EXIT_CODES.iter().for_each(|(_, test)| exists(test));
}

#[test]
fn more_connections_by_the_setting_fetch_a_file_in_more_requests() {
    let env = roomy_world();
    keep_large(&env, "acme/large", 24 << 20, 1);
    let slow = Fault::Trickle(1 << 20, Duration::from_millis(40));
    env.hub().fault(On::cdn("model.safetensors"), slow);
    let ran = env.line("download acme/large -c download.connections=1");
    ran.succeeds();
    let one = env.hub().downloads("model.safetensors").len();
    env.line("download acme/large --force -c download.connections=8")
        .succeeds();
    let more = env.hub().downloads("model.safetensors").len() - one;
    assert!(
        more > one,
        "{one} requests with one connection, {more} with eight"
    );
}

/// Says which field of a document is not as it was expected.
fn has(document: &Value, expected: &[(&str, Value)]) {
    for (field, value) in expected {
        assert_eq!(
            document.pointer(field),
            Some(value),
            "{field} of {document:#}"
        );
    }
}

#[test]
fn each_field_of_a_run_and_its_session_is_there_and_right() {
    let env = roomy_world();
    let publish = |size: usize, seed: u64| {
        let draft = env.hub().repo("acme/tiny").commit("main");
        draft
            .file("config.json", b"{}")
            .lfs("model.safetensors", generated_bytes(size, seed))
            .publish()
    };
    let old = publish(4096, 1);
    env.line("models add acme/tiny --name tiny").succeeds();
    env.line("schedules add often --every 1h --model tiny")
        .succeeds();
    env.line("run-due").succeeds();
    let new = publish(8192, 2);
    env.now("2026-03-01T10:00:00Z");
    let run = env.line("run-due --json --trigger ci").succeeds().json();
    let folder = env.cache().join("models--acme--tiny");
    let path = folder.join("snapshots").join(&new);
    has(
        &run,
        &[
            ("/schema", "hfdl.run/1".into()),
            ("/trigger", "ci".into()),
            ("/outcome", "ok".into()),
            ("/exit_code", 0.into()),
            ("/started_at", "2026-03-01T10:00:00Z".into()),
            ("/finished_at", "2026-03-01T10:00:00Z".into()),
            ("/due", 1.into()),
            ("/skipped", Value::Array(Vec::new())),
            ("/sessions/0/schema", "hfdl.session/1".into()),
            ("/sessions/0/session_id", 2.into()),
            ("/sessions/0/run_id", run["run_id"].clone()),
            ("/sessions/0/model", "tiny".into()),
            ("/sessions/0/repo", "acme/tiny".into()),
            ("/sessions/0/repo_type", "model".into()),
            ("/sessions/0/revision", "main".into()),
            ("/sessions/0/schedule", "often".into()),
            ("/sessions/0/slot_at", "2026-03-01T10:00:00Z".into()),
            ("/sessions/0/trigger", "ci".into()),
            ("/sessions/0/outcome", "updated".into()),
            ("/sessions/0/verify_outcome", Value::Null),
            ("/sessions/0/error_kind", Value::Null),
            ("/sessions/0/error", Value::Null),
            ("/sessions/0/hint", Value::Null),
            ("/sessions/0/old_commit", old.into()),
            ("/sessions/0/new_commit", new.into()),
            ("/sessions/0/path", path.display().to_string().into()),
            ("/sessions/0/files/total", 2.into()),
            ("/sessions/0/files/fetched", 1.into()),
            ("/sessions/0/files/reused", 1.into()),
            ("/sessions/0/files/deleted", 0.into()),
            ("/sessions/0/bytes/total", 8194.into()),
            ("/sessions/0/bytes/fetched", 8192.into()),
            ("/sessions/0/bytes/reused", 2.into()),
            ("/sessions/0/bytes/left", 0.into()),
            ("/sessions/0/retries", 0.into()),
            ("/sessions/0/started_at", "2026-03-01T10:00:00Z".into()),
            ("/sessions/0/finished_at", "2026-03-01T10:00:00Z".into()),
        ],
    );
    let id = run["run_id"].as_str().unwrap();
    let kept = env.hfdl(["runs", "show", id, "--json"]).json();
    assert_eq!(kept["sessions"], run["sessions"]);
    env.set("HFDL_DISK_RESERVE", "900T");
    publish(4 << 20, 3);
    env.now("2026-03-01T11:00:00Z");
    let run = env.line("run-due --json").exits(6).json();
    has(
        &run,
        &[
            ("/outcome", "failed".into()),
            ("/exit_code", 6.into()),
            ("/sessions/0/outcome", "failed".into()),
            ("/sessions/0/error_kind", "disk".into()),
        ],
    );
    let session = &run["sessions"][0];
    assert!(
        session["error"].is_string() && session["hint"].is_string(),
        "{session:#}"
    );
}
