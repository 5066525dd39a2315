//! Bytes that were written a moment ago, kept in memory for the thread that hashes.
//!
//! Reading them back from the page cache would cost a tenth of the processor time
//! of a whole download. A fixed number of buffers serves the run: whoever finds
//! none left keeps nothing, and those bytes are read back.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

/// As much as the HTTP client takes from the line at once, so that one write
/// follows one read. Larger pieces cost twice the processor time on some file
/// systems.
pub(crate) const BUFFER_BYTES: usize = 128 << 10;

/// Three strides: one that a connection fills, one handed over, one being hashed.
const MOST_BUFFERS: usize = 24;

/// The buffers of a run that may be full while somebody else goes on receiving.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    stock: Mutex<Stock>,
}

#[derive(Debug, Default)]
struct Stock {
    spare: Vec<Vec<u8>>,
    n_made: usize,
}

impl Buffers {
    /// Gives a full buffer away for an empty one; `None` and no change when none is left.
    pub(crate) fn keep(
        self: &Arc<Self>,
        at: u64,
        buffer: &mut Vec<u8>,
        length: usize,
    ) -> Option<Fresh> {
        let empty = self.take()?;
        Some(Fresh {
            at,
            length,
            buffer: mem::replace(buffer, empty),
            home: self.clone(),
        })
    }

    fn take(&self) -> Option<Vec<u8>> {
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = stock.spare.pop() {
            return Some(buffer);
        }
        if stock.n_made == MOST_BUFFERS {
            return None;
        }
        stock.n_made += 1;
        Some(vec![0; BUFFER_BYTES])
    }
}

/// Some bytes of a file that are in it already. The buffer goes home when dropped.
#[derive(Debug)]
pub(crate) struct Fresh {
    at: u64,
    length: usize,
    buffer: Vec<u8>,
    home: Arc<Buffers>,
}

impl Fresh {
    pub(crate) fn start(&self) -> u64 {
        self.at
    }

    pub(crate) fn end(&self) -> u64 {
        self.at + self.length as u64
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let stock = self.home.stock.lock();
        let mut stock = stock.unwrap_or_else(PoisonError::into_inner);
        stock.spare.push(mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_buffer_is_replaced_and_comes_back() {
        let buffers = Arc::new(Buffers::default());
        let mut buffer = b"fresh bytes".to_vec();
        let fresh = buffers.keep(100, &mut buffer, 5).unwrap();
        assert_eq!((fresh.start(), fresh.end()), (100, 105));
        assert_eq!(fresh.bytes(), b"fresh");
        assert_eq!(buffer.len(), BUFFER_BYTES);
        drop(fresh);
        assert_eq!(buffers.take().unwrap(), b"fresh bytes");
    }

    #[test]
    fn nothing_is_kept_when_no_buffer_is_left() {
        let buffers = Arc::new(Buffers::default());
        let mut buffer = vec![0; BUFFER_BYTES];
        let kept: Vec<_> = (0..MOST_BUFFERS)
            .map(|_| buffers.keep(0, &mut buffer, 1).unwrap())
            .collect();
        buffer[0] = 7;
        assert!(buffers.keep(0, &mut buffer, 1).is_none());
        assert_eq!(buffer[0], 7, "it stays with its owner");
        drop(kept);
        assert!(buffers.keep(0, &mut buffer, 1).is_some());
    }
}
