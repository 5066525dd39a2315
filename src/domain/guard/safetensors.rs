//! The header of a safetensors file: eight bytes with a length, JSON of that length, and
//! the data of the tensors without gaps.

use std::io::{BufReader, Read};

use super::wire;

/// The most bytes of a header that loaders accept.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The bits of one number of each type.
const DTYPES: &[(&str, u64)] = &[
    ("BOOL", 8),
    ("U8", 8),
    ("I8", 8),
    ("F8_E5M2", 8),
    ("F8_E4M3", 8),
    ("F8_E8M0", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("I16", 16),
    ("U16", 16),
    ("F16", 16),
    ("BF16", 16),
    ("I32", 32),
    ("U32", 32),
    ("F32", 32),
    ("C64", 64),
    ("I64", 64),
    ("U64", 64),
    ("F64", 64),
];

/// The place of a tensor within the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tensor {
    start: u64,
    end: u64,
}

impl Tensor {
    /// Checks that so many numbers of a type have as many bytes as the offsets give;
    /// `None` are too many. The size of an unknown type is unknown, because new ones come with new hardware.
    pub(super) fn new(
        dtype: &str,
        count: Option<u64>,
        start: u64,
        end: u64,
    ) -> Result<Self, String> {
        if end < start {
            return Err(format!("a tensor ends at {end} and begins at {start}"));
        }
        if let Some((_, bits)) = DTYPES.iter().find(|(known, _)| *known == dtype) {
            let n_bits = count.and_then(|count| count.checked_mul(*bits));
            let n_bits = n_bits.ok_or("the shape of a tensor is too large")?;
            let n_bytes = end - start;
            if !n_bits.is_multiple_of(8) || n_bits / 8 != n_bytes {
                return Err(format!(
                    "a tensor of {n_bits} {dtype} bits has {n_bytes} bytes"
                ));
            }
        }
        Ok(Self { start, end })
    }
}

/// Checks that a header fits its file; the error is the reason why it does not.
pub(super) fn check(mut file: impl Read, size_bytes: u64) -> Result<(), String> {
    let mut length = [0; 8];
    file.read_exact(&mut length)
        .map_err(|_| "it is shorter than the length of its header")?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES || length > size_bytes.saturating_sub(8) {
        return Err(format!(
            "its header has {length} bytes, and the file has {size_bytes}"
        ));
    }
    let mut tensors = wire::read_tensors(BufReader::new(file.take(length)))?;
    tensors.sort_unstable();
    let mut at = 0;
    for tensor in tensors {
        if tensor.start != at {
            return Err(format!(
                "a tensor begins at {} and the one before it ends at {at}",
                tensor.start
            ));
        }
        at = tensor.end;
    }
    let data_bytes = size_bytes - 8 - length;
    if at != data_bytes {
        return Err(format!(
            "its tensors have {at} bytes, and {data_bytes} follow the header"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(json: &str, n_data: usize) -> Result<(), String> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.bytes());
        bytes.resize(bytes.len() + n_data, 0);
        check(&*bytes, bytes.len() as u64)
    }

    fn tensor(name: &str, shape: &str, from: u64, to: u64) -> String {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    }

    #[test]
    fn a_header_that_fits_passes() {
        let two = format!("{},{}", tensor("b", "[2]", 4, 12), tensor("a", "[]", 0, 4));
        let metadata = r#""__metadata__":{"format":"pt"}"#;
        for (json, n_data) in [
            (format!("{{{two}}}"), 12),
            (format!("{{{metadata},{two}}}      "), 12),
            (format!("{{{metadata}}}"), 0),
            (format!("{{{}}}", tensor("empty", "[0,9]", 0, 0)), 0),
            // A type of the future has an unknown size.
            (
                r#"{"x":{"dtype":"Z9","shape":[3],"data_offsets":[0,7]}}"#.to_owned(),
                7,
            ),
        ] {
            assert_eq!(judged(&json, n_data), Ok(()), "{json}");
        }
    }

    #[test]
    fn a_header_that_does_not_fit_is_told_why() {
        let one = |from, to| format!("{{{}}}", tensor("a", "[2]", from, to));
        for (json, n_data, reason) in [
            (one(0, 8), 7, "7 follow"),
            (one(0, 8), 9, "9 follow"),
            (one(0, 4), 4, "64 F32 bits has 4 bytes"),
            (one(8, 16), 16, "begins at 8"),
            (one(8, 0), 8, "ends at 0"),
            (
                format!("{{{}}}", tensor("a", "[18446744073709551615,9]", 0, 8)),
                8,
                "too large",
            ),
            (
                format!(
                    "{{{},{}}}",
                    tensor("a", "[2]", 0, 8),
                    tensor("b", "[2]", 4, 12)
                ),
                12,
                "begins at 4",
            ),
            ("[]".to_owned(), 0, "object of tensors"),
            ("{\"a\":1}".to_owned(), 0, "expected"),
            ("{".to_owned(), 0, "too early"),
            ("{} x".to_owned(), 0, "not JSON"),
        ] {
            let error = judged(&json, n_data).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
        let longer = u64::MAX.to_le_bytes();
        assert!(check(&longer[..], 8).unwrap_err().contains("file has 8"));
        assert!(check(&b"abc"[..], 3).unwrap_err().contains("shorter"));
    }
}
