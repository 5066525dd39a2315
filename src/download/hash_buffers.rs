//! Buffers that keep recently written bytes in memory for the hash thread.
//!
//! Reading these bytes back from the page cache would cost a tenth of the processor time of a
//! download. The pool is bounded: without a free buffer nothing is kept, and the bytes are read
//! back.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

/// Size of one write. Larger buffers double the processor time on some file systems.
pub(crate) const BUFFER_BYTES: usize = 128 << 10;

/// Three strides: one being filled, one handed over, one being hashed.
const MAX_BUFFERS: usize = 24;

/// The bounded pool of buffers of a run.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    state: Mutex<PoolState>,
}

#[derive(Debug, Default)]
struct PoolState {
    spare: Vec<Vec<u8>>,
    n_allocated: usize,
}

impl BufferPool {
    /// Moves a full buffer into the pool's care and replaces it by an empty one; `None`, and no
    /// change, when the pool is used up.
    pub(crate) fn keep(
        self: &Arc<Self>,
        at: u64,
        buffer: &mut Vec<u8>,
        length: usize,
    ) -> Option<HashBuffer> {
        let empty = self.take()?;
        Some(HashBuffer {
            at,
            length,
            buffer: mem::replace(buffer, empty),
            home: self.clone(),
        })
    }

    fn take(&self) -> Option<Vec<u8>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = state.spare.pop() {
            return Some(buffer);
        }
        if state.n_allocated == MAX_BUFFERS {
            return None;
        }
        state.n_allocated += 1;
        Some(vec![0; BUFFER_BYTES])
    }
}

/// Bytes of a file that are written and still in memory. The buffer returns to the pool on
/// drop.
#[derive(Debug)]
pub(crate) struct HashBuffer {
    at: u64,
    length: usize,
    buffer: Vec<u8>,
    home: Arc<BufferPool>,
}

impl HashBuffer {
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

impl Drop for HashBuffer {
    fn drop(&mut self) {
        let state = self.home.state.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.spare.push(mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_buffer_is_replaced_and_returns_to_the_pool() {
        let pool = Arc::new(BufferPool::default());
        let mut buffer = b"fresh bytes".to_vec();
        let kept = pool.keep(100, &mut buffer, 5).unwrap();
        assert_eq!((kept.start(), kept.end()), (100, 105));
        assert_eq!(kept.bytes(), b"fresh");
        assert_eq!(buffer.len(), BUFFER_BYTES);
        drop(kept);
        assert_eq!(pool.take().unwrap(), b"fresh bytes");
    }

    #[test]
    fn without_a_free_buffer_nothing_is_kept() {
        let pool = Arc::new(BufferPool::default());
        let mut buffer = vec![0; BUFFER_BYTES];
        let kept: Vec<_> = (0..MAX_BUFFERS)
            .map(|_| pool.keep(0, &mut buffer, 1).unwrap())
            .collect();
        buffer[0] = 7;
        assert!(pool.keep(0, &mut buffer, 1).is_none());
        assert_eq!(buffer[0], 7, "the caller keeps its buffer");
        drop(kept);
        assert!(pool.keep(0, &mut buffer, 1).is_some());
    }
}
