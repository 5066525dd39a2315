//! Rows about files that are gone, replaced, larger or smaller.

use hfdl_test_hub::CommitDraft;

use super::{World, nights, safetensors};

fn notes(draft: CommitDraft) -> CommitDraft {
    let names = ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"];
    draft.files(names.map(|name| (name, name.repeat(20))))
}

nights! {
    safetensors_become_a_pickle: |world| {
        *world = World::with(|draft| draft.lfs("model.safetensors", safetensors(900, 1)));
        world.publish(|draft| {
            draft.remove("model.safetensors").lfs("pytorch_model.bin", safetensors(900, 1))
        });
    } => "first | new-code+no-safetensors | hold mail status | 0";

    safetensors_of_one_folder_become_a_pickle: |world| {
        *world = World::with(|draft| {
            draft.lfs("unet/model.safetensors", safetensors(900, 1))
                .lfs("vae/model.safetensors", safetensors(900, 2))
        });
        world.publish(|draft| {
            draft.remove("unet/model.safetensors").lfs("unet/model.bin", safetensors(900, 1))
        });
    } => "first | new-code+no-safetensors | hold mail status | 0";

    other_shards_are_published: |world| {
        *world = World::with(|draft| draft.lfs("model.safetensors", safetensors(900, 1)));
        world.publish(|draft| {
            draft.remove("model.safetensors")
                .lfs("model-1-of-2.safetensors", safetensors(400, 2))
                .lfs("model-2-of-2.safetensors", safetensors(500, 3))
        });
    } => "new | - | update | 0";

    most_files_are_gone: |world| {
        *world = World::with(notes);
        world.publish(|draft| draft.remove("a.txt").remove("b.txt").remove("c.txt"));
    } => "first | mass-deletion | hold mail status | 0";

    files_that_moved_are_not_gone: |world| {
        *world = World::with(notes);
        world.publish(|draft| {
            let names = ["a.txt", "b.txt", "c.txt"];
            let moved = names.map(|name| (format!("old/{name}"), name.repeat(20)));
            names.into_iter().fold(draft.files(moved), CommitDraft::remove)
        });
    } => "new | - | update | 0";

    all_files_are_gone: |world| {
        world.publish(CommitDraft::empty);
    } => "first | no-files | hold mail status | 0";

    the_bytes_grow_by_more_than_the_setting_allows: |world| {
        *world = World::with(|draft| draft.file("notes.txt", vec![b'x'; 1000]));
        world.env.set("HFDL_UPDATE_SIZE_CHANGE", "20%");
        world.publish(|draft| draft.file("notes.txt", vec![b'x'; 1201]));
    } => "first | size-change | hold mail status | 0";

    the_bytes_shrink_by_as_much_as_the_setting_allows: |world| {
        *world = World::with(|draft| draft.file("notes.txt", vec![b'x'; 1000]));
        world.env.set("HFDL_UPDATE_SIZE_CHANGE", "20");
        world.publish(|draft| draft.file("notes.txt", vec![b'x'; 800]));
    } => "new | - | update | 0";
}
