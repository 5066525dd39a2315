//! Every file of `cron-examples` says when to use it, parses, and starts `hfdl`
//! in a way that `hfdl` understands; what can run here is run.
//!
//! Units, property list and task are judged by `tests/timers/rendered.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hfdl::domain::settings::SettingKey;
use serde_yaml::Value;

use super::cli_pictures::listed_commands;
use crate::support::env::TestEnv;

/// Each file and how many command lines of `hfdl` it holds at least: one with a
/// wrong word would not be found, and be missing.
const FILES: &[(&str, usize)] = &[
    ("Dockerfile", 1),
    ("crontab", 4),
    ("crontab-report", 2),
    ("docker-compose.yml", 3),
    ("gate-modelscan.sh", 1),
    ("gate-picklescan.sh", 2),
    ("gate-smoke-test.py", 1),
    ("github-actions-locked.yml", 4),
    ("github-actions.yml", 1),
    ("gitlab-ci.yml", 2),
    ("grafana-panel.json", 0),
    ("hfdl.env", 1),
    ("hfdl.yaml", 3),
    ("kubernetes-cronjob.yaml", 2),
    ("kubernetes-indexed-job.yaml", 2),
    ("launchd.plist", 2),
    ("prometheus-rules.yml", 4),
    ("slurm-array.sh", 3),
    ("slurm-scrontab", 1),
    ("systemd-hfdl.service", 3),
    ("systemd-hfdl.timer", 0),
    ("task-scheduler.ps1", 2),
    ("task-scheduler.xml", 2),
];

/// The names that the metrics file has.
const METRICS: &[&str] = &[
    "hfdl_build_info",
    "hfdl_disk_free_bytes",
    "hfdl_last_tick_timestamp_seconds",
    "hfdl_model_added_timestamp_seconds",
    "hfdl_model_consecutive_failures",
    "hfdl_model_damaged",
    "hfdl_model_fetched_bytes_total",
    "hfdl_model_last_check_success_timestamp_seconds",
    "hfdl_model_last_update_timestamp_seconds",
    "hfdl_model_last_verify_timestamp_seconds",
    "hfdl_model_oldest_verified_timestamp_seconds",
    "hfdl_model_outcome",
    "hfdl_model_pending_bytes",
    "hfdl_model_size_bytes",
    "hfdl_model_update_held",
    "hfdl_ratelimit_remaining",
    "hfdl_run_last_duration_seconds",
    "hfdl_run_last_exit_code",
    "hfdl_run_last_start_timestamp_seconds",
    "hfdl_runs_skipped_total",
    "hfdl_token_expires_timestamp_seconds",
];

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cron-examples");
    fs::read_to_string(folder.join(name))
        .unwrap()
        .replace("\r\n", "\n")
}

fn yaml(name: &str) -> Value {
    serde_yaml::from_str(&read(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
}

/// Returns the value at a path of keys and numbers.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('/')
        .fold(value, |value, key| match key.parse::<usize>() {
            Ok(index) => &value[index],
            Err(_) => &value[key],
        })
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    let found = at(value, path).as_str();
    found.unwrap_or_else(|| panic!("no text at {path} in {value:?}"))
}

/// Finds the command lines of `hfdl` in a text, each as the words behind it.
pub fn command_lines(text: &str, commands: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text.lines() {
        for (at, _) in line.match_indices("hfdl") {
            let before = line[..at].chars().next_back();
            let word_start = line[..at].rfind(' ').map_or(0, |space| space + 1);
            let is_home = line[..word_start].ends_with("--home ");
            let follows = !is_home && before.is_none_or(|c| " /`'\"".contains(c));
            let Some(rest) = line[at + 4..].strip_prefix(' ').filter(|_| follows) else {
                continue;
            };
            let rest = rest
                .split(['`', '|', '&', ';', '>'])
                .next()
                .unwrap_or_default();
            let words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
            let is_command = words
                .first()
                .is_some_and(|word| commands.contains(word) || word.starts_with("--"));
            if is_command {
                found.push(
                    words
                        .iter()
                        .map(|word| word.trim_matches(['.', ',', ')', '"']).to_owned())
                        .collect(),
                );
            }
        }
    }
    found
}

/// Returns the command lines of files whose format parts the words.
fn parted_lines(name: &str, text: &str) -> Vec<Vec<String>> {
    let between = |start: &str, end: &str| -> Option<String> {
        let (_, rest) = text.split_once(start)?;
        Some(rest.split_once(end)?.0.to_owned())
    };
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    match name {
        "launchd.plist" => {
            let (_, array) = text.split_once("<key>ProgramArguments</key>").unwrap();
            let (array, _) = array.split_once("</array>").unwrap();
            let strings = array.split("<string>").skip(2);
            vec![
                strings
                    .map(|part| part.split("</string>").next().unwrap().to_owned())
                    .collect(),
            ]
        }
        // An image has `hfdl` as its entry point.
        "Dockerfile" => vec![words(
            between("\nCMD [", "]").unwrap().replace(['"', ','], " "),
        )],
        "docker-compose.yml" => vec![words(between("\n    command: ", "\n").unwrap())],
        "task-scheduler.xml" => vec![words(between("<Arguments>", "</Arguments>").unwrap())],
        "task-scheduler.ps1" => vec![words(between("-Argument '", "'").unwrap())],
        _ => Vec::new(),
    }
}

#[test]
fn every_example_says_in_its_head_when_to_use_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cron-examples");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let known: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, known);
    for name in names {
        let text = read(&name);
        let mut head = text.lines().take(15);
        assert!(head.any(|line| line.contains("When to use:")), "{name}");
    }
}

#[test]
fn hfdl_understands_every_command_line_of_the_examples() {
    let env = TestEnv::new();
    // A wrong word in front of `--help` is found, or this test would prove nothing.
    env.line("run-due --trigger sundial --help").exits(2);
    env.line("run-due --sundial --help").exits(2);
    let help = env.line("-h").succeeds().stdout().to_owned();
    let commands: Vec<String> = listed_commands(&help).map(str::to_owned).collect();
    for (name, n_expected) in FILES {
        let text = read(name);
        let mut lines = command_lines(&text, &commands);
        lines.extend(parted_lines(name, &text));
        for line in &lines {
            let line = line.iter().map(String::as_str).chain(["--help"]);
            env.hfdl(line).succeeds();
        }
        assert!(lines.len() >= *n_expected, "{name}: {lines:#?}");
    }
}

#[test]
fn the_cluster_examples_have_what_keeps_two_from_working_at_once() {
    let job = yaml("kubernetes-cronjob.yaml");
    assert_eq!(text(&job, "kind"), "CronJob");
    assert_eq!(text(&job, "spec/concurrencyPolicy"), "Forbid");
    assert!(at(&job, "spec/startingDeadlineSeconds").as_u64() >= Some(10));
    let pod = at(&job, "spec/jobTemplate/spec/template/spec");
    assert_eq!(text(pod, "restartPolicy"), "Never");
    assert!(at(&job, "spec/timeZone").is_null());

    let job = yaml("kubernetes-indexed-job.yaml");
    assert_eq!(text(&job, "spec/completionMode"), "Indexed");
    let count = at(&job, "spec/completions").as_u64().unwrap();
    assert_eq!(at(&job, "spec/parallelism").as_u64(), Some(count));
    let script = text(&job, "spec/template/spec/containers/0/command/2");
    assert!(
        script.contains(&format!("--shard auto/{count} ")),
        "{script}"
    );

    let array = read("slurm-array.sh");
    assert!(array.contains("#SBATCH --array=0-3\n") && array.contains("--shard auto/4 "));

    let workflow = yaml("github-actions.yml");
    assert_eq!(
        at(&workflow, "concurrency/cancel-in-progress"),
        &Value::Bool(false)
    );
    let cron = text(&workflow, "on/schedule/0/cron");
    let minute: u8 = cron.split(' ').next().unwrap().parse().unwrap();
    assert!(minute != 0, "the worst minute at GitHub");

    let pipeline = yaml("gitlab-ci.yml");
    assert!(!text(&pipeline, "models/resource_group").is_empty());
    let codes = at(&pipeline, "models/allow_failure/exit_codes");
    assert_eq!(
        codes,
        &serde_yaml::from_str::<Value>("[8, 10, 11]").unwrap()
    );

    for job in [
        at(
            &yaml("kubernetes-cronjob.yaml"),
            "spec/jobTemplate/spec/template/spec",
        )
        .clone(),
        at(&yaml("kubernetes-indexed-job.yaml"), "spec/template/spec").clone(),
    ] {
        let user = at(&job, "securityContext/runAsUser").as_u64();
        assert!(read("Dockerfile").contains(&format!("\nUSER {}:", user.unwrap())));
        let volumes: Vec<&str> = (at(&job, "volumes").as_sequence().unwrap().iter())
            .map(|volume| text(volume, "name"))
            .collect();
        let mounts = at(&job, "containers/0/volumeMounts").as_sequence().unwrap();
        let mounted: Vec<&str> = mounts.iter().map(|mount| text(mount, "name")).collect();
        assert_eq!(volumes, mounted);
    }

    let compose = yaml("docker-compose.yml");
    let (_, image) = read("Dockerfile")
        .split_once(" -t ")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert!(image.starts_with(&format!("{} ", text(&compose, "services/hfdl/image"))));
    let command = ["Dockerfile", "docker-compose.yml"].map(|name| parted_lines(name, &read(name)));
    assert_eq!(command[0], command[1]);
    assert_eq!(
        text(&compose, "services/server/volumes/0"),
        "models:/models:ro"
    );
    assert_eq!(text(&compose, "services/hfdl/profiles/0"), "tick");
}

#[test]
fn the_sample_configuration_is_applied_and_exported_as_it_is() {
    let env = TestEnv::new();
    let drive = if cfg!(windows) { "C:" } else { "" };
    let sample = read("hfdl.yaml").replace("/srv/", &format!("{drive}/srv/"));
    let file = env.root().join("hfdl.yaml");
    fs::write(&file, sample).unwrap();
    let line = ["apply", "-f", file.to_str().unwrap()];
    env.hfdl(line).succeeds().prints("+ schedule weekly");
    env.hfdl(line).succeeds().prints("nothing to do");
    let prune = line.into_iter().chain(["--prune", "--yes"]);
    env.hfdl(prune).succeeds().prints("nothing to do");
}

#[test]
fn the_sample_environment_is_understood() {
    let env = TestEnv::new();
    env.unset("HFDL_UPDATE_GUARDS");
    let mut n_settings = 0;
    for line in read("hfdl.env")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let Some((name, value)) = line.split_once('=') else {
            assert_eq!(line, "");
            continue;
        };
        if name != "HFDL_HOME" {
            env.set(name, value);
        }
        let is_setting = SettingKey::ALL.iter().any(|key| key.variable() == name);
        n_settings += usize::from(is_setting);
    }
    let shown = env.hfdl(["config", "list", "--origin"]);
    let from_file = shown
        .succeeds()
        .stdout()
        .matches("environment (HFDL_")
        .count();
    assert_eq!(from_file, n_settings, "{}", shown.report());
    assert!(n_settings >= 4);
}

#[test]
fn the_unit_for_a_machine_is_set_up_before_it_is_used() {
    let unit = read("systemd-hfdl.service");
    let steps = [
        "useradd ",
        "install -d -o hfdl -g hfdl -m 0700 /var/lib/hfdl",
        "sudo -u hfdl ",
        "systemctl enable",
    ];
    let found: Vec<usize> = steps.iter().map(|step| unit.find(step).unwrap()).collect();
    assert!(found.is_sorted(), "{found:?}");
    assert!(unit.contains("\nStateDirectoryMode=0700\n"));
}

#[test]
fn workflows_use_the_same_major_versions_everywhere() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = |name| fs::read_to_string(folder.join(".github/workflows").join(name)).unwrap();
    let texts = [
        own("ci.yml"),
        own("nightly.yml"),
        own("release.yml"),
        read("github-actions.yml"),
        read("github-actions-locked.yml"),
    ];
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let Some((_, action)) = line.split_once("uses: ") else {
            continue;
        };
        // A workflow of this repository has no version.
        let Some((name, version)) = action.split_once('@') else {
            assert!(action.starts_with("./"), "{action}");
            continue;
        };
        let owner_and_name: Vec<&str> = name.splitn(3, '/').take(2).collect();
        let known = versions.insert(owner_and_name.join("/"), version.to_owned());
        assert!(known.is_none_or(|known| known == version), "{action}");
    }
    assert!(versions.len() >= 2, "{versions:?}");
}

#[test]
fn alerts_and_panel_ask_for_metrics_that_there_are() {
    let rules = yaml("prometheus-rules.yml");
    let rules = at(&rules, "groups/0/rules").as_sequence().unwrap();
    let mut asked: Vec<String> = Vec::new();
    for rule in rules {
        for key in ["alert", "for"] {
            assert!(rule[key].is_string(), "{rule:?}");
        }
        assert!(rule["annotations"]["summary"].is_string(), "{rule:?}");
        asked.push(text(rule, "expr").to_owned());
    }
    assert!(asked.len() >= 2);
    let panel: serde_json::Value = serde_json::from_str(&read("grafana-panel.json")).unwrap();
    let targets = panel["targets"].as_array().unwrap();
    asked.extend(
        targets
            .iter()
            .map(|target| target["expr"].as_str().unwrap().to_owned()),
    );
    for expression in asked {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<&str> = words.filter(|word| word.starts_with("hfdl_")).collect();
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            assert!(METRICS.contains(&name), "{name} in {expression}");
        }
    }
}

#[cfg(unix)]
mod run {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::support::programs::Cron;

    /// Runs a script with `hfdl` on its path; variables come on top of the world's.
    fn script(env: &TestEnv, script: &str, variables: &[(&str, &str)]) -> Command {
        let bin = Path::new(env!("CARGO_BIN_EXE_hfdl")).parent().unwrap();
        let mut command = Command::new("/bin/sh");
        let programs = env.root().join("programs");
        command
            .args(["-eu", "-c", script])
            .env_clear()
            .current_dir(env.root().join("work"))
            .stdin(Stdio::null());
        for (name, value) in env.command(["x"]).get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command
            .env(
                "PATH",
                format!("{}:{}:/usr/bin:/bin", programs.display(), bin.display()),
            )
            .envs(variables.iter().copied());
        command
    }

    fn world() -> TestEnv {
        let env = TestEnv::new();
        env.set("HFDL_DISK_RESERVE", "0");
        for name in ["one", "two", "three", "four", "five"] {
            let repo = env.hub().repo(&format!("acme/{name}"));
            repo.commit("main")
                .file("config.json", name.as_bytes())
                .publish();
        }
        env
    }

    fn published(env: &TestEnv) -> usize {
        let names = ["one", "two", "three", "four", "five"];
        let reference = |name: &&&str| {
            env.cache()
                .join(format!("models--acme--{name}/refs/main"))
                .exists()
        };
        names.iter().filter(reference).count()
    }

    const CONFIG: &str = "version: 1
models:
  - repo: acme/one
  - repo: acme/two
  - repo: acme/three
  - repo: acme/four
  - repo: acme/five
schedules:
  - {name: now, every: 6h, all: true}
";

    #[test]
    fn the_crontab_works_in_the_environment_of_cron() {
        let env = world();
        fs::write(env.root().join("work/hfdl.yaml"), CONFIG).unwrap();
        env.line("apply -f hfdl.yaml").succeeds();
        let crontab = read("crontab");
        let line = crontab
            .lines()
            .find(|line| !line.starts_with('#') && !line.is_empty());
        let command = line.unwrap().splitn(6, ' ').nth(5).unwrap().to_owned();
        let command = command
            .replace("/usr/local/bin/hfdl", env!("CARGO_BIN_EXE_hfdl"))
            .replace("/var/lib/hfdl", &env.home().to_string_lossy());
        let output = script(&env, &command, &[]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!((output.stdout, output.stderr), (vec![], vec![]));
        assert_eq!(published(&env), 5);
    }

    #[test]
    fn the_shards_of_an_array_and_of_an_indexed_job_do_all_the_work_together() {
        let array = read("slurm-array.sh");
        let job = yaml("kubernetes-indexed-job.yaml");
        let job = text(&job, "spec/template/spec/containers/0/command/2");
        for (variable, text) in [
            ("SLURM_ARRAY_TASK_ID", array.as_str()),
            ("JOB_COMPLETION_INDEX", job),
        ] {
            let env = world();
            fs::write(env.root().join("hfdl.yaml"), CONFIG).unwrap();
            let place = env.root().to_string_lossy().into_owned();
            let text = text
                .replace("/models/state", &format!("{place}/state"))
                .replace("/config/", &format!("{place}/"));
            for index in 0..4 {
                let variables = [
                    (variable, index.to_string()),
                    ("HFDL_STATE", format!("{place}/state")),
                    ("HFDL_CONFIG", format!("{place}/hfdl.yaml")),
                ];
                let variables: BTreeMap<&str, String> = variables.into();
                let variables: Vec<(&str, &str)> =
                    variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
                let output = script(&env, &text, &variables).output().unwrap();
                assert!(output.status.success(), "{variable} {index}: {output:?}");
                assert!(env.root().join(format!("state/{index}/hfdl.db")).exists());
            }
            assert_eq!(published(&env), 5, "{variable}");
        }
    }

    #[test]
    fn out_of_a_budget_and_locked_are_no_failures_of_a_job() {
        let cron = yaml("kubernetes-cronjob.yaml");
        let cron = text(
            &cron,
            "spec/jobTemplate/spec/template/spec/containers/0/command/2",
        );
        let workflow = yaml("github-actions.yml");
        let step = text(&workflow, "jobs/models/steps/2/run");
        let array = read("slurm-array.sh");
        let all = [
            (cron, &[8, 10, 11][..]),
            (step, &[10]),
            (array.as_str(), &[8, 10, 11]),
        ];
        let env = TestEnv::new();
        for (text, forgiven) in all {
            for code in [0, 1, 2, 4, 5, 6, 8, 10, 11] {
                env.program(
                    "hfdl",
                    &format!("case $1 in apply) exit 0 ;; esac\nexit {code}"),
                );
                let variables = [("SLURM_ARRAY_TASK_ID", "0")];
                let status = script(&env, text, &variables)
                    .stdout(Stdio::null())
                    .status()
                    .unwrap();
                let expected = if forgiven.contains(&code) { 0 } else { code };
                assert_eq!(status.code(), Some(expected), "{code}: {text}");
            }
        }
    }

    #[test]
    fn a_pod_that_cannot_be_set_up_fails_and_fetches_nothing() {
        let indexed = yaml("kubernetes-indexed-job.yaml");
        let indexed = text(&indexed, "spec/template/spec/containers/0/command/2");
        let cron = yaml("kubernetes-cronjob.yaml");
        let cron = text(
            &cron,
            "spec/jobTemplate/spec/template/spec/containers/0/command/2",
        );
        for job in [indexed, cron] {
            let env = TestEnv::new();
            env.program("hfdl", "case $1 in apply) exit 2 ;; esac\nexit 0");
            let variables = [("JOB_COMPLETION_INDEX", "0")];
            let status = script(&env, job, &variables).status().unwrap();
            assert_eq!(status.code(), Some(2));
        }
    }

    #[test]
    fn a_pod_that_is_to_end_tells_hfdl_and_waits_for_it() {
        let cron = yaml("kubernetes-cronjob.yaml");
        let cron = text(
            &cron,
            "spec/jobTemplate/spec/template/spec/containers/0/command/2",
        );
        let env = TestEnv::new();
        let saved = env.root().join("saved");
        env.program(
            "hfdl",
            &format!(
                "case $1 in apply) exit 0 ;; esac\ntrap 'sleep 0.3; echo state >\"{}\"; exit 143' TERM\necho ready\nwhile :; do sleep 0.05; done",
                saved.display()
            ),
        );
        let mut child = script(&env, cron, &[])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        crate::support::process::send(child.id(), rustix::process::Signal::TERM);
        assert_eq!(child.wait().unwrap().code(), Some(143));
        assert!(saved.exists(), "the shell waited until the state was saved");
    }

    #[test]
    fn the_pipeline_sets_up_from_a_file_and_does_what_is_due() {
        let env = world();
        fs::write(env.root().join("work/hfdl.yaml"), CONFIG).unwrap();
        let pipeline = yaml("gitlab-ci.yml");
        for line in at(&pipeline, "models/script").as_sequence().unwrap() {
            let output = script(&env, line.as_str().unwrap(), &[]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        assert_eq!(published(&env), 5);
    }

    #[test]
    fn a_crontab_with_the_example_is_one_that_start_leaves_as_it_is() {
        let env = TestEnv::new();
        env.has_cron(Cron::Debian);
        let mut file = fs::File::create(env.crontab_file()).unwrap();
        file.write_all(read("crontab").as_bytes()).unwrap();
        env.line("start").succeeds();
        env.line("stop").succeeds();
        assert_eq!(env.crontab().unwrap(), read("crontab").into_bytes());
    }
}
