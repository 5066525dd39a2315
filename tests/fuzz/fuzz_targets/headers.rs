//! Headers of weights, which any repository can hold.

#![no_main]

use std::io::Cursor;

use hfdl::domain::guard::{AutoMap, HeaderKind, Index, check_header};
use hfdl_fuzz::within;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let most = (256 << 10) + 16 * bytes.len();
    let size = bytes.len() as u64;
    for kind in [HeaderKind::Safetensors, HeaderKind::Gguf] {
        for size in [size, u64::MAX] {
            let judged = within(most, || check_header(kind, Cursor::new(bytes), size));
            assert!(judged.is_ok() || judged.is_err_and(|reason| !reason.is_empty()));
        }
    }
    // The same bytes as the JSON of a header of the right length.
    let mut with_length = size.to_le_bytes().to_vec();
    with_length.extend(bytes);
    let length = with_length.len() as u64;
    let read = || check_header(HeaderKind::Safetensors, Cursor::new(&with_length), length);
    let _ = within(most, read);
    let _ = within(most, || Index::read(bytes).is_ok());
    // The value of `auto_map` is kept as it is.
    within(8 * most, || drop(AutoMap::read(bytes)));
});
