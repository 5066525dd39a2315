//! Gzip without compression: enough to detect clients without `Accept-Encoding: identity`.

/// Returns `bytes` as a gzip file of stored blocks.
pub(crate) fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut blocks = bytes.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&crc32(bytes).to_le_bytes());
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_matches_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn long_content_is_cut_into_blocks_and_only_the_last_has_the_final_flag() {
        let packed = stored(&vec![5; 0x1_0000]);
        assert_eq!(packed[10..15], [0, 0xff, 0xff, 0, 0]);
        let second = 10 + 5 + 0xffff;
        assert_eq!(packed[second..second + 6], [1, 1, 0, 0xfe, 0xff, 5]);
        assert_eq!(packed.len(), second + 6 + 8);
    }
}
