//! The bytes that repeated kills cost.

use std::process::Stdio;
use std::time::Duration;

use hfdl::cache::CacheLayout;
use hfdl::domain::content::ContentId;
use hfdl::domain::repo::{Repo, RepoType};
use hfdl::download::reusable_bytes;
use hfdl_test_hub::{Api, Fault, On, Request, generated_bytes, sha256_hex};

use crate::support::due::{keep_large, roomy_world};
use crate::support::env::TestEnv;
use crate::support::sound::say;

const MIB: u64 = 1 << 20;
const SEED: u64 = 7;

fn sent(requests: &[Request]) -> u64 {
    let of_files = requests.iter().filter(|request| request.api == Api::Cdn);
    of_files.map(|request| request.bytes_sent).sum()
}

/// A model of one file that comes slowly, in many connections.
struct KillEnv {
    env: TestEnv,
    size: u64,
    content: ContentId,
}

impl KillEnv {
    fn new(size: u64) -> Self {
        let env = roomy_world();
        keep_large(&env, "acme/large", size as usize, SEED);
        // Each connection brings a MB a second or two.
        env.hub().fault(
            On::cdn("model.safetensors"),
            Fault::Trickle(8 << 10, Duration::from_millis(5)),
        );
        env.hub().forget_requests();
        let content = sha256_hex(&generated_bytes(size as usize, SEED));
        Self {
            env,
            size,
            content: ContentId::from_etag(&content).unwrap(),
        }
    }

    /// Returns how many bytes the next run will find.
    fn kept(&self) -> u64 {
        let cache = CacheLayout::new(self.env.cache());
        let repo = Repo::new(RepoType::Model, "acme/large".parse().unwrap());
        let partial = cache.repo(&repo).partial(&self.content);
        reusable_bytes(&partial, &self.content, self.size)
    }

    fn sent(&self) -> u64 {
        sent(&self.env.hub().requests())
    }

    /// Starts a run and kills it when so many bytes were sent to it; returns
    /// how many of them are lost.
    fn kill_after(&self, bytes: u64) -> u64 {
        let (kept, before) = (self.kept(), self.sent());
        let mut child = self
            .env
            .command(["download", "acme/large"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let hub = self.env.hub();
        hub.wait_until("so many bytes were sent", |requests| {
            sent(requests) >= before + bytes
        });
        child.kill().unwrap();
        child.wait().unwrap();
        // Bytes in flight are lost as well.
        (self.sent() - before) - (self.kept() - kept)
    }
}

/// Kills a download each time when between one and five MiB have been sent
/// since it was started, until less than that is missing, and lets it end. A
/// night of 420 kills that fetched 1.7 GB had one for each four MB; these are
/// more. All that the server sent counts, what was still on its way as well.
#[test]
fn a_download_that_is_killed_again_and_again_costs_little_more_than_its_bytes() {
    let (mut sent, mut needed, mut losses) = (0, 0, Vec::new());
    for seed in 1..=3 {
        let world = KillEnv::new(32 * MIB);
        let mut random = fastrand::Rng::with_seed(seed);
        loop {
            let bytes = random.u64(MIB..5 * MIB);
            // Without progress this would go on for ever.
            if world.size - world.kept() < bytes + MIB || losses.len() > 99 {
                break;
            }
            losses.push(world.kill_after(bytes));
        }
        world.env.line("download acme/large").succeeds();
        (sent, needed) = (sent + world.sent(), needed + world.size);
    }
    let ratio = sent as f64 / needed as f64;
    let figures = format!(
        "{} kills, {sent} bytes sent for {needed}: {ratio:.3}",
        losses.len()
    );
    say(&figures);
    assert!(losses.len() as u64 >= needed / (4 * MIB), "{figures}");
    assert!(ratio <= 1.2, "{figures}; lost {losses:?}");
}
