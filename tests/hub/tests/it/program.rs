//! The program `hfdl-test-hub`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hfdl_test_hub::{TestHub, fill_from_directory, generated_bytes};
use serde_json::json;

use crate::client::{get, send};

/// A temporary directory, removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("hub-{name}"));
        // It may be left over from a killed run.
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, bytes).expect("a file");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Program(Child);

impl Program {
    /// Starts the program and returns it with the URL it prints.
    fn start(arguments: &[&str]) -> (Self, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hfdl-test-hub"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program must start");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        (Self(child), line.trim_end().to_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_demonstration_has_three_repositories_and_can_publish_a_revision() {
    let (_program, url) = Program::start(&["--demo"]);
    let info = |path: &str| get(&format!("{url}/api/{path}")).json();
    assert_eq!(info("datasets/acme/corpus")["id"], "acme/corpus");
    assert_eq!(info("spaces/acme/app")["id"], "acme/app");
    let first = info("models/acme/tiny")["sha"].clone();
    assert_eq!(info("models/acme/tiny/revision/v1")["sha"], first);
    let said = send("POST", &format!("{url}/__hub__/publish"), &[]).text();
    let second = info("models/acme/tiny")["sha"].clone();
    assert_ne!(first, second);
    assert_eq!(
        said,
        format!("acme/tiny main is now {}\n", second.as_str().unwrap())
    );
}

#[test]
fn faults_come_and_go_by_request() {
    let (_program, url) = Program::start(&["--demo"]);
    let model = || get(&format!("{url}/api/models/acme/tiny"));
    let control = |what: &str| send("POST", &format!("{url}/__hub__/{what}"), &[]);
    assert_eq!(control("fault?status=503&times=1").status, 200);
    assert_eq!((model().status, model().status), (503, 200));
    assert_eq!(control("fault?rate-limit=7").status, 200);
    assert_eq!(model().header("retry-after"), "7");
    assert_eq!(control("heal").status, 200);
    assert_eq!(model().status, 200);
    let refused = control("fault?slow=fast");
    assert_eq!(refused.status, 400);
    assert!(refused.text().starts_with("`slow=fast` needs a number"));
    assert!(refused.text().contains("POST /__hub__/heal"));
}

#[test]
fn the_request_list_does_not_include_control_requests() {
    let (_program, url) = Program::start(&["--demo"]);
    let requests = || get(&format!("{url}/__hub__/requests")).text();
    assert_eq!(requests(), "");
    get(&format!("{url}/api/models/acme/none?a=b"));
    assert_eq!(requests(), "hub GET /api/models/acme/none?a=b 401\n");
    assert_eq!(requests(), "hub GET /api/models/acme/none?a=b 401\n");
}

#[test]
fn a_directory_is_served_and_published_again_on_request() {
    let scratch = Scratch::new("directory");
    let large = generated_bytes(2 << 20, 3);
    scratch.write(
        "models/acme/tiny/main/.gitattributes",
        b"*.bin filter=lfs -text\n",
    );
    scratch.write("models/acme/tiny/main/a/small.bin", b"small");
    scratch.write("models/acme/tiny/main/large.dat", &large);
    scratch.write("models/acme/tiny/refs%2Fpr%2F1/README.md", b"proposed");
    scratch.write("spaces/acme/app/main/app.py", b"print()");
    let hub = TestHub::start();
    let held = fill_from_directory(&hub, &scratch.0).unwrap();
    assert_eq!(
        held,
        [
            "acme/tiny main",
            "acme/tiny refs/pr/1",
            "spaces/acme/app main"
        ]
    );
    let url = hub.endpoint();
    for (path, status) in [
        ("a/small.bin", 302),
        ("large.dat", 302),
        (".gitattributes", 307),
    ] {
        let answer = get(&format!("{url}/acme/tiny/resolve/main/{path}"));
        assert_eq!(answer.status, status, "{path}");
        if path == "large.dat" {
            assert_eq!(get(answer.header("location")).body, large);
        }
    }
    let publish = || send("POST", &format!("{url}/__hub__/publish"), &[]).text();
    assert_eq!(publish(), "");
    scratch.write("spaces/acme/app/main/app.py", b"print(1)");
    let before = hub.repo("spaces/acme/app").head("main").unwrap();
    assert_eq!(publish(), "published spaces/acme/app main\n");
    let info = get(&format!("{url}/api/spaces/acme/app")).json();
    assert_ne!(info["sha"], json!(before));
    let old = get(&format!("{url}/spaces/acme/app/raw/{before}/app.py"));
    assert_eq!(old.body, b"print()");

    // Files that come back are a new commit, which has the others as its history.
    scratch.write("spaces/acme/app/main/app.py", b"print()");
    assert_eq!(publish(), "published spaces/acme/app main\n");
    let commits = get(&format!("{url}/api/spaces/acme/app/commits/main")).json();
    let ids = commits.as_array().unwrap().iter().map(|it| &it["id"]);
    let ids: Vec<_> = ids.collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[1..], [&info["sha"], &json!(before)]);
}

#[test]
fn the_ready_file_has_the_url() {
    let scratch = Scratch::new("ready");
    fs::create_dir_all(&scratch.0).unwrap();
    let ready = scratch.0.join("ready");
    let (program, url) = Program::start(&["--demo", "--ready-file", ready.to_str().unwrap()]);
    // The URL on stdout is printed first, so the file may appear a moment later.
    while !ready.exists() {
        std::thread::yield_now();
    }
    assert_eq!(fs::read_to_string(ready).unwrap(), format!("{url}\n"));
    drop(program);
}

#[test]
fn wrong_arguments_are_explained() {
    for (arguments, expected) in [
        (&[][..], "give either `--demo` or `--dir DIR`"),
        (&["--port", "x", "--demo"], "`x` is not a port"),
        (&["--dir"], "`--dir` needs a value"),
        (&["--bogus"], "unknown option `--bogus`"),
        (
            &["--dir", "/nonexistent"],
            "the directory has no repositories",
        ),
    ] {
        let program = env!("CARGO_BIN_EXE_hfdl-test-hub");
        let output = Command::new(program).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
