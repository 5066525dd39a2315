//! An export holds all entries: applying it here changes nothing, and elsewhere makes the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hfdl::domain::filter::Filter;
use hfdl::domain::guard::{GUARDS, Guards};
use hfdl::domain::model::{Destination, EntryName, ModelSpec};
use hfdl::domain::policy::UpdateRules;
use hfdl::domain::repo::{Repo, RepoType};
use hfdl::domain::schedule::{
    Cadence, CadenceKind, CatchUp, ScheduleSpec, ScheduleState, Selection, Windows,
};
use hfdl::domain::settings::SettingKey;
use hfdl::domain::tag::TagSpec;
use hfdl::domain::units::{ByteSize, Seconds};
use hfdl::domain::view::{ViewKind, ViewSpec};
use hfdl::ops::apply::{Current, Rules, plan_apply};
use hfdl::ops::document::{Document, Node, to_json, to_yaml};
use hfdl::ops::entries::{Surroundings, Wanted};
use hfdl::ops::export::export;
use hfdl::store::Store;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::apply_env::now;
use super::store_samples::Home;

/// Words that a careless writer of YAML would turn into something else.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "true",
            "no",
            "off",
            "null",
            "1.0",
            "0x1f",
            "1e3",
            "0123",
            "+1",
            "12:30",
            "ünï",
            "a:b",
            ".inf",
            "2026-01-01",
        ])
        .prop_map(str::to_owned),
        "[a-z0-9._/:@+][a-z0-9._/:@+-]{0,8}",
    ]
}

fn tags() -> impl Strategy<Value = BTreeSet<EntryName>> {
    prop::collection::btree_set(word().prop_map(|word| word.parse().unwrap()), 0..3)
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        word(),
        "[*?!&%@`'\"{}\\[\\]#|>,: \\\\a-z-]{1,8}",
        "\\PC{1,6}",
        select(vec![
            " x ",
            "a\nb",
            "\n",
            "a: b",
            "# x",
            "- x",
            "~",
            "\t",
            "a\u{85}b\u{2028}",
            "\u{feff}x",
            "\r\n",
            "\u{7f}\u{1}"
        ])
        .prop_map(str::to_owned),
    ]
}

fn rules() -> impl Strategy<Value = UpdateRules> {
    let guards = GUARDS.to_vec();
    let n_guards = guards.len();
    (
        prop::option::of(select(vec!["follow", "approve", "pin"])),
        prop::option::of((0..100_000u64).prop_map(Seconds)),
        prop::option::of(select(vec!["v*", "1.0", "true", "*: x"])),
        prop::option::of(subsequence(guards, 0..=n_guards)),
    )
        .prop_map(|(policy, delay, pattern, guards)| UpdateRules {
            policy: policy.map(|text| text.parse().unwrap()),
            delay,
            follow_tags: pattern.map(|text| text.parse().unwrap()),
            guards: guards.map(|guards| Guards(guards.into_iter().collect())),
        })
}

fn tag_specs() -> impl Strategy<Value = Vec<TagSpec>> {
    let specs = prop::collection::btree_map(word(), rules(), 0..3);
    specs.prop_map(|specs| {
        let spec = |(name, update): (String, UpdateRules)| TagSpec {
            name: name.parse().unwrap(),
            update,
        };
        specs.into_iter().map(spec).collect()
    })
}

fn model(index: usize) -> impl Strategy<Value = ModelSpec> {
    let patterns = || prop::collection::vec(pattern(), 0..4);
    let places = vec![
        "",
        "/srv/data",
        "/srv/true",
        "/a b/#c",
        "/ünï/cödé: x",
        "/'q\"",
    ];
    let kinds = RepoType::ALL.to_vec();
    let revisions = vec!["main", "1.0", "true", "refs/pr/1", "0e1", "123456"];
    (
        (
            prop::option::of(word()),
            select(kinds),
            select(vec!["7", "org/x", "true", "1.0"]),
        ),
        (
            select(revisions),
            prop::option::of(patterns()),
            patterns(),
            select(places),
        ),
        (
            0..=100u8,
            prop::option::of(1..9u32),
            any::<bool>(),
            tags(),
            prop::option::of(select(vec!["work", "Büro: null", "7", "~"])),
        ),
        rules(),
    )
        .prop_map(
            move |(
                (word, kind, id),
                (revision, include, exclude, place),
                (priority, keep_revisions, enabled, tags, token_name),
                update,
            )| {
                // Unlike any other of the set, by name and by copy.
                let repo = Repo::new(kind, format!("{id}{index}").parse().unwrap());
                let name = word.map_or(repo.to_string(), |word| format!("{word}.{index}"));
                ModelSpec {
                    name: name.parse().unwrap(),
                    repo,
                    revision: revision.parse().unwrap(),
                    filter: Filter {
                        include,
                        exclude,
                        ..Filter::default()
                    },
                    destination: match place {
                        "" => Destination::Cache,
                        path => Destination::Directory(absolute(&format!("{path}{index}"))),
                    },
                    priority: priority.to_string().parse().unwrap(),
                    keep_revisions,
                    enabled,
                    tags,
                    token_name: token_name.map(|name| name.parse().unwrap()),
                    views: views_below(place),
                    view_map: ["a.safetensors=vae/true: x".parse().unwrap()].into(),
                    view_copy: enabled,
                    checksums: enabled,
                    update,
                }
            },
        )
}

fn views_below(place: &str) -> BTreeSet<ViewSpec> {
    let root = (!place.is_empty()).then(|| absolute(&format!("{place}/views")));
    let kind = ViewKind::Ollama;
    root.into_iter()
        .map(|root| ViewSpec { kind, root })
        .collect()
}

fn absolute(path: &str) -> PathBuf {
    let drive = if cfg!(windows) { "C:" } else { "" };
    Path::new(&format!("{drive}{path}")).components().collect()
}

fn cadence() -> impl Strategy<Value = Cadence> {
    select(vec![
        (CadenceKind::Interval, "90m"),
        (CadenceKind::Interval, "1w"),
        (CadenceKind::Daily, "12:30"),
        (CadenceKind::Daily, "02:30,14:00"),
        (CadenceKind::Weekly, "Mon-Fri@02:00"),
        (CadenceKind::Monthly, "1,15,last@04:00"),
        (CadenceKind::Cron, "*/15 2-4 * * 1#2"),
        (CadenceKind::Cron, "0 0 29 2 *"),
        (CadenceKind::Once, "2020-01-01T08:00"),
        (CadenceKind::Once, "2030-06-01T08:00Z"),
    ])
    .prop_map(|(kind, text)| Cadence::parse(kind, text).unwrap())
}

fn schedule(index: usize, names: Vec<EntryName>) -> impl Strategy<Value = ScheduleSpec> {
    let span = || (1..100_000u64).prop_map(Seconds);
    let zones = vec!["UTC", "Europe/Berlin", "europe/berlin", "Etc/GMT+5"];
    let windows = vec!["22:00-07:00", "Sat,Sun@00:00-24:00", "12:00-12:30"];
    let rates = vec!["off", "10M", "12345", "08:00,512K 19:00,10M Sat-00:00,off"];
    let n_names = names.len();
    (
        (
            word(),
            cadence(),
            select(zones),
            subsequence(windows, 0..=3),
        ),
        (
            prop::option::of(prop::option::of(span())),
            prop::option::of(span()),
            prop::option::of(select(rates)),
        ),
        (
            prop::option::of(span()),
            prop::option::of(any::<u32>()),
            0..=100u8,
            any::<bool>(),
        ),
        (any::<bool>(), subsequence(names, 0..=n_names), tags()),
    )
        .prop_map(
            move |(
                (word, cadence, zone, windows),
                (catch_up, jitter, rate),
                (duration, transfer, priority, enabled),
                (all, models, tags),
            )| ScheduleSpec {
                name: format!("{word}.{index}").parse().unwrap(),
                cadence,
                time_zone: zone.to_owned(),
                windows: Windows::parse(windows).unwrap(),
                catch_up: catch_up.map_or(CatchUp::Skip, |within| CatchUp::Once { within }),
                jitter: jitter.unwrap_or_default(),
                limit_rate: rate.map(|rate| rate.parse().unwrap()),
                max_duration: duration,
                max_transfer: transfer.map(|bytes| ByteSize(bytes.into())),
                priority: priority.to_string().parse().unwrap(),
                enabled,
                selection: Selection {
                    all,
                    models: models.into_iter().collect(),
                    tags,
                },
            },
        )
}

fn entries() -> impl Strategy<Value = (Vec<ModelSpec>, Vec<ScheduleSpec>)> {
    (0..5usize)
        .prop_flat_map(|n_models| (0..n_models).map(model).collect::<Vec<_>>())
        .prop_flat_map(|models| {
            let names: Vec<EntryName> = models.iter().map(|model| model.name.clone()).collect();
            let schedules: Vec<_> = (0..3).map(|index| schedule(index, names.clone())).collect();
            (Just(models), schedules)
        })
}

fn settings() -> impl Strategy<Value = Vec<(SettingKey, &'static str)>> {
    let values = vec![
        (
            SettingKey::CacheDir,
            if cfg!(windows) {
                "C:\\srv"
            } else {
                "/srv/true"
            },
        ),
        (SettingKey::Connections, "12"),
        (SettingKey::LimitRate, "off"),
        (SettingKey::HooksOnUpdate, "notify"),
        (
            SettingKey::HooksOnFailure,
            "[\"notify\", \"a b\", \"# \\\"x\\\"\", \"1.0\"]",
        ),
        (SettingKey::HooksOnHold, "[\"my notify\"]"),
        (SettingKey::LimitRate, "1048577"),
        (SettingKey::HubEndpoint, "http://[::1]:8080/hub"),
        (SettingKey::Xet, "off"),
        (SettingKey::DiskReserve, "0"),
        (SettingKey::TimerEvery, "1h"),
    ];
    let n_values = values.len();
    subsequence(values, 0..=n_values)
}

fn read(text: &str) -> Wanted {
    let document =
        Document::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{fault:?}\n{text}"));
    let around = Surroundings {
        endpoint: "https://huggingface.co".to_owned(),
        time_zone: None,
        home: None,
    };
    Wanted::read(&document.root, &around)
        .unwrap_or_else(|objection| panic!("{objection:?}\n{text}"))
}

fn written(store: &Store) -> Node {
    let (root, warnings) = export(&Current::read(store).unwrap()).unwrap();
    assert!(warnings.is_empty());
    root
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn applying_an_export_changes_nothing_here_and_makes_the_same_elsewhere(
        (models, schedules) in entries(),
        settings in settings(),
        tags in tag_specs(),
    ) {
        let rules = Rules {
            prune: true,
            now: now(),
            tick: Seconds(900),
            reserved: &hfdl::ops::directories::Reserved::default(),
            lock: None,
        };
        let (here, elsewhere) = (Home::new(), Home::new());
        let store = here.open();
        for spec in &models {
            store.insert_model(spec, now()).unwrap();
        }
        for spec in &schedules {
            store.insert_schedule(spec, &ScheduleState::new(now()), now()).unwrap();
        }
        for tag in &tags {
            store.save_tag(tag, now()).unwrap();
        }
        for (key, value) in &settings {
            store.set_setting(key.as_str(), value, now()).unwrap();
        }
        let root = written(&store);
        let yaml = to_yaml(&root).unwrap();
        for text in [&yaml, &to_json(&root).to_string()] {
            let wanted = read(text);
            let plan = plan_apply(&Current::read(&store).unwrap(), &wanted, &rules).unwrap();
            prop_assert_eq!(&plan.changes, &[], "{}", text);
            prop_assert_eq!(&plan.warnings, &Vec::<String>::new());
        }
        // Elsewhere all of it is new, and some would be refused: two
        // schedules that do the same, or one that never runs.
        let (store, wanted) = (elsewhere.open(), read(&yaml));
        if let Ok(plan) = plan_apply(&Current::read(&store).unwrap(), &wanted, &rules) {
            plan.carry_out(&store, &wanted, &rules).unwrap();
            let again = to_yaml(&written(&store)).unwrap();
            // Zones get their proper spelling.
            prop_assert_eq!(again, yaml.replace("tz: europe/berlin", "tz: Europe/Berlin"));
        }
    }
}
