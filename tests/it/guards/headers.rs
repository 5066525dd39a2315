//! Rows about headers that do not fit their files.

use hfdl_test_hub::Api;

use super::{World, nights, safetensors};

/// A header of safetensors that claims this many bytes.
fn claiming(n_bytes: u64) -> Vec<u8> {
    let mut bytes = n_bytes.to_le_bytes().to_vec();
    bytes.extend([b' '; 900]);
    bytes
}

fn shards(draft: hfdl_test_hub::CommitDraft) -> hfdl_test_hub::CommitDraft {
    let index = br#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#;
    draft
        .file("model.safetensors.index.json", index)
        .lfs("m-1.safetensors", safetensors(900, 1))
        .lfs("m-2.safetensors", safetensors(900, 2))
}

nights! {
    a_file_is_shorter_than_its_header_says: |world| {
        let mut cut = safetensors(900, 1);
        cut.truncate(500);
        world.publish(|draft| draft.lfs("model.safetensors", cut));
        world.then(|world| {
            let detail = world.model("acme/tiny")["held_update"]["findings"][0]["detail"].clone();
            assert!(detail.as_str().unwrap().contains("`model.safetensors`"));
        });
    } => "first | bad-header | hold mail status | 0";

    a_header_claims_more_bytes_than_there_are: |world| {
        world.publish(|draft| draft.lfs("model.safetensors", claiming(u64::MAX)));
    } => "first | bad-header | hold mail status | 0";

    a_gguf_file_is_something_else: |world| {
        world.publish(|draft| draft.lfs("tiny.gguf", b"<html>404</html>"));
    } => "first | bad-header | hold mail status | 0";

    an_index_names_a_shard_that_is_not_uploaded_yet: |world| {
        world.publish(|draft| shards(draft).remove("m-2.safetensors"));
    } => "first | bad-header | hold mail status | 0";

    the_last_shard_is_uploaded_the_next_day: |world| {
        world.publish(|draft| shards(draft).remove("m-2.safetensors"));
        world.held_night();
        world.publish(shards);
    } => "new | - | update | 0";

    a_shard_that_the_filter_leaves_out_is_no_missing_one: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.keep("models add acme/tiny --exclude m-2.safetensors");
        world.publish(shards);
    } => "new | - | update | 0";

    a_header_is_judged_at_the_first_download: |world| {
        *world = World::of("acme/tiny", |draft| draft.lfs("model.safetensors", claiming(1 << 40)));
        world.add("models add acme/tiny");
    } => "none | bad-header | hold mail status | 0";

    held_files_are_not_fetched_again_and_told_once: |world| {
        world.publish(|draft| draft.lfs("model.safetensors", claiming(1 << 40)));
        world.held_night();
        world.env.hub().forget_requests();
        world.then(|world| {
            let requests = world.env.hub().requests();
            let content = |api| matches!(api, Api::Resolve | Api::ResolveCache | Api::Cdn);
            assert!(!requests.iter().any(|request| content(request.api)), "{requests:?}");
        });
    } => "first | bad-header | status | 0";

    a_directory_is_not_touched_by_a_bad_file: |world| {
        *world = World::of("acme/tiny", |draft| draft.lfs("model.safetensors", safetensors(900, 1)));
        world.keep("models add acme/tiny --to ./there");
        world.publish(|draft| draft.lfs("model.safetensors", claiming(1 << 40)));
        world.then(|world| {
            let file = world.env.root().join("work/there/model.safetensors");
            assert_eq!(std::fs::read(file).unwrap(), safetensors(900, 1));
        });
    } => "first | bad-header | hold mail status | 0";

    a_directory_does_not_fetch_held_files_again_either: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.keep("models add acme/tiny --to ./there");
        world.publish(|draft| draft.lfs("model.safetensors", claiming(1 << 40)));
        world.held_night();
        world.env.hub().forget_requests();
        world.then(|world| assert_eq!(world.env.hub().count(Api::Cdn), 0));
    } => "first | bad-header | status | 0";

    a_bad_header_that_a_person_approved_is_published: |world| {
        world.publish(|draft| draft.lfs("model.safetensors", claiming(1 << 40)));
        world.held_night();
        world.approve();
    } => "new | - | - | 0";
}
