//! Rows about files that run code.

use super::{World, nights, safetensors};

nights! {
    other_weights_are_published: |world| {
        *world = World::with(|draft| draft.lfs("model.safetensors", safetensors(900, 1)));
        world.publish(|draft| draft.lfs("model.safetensors", safetensors(900, 2)));
    } => "new | - | update | 0";

    a_pickle_appears_beside_safetensors: |world| {
        *world = World::with(|draft| draft.lfs("model.safetensors", safetensors(900, 1)));
        world.publish(|draft| draft.lfs("pytorch_model.bin", b"pickle"));
        world.then(|world| {
            let detail = world.model("acme/tiny")["held_update"]["findings"][0]["detail"].clone();
            let detail = detail.as_str().unwrap();
            assert!(detail.contains("`pytorch_model.bin` (pickle)"), "{detail}");
            world.env.line("status").exits(1);
        });
    } => "first | new-code | hold mail status | 0";

    a_second_pickle_is_new_code_although_the_first_was_published: |world| {
        *world = World::with(|draft| draft.lfs("training_args.bin", b"pickle"));
        world.publish(|draft| draft.lfs("pytorch_model.bin", b"pickle too"));
    } => "first | new-code | hold mail status | 0";

    a_retrained_pickle_is_an_update_like_any_other: |world| {
        *world = World::with(|draft| draft.lfs("pytorch_model.bin", b"pickle"));
        world.publish(|draft| draft.lfs("pytorch_model.bin", b"PICKLE"));
    } => "new | - | update | 0";

    a_python_file_appears: |world| {
        world.publish(|draft| draft.file("modeling_tiny.py", b"import os"));
    } => "first | new-code | hold mail status | 0";

    a_python_file_changes: |world| {
        *world = World::with(|draft| draft.file("modeling_tiny.py", b"import os"));
        world.publish(|draft| draft.file("modeling_tiny.py", b"import os, sys"));
    } => "first | changed-code | hold mail status | 0";

    a_script_and_a_notebook_appear: |world| {
        world.publish(|draft| draft.file("setup.sh", b"rm -r /").file("demo.ipynb", b"{}"));
    } => "first | new-code | hold mail status | 0";

    auto_map_appears_in_the_configuration: |world| {
        world.publish(|draft| {
            draft.file("config.json", br#"{"auto_map":{"AutoModel":"else/where--m.Model"}}"#)
        });
    } => "first | new-code | hold mail status | 0";

    auto_map_names_another_class: |world| {
        let config = |class: &str| format!(r#"{{"auto_map":{{"AutoModel":"{class}"}}}}"#);
        *world = World::with(|draft| draft.file("config.json", config("m.Model")));
        world.publish(|draft| draft.file("config.json", config("else/where--m.Model")));
    } => "first | changed-code | hold mail status | 0";

    another_configuration_without_code_is_published: |world| {
        world.publish(|draft| draft.file("config.json", br#"{"hidden_size":7}"#));
    } => "new | - | update | 0";

    a_configuration_becomes_unreadable: |world| {
        world.publish(|draft| draft.file("config.json", br#"{"eps":NaN}"#));
    } => "first | new-code | hold mail status | 0";

    a_pickle_that_the_filter_leaves_out_is_none_of_its_business: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.keep("models add acme/tiny --exclude *.bin");
        world.publish(|draft| draft.lfs("pytorch_model.bin", b"pickle"));
    } => "new | - | update | 0";

    a_sibling_that_selects_the_pickle_holds_the_revision: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.keep("models add acme/tiny --exclude *.bin --name safe\nmodels add acme/tiny --name whole");
        world.publish(|draft| draft.lfs("pytorch_model.bin", b"pickle"));
        world.then(|world| {
            let detail = world.model("safe")["held_update"]["findings"][0]["detail"].clone();
            assert!(detail.as_str().unwrap().ends_with("for `whole`, which shares the revision"));
        });
    } => "safe first, whole first | safe new-code, whole new-code | hold hold mail status | 0";

    the_code_of_a_space_changes_every_day: |world| {
        *world = World::of("spaces/acme/app", |draft| draft.file("app.py", b"1"));
        world.keep("models add spaces/acme/app");
        world.publish(|draft| draft.file("app.py", b"2").file("more.py", b"3"));
    } => "new | - | update | 0";

    raw_data_of_a_dataset_is_no_pickle: |world| {
        *world = World::of("datasets/acme/corpus", |draft| draft.file("README.md", b"1"));
        world.keep("models add datasets/acme/corpus");
        world.publish(|draft| draft.lfs("train.bin", b"tokens"));
    } => "new | - | update | 0";

    a_script_of_a_dataset_is_code: |world| {
        *world = World::of("datasets/acme/corpus", |draft| draft.file("README.md", b"1"));
        world.keep("models add datasets/acme/corpus");
        world.publish(|draft| draft.file("corpus.py", b"import os"));
    } => "first | new-code | hold mail status | 0";

    a_directory_keeps_its_files: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.keep("models add acme/tiny --to ./there");
        world.publish(|draft| draft.file("modeling_tiny.py", b"import os"));
        world.then(|world| assert!(!world.env.root().join("work/there/modeling_tiny.py").exists()));
    } => "first | new-code | hold mail status | 0";
}
