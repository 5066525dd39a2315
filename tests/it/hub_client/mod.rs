//! The Hub client against a real hub on loopback.
//!
//! The test hub's second port plays the CDN; when a credential reaches it, the
//! hub fails the test as it is dropped.

// Helpers of tests fail by panicking, like the tests themselves.
#![allow(clippy::unwrap_used)]

mod answers;
mod files;
mod listing;
mod trouble;

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hfdl::domain::repo::{CommitSha, Repo, RepoType, Revision};
use hfdl::domain::retry::RetryPolicy;
use hfdl::hub::{
    Fault as HubFault, FileAddress, FileStream, HubClient, HubError, HubOptions, Token,
    TokenInputs, find_token,
};
use hfdl::sys::http::{Http, HttpSettings};
use hfdl::sys::pause::{Sleeper, Waited};
use hfdl_test_hub::{TestHub, generated_bytes};

const REPO: &str = "acme/tiny";
const TOKEN: &str = "hf_a_token_for_tests";

/// A client, and the pauses that it would have made.
struct Asker {
    client: HubClient,
    pauses: Arc<Mutex<Vec<Duration>>>,
}

impl Asker {
    fn new(hub: &TestHub, token: Option<&str>) -> Self {
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&pauses);
        let options = HubOptions {
            pause: Sleeper::new(move |span| {
                seen.lock().unwrap().push(span);
                Waited::Done
            }),
            ..HubOptions::default()
        };
        Self {
            client: client(hub, token, options),
            pauses,
        }
    }

    fn pauses(&self) -> Vec<Duration> {
        self.pauses.lock().unwrap().clone()
    }
}

fn client(hub: &TestHub, token: Option<&str>, options: HubOptions) -> HubClient {
    let settings = HttpSettings {
        read_timeout: Duration::from_secs(5),
        ..HttpSettings::default()
    };
    HubClient::new(
        Http::new(&settings).unwrap(),
        hub.endpoint().parse().unwrap(),
        token.map(secret),
        options,
    )
}

/// A client that tries everything once.
fn impatient(hub: &TestHub, token: Option<&str>) -> HubClient {
    let options = HubOptions {
        retry: RetryPolicy::never(),
        pause: Sleeper::none(),
        ..HubOptions::default()
    };
    client(hub, token, options)
}

fn secret(text: &str) -> Token {
    let inputs = TokenInputs {
        hf_token: Some(text.to_owned()),
        ..TokenInputs::default()
    };
    find_token(&inputs).unwrap().unwrap().0
}

fn repo(id: &str) -> Repo {
    Repo::new(RepoType::Model, id.parse().unwrap())
}

fn main_branch() -> Revision {
    Revision::main()
}

fn sha(text: &str) -> CommitSha {
    text.parse().unwrap()
}

fn address(commit: &str, path: &str) -> FileAddress {
    FileAddress {
        repo: repo(REPO),
        commit: sha(commit),
        path: path.parse().unwrap(),
    }
}

fn read(stream: FileStream) -> Vec<u8> {
    let mut reader = stream.reader;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A hub with one small and one large file in `acme/tiny`; returns the commit.
fn tiny(hub: &TestHub) -> String {
    hub.token(TOKEN, &[]);
    hub.repo(REPO)
        .commit("main")
        .file("config.json", b"{\"a\": 1}")
        .lfs("model.safetensors", large())
        .publish()
}

fn large() -> Vec<u8> {
    generated_bytes(100_000, 7)
}

fn fault_of<T: std::fmt::Debug>(result: Result<T, HubError>) -> HubFault {
    result.unwrap_err().fault().clone()
}
