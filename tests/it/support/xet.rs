//! An environment with Xet storage, and bytes without repetition.

use super::env::TestEnv;

/// Returns an environment whose hub has Xet storage, too.
pub fn world_with_xet() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env.hub().serve_xet();
    env
}

/// Returns bytes without any repetition.
pub fn noise(n: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; n];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}
