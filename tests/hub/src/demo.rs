//! A built-in set of repositories for a first try without the network.

use super::content::generated_bytes;
use super::hub::TestHub;

const MODEL_BYTES: usize = 6 * 1024 * 1024;

const GITATTRIBUTES: &str = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n\
                             *.parquet filter=lfs diff=lfs merge=lfs -text\n";

/// Fills a hub with the model `acme/tiny`, the dataset `acme/corpus` and the space `acme/app`;
/// returns one line for each. `POST /__hub__/publish` then adds a revision to `acme/tiny`.
pub fn fill_with_demo(hub: &TestHub) -> Vec<String> {
    let tiny = hub.repo("acme/tiny");
    let first = tiny
        .commit("main")
        .title("First version")
        .file(".gitattributes", GITATTRIBUTES)
        .file(
            "README.md",
            "# tiny\n\nA test model without any function. Revision 1.\n",
        )
        .file(
            "config.json",
            "{\n  \"model_type\": \"tiny\",\n  \"hidden_size\": 1536\n}\n",
        )
        .file("tokenizer/vocab.txt", "hello\nworld\n")
        .lfs("model.safetensors", safetensors(MODEL_BYTES, 1))
        .publish();
    tiny.tag("v1", &first);
    tiny.commit("refs/pr/1")
        .from("main")
        .file("CONTRIBUTING.md", "Please do.\n")
        .publish();

    hub.repo("datasets/acme/corpus")
        .commit("main")
        .file(".gitattributes", GITATTRIBUTES)
        .file("README.md", "# corpus\n\nRandom numbers.\n")
        .file(
            "data/train.jsonl",
            "{\"text\": \"hello\"}\n{\"text\": \"world\"}\n",
        )
        .lfs(
            "data/train-00000-of-00001.parquet",
            generated_bytes(2 * 1024 * 1024, 2),
        )
        .publish();

    hub.repo("spaces/acme/app")
        .commit("main")
        .file("README.md", "---\ntitle: app\nsdk: static\n---\n")
        .file(
            "index.html",
            "<!doctype html>\n<title>app</title>\n<p>Hello, world!</p>\n",
        )
        .publish();

    // The lock keeps two concurrent publications from getting the same number.
    let revision = std::sync::Mutex::new(1);
    hub.on_publish(move || {
        let mut revision = super::server::lock(&revision);
        *revision += 1;
        let readme = format!("# tiny\n\nA test model without any function. Revision {revision}.\n");
        let commit = tiny
            .commit("main")
            .title(&format!("Version {revision}"))
            .file("README.md", readme)
            .lfs("model.safetensors", safetensors(MODEL_BYTES, *revision))
            .publish();
        Ok(format!("acme/tiny main is now {commit}\n"))
    });

    [
        "acme/tiny main v1 refs/pr/1",
        "datasets/acme/corpus main",
        "spaces/acme/app main",
    ]
    .map(str::to_owned)
    .into()
}

/// Returns a well-formed safetensors file with one tensor; its last quarter depends on the seed.
fn safetensors(size: usize, seed: u64) -> Vec<u8> {
    let header = format!(
        "{{\"weight\":{{\"dtype\":\"U8\",\"shape\":[{size}],\"data_offsets\":[0,{size}]}}}}"
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(generated_bytes(size / 4 * 3, 0));
    bytes.extend(generated_bytes(size - size / 4 * 3, seed));
    bytes
}
