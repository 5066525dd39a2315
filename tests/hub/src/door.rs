//! A listening socket that tests can close and open again.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::server::{Port, Shared, begin, lock};

/// A listener that can be closed and opened again at the same address.
pub(crate) struct Door {
    port: Port,
    address: SocketAddr,
    state: Mutex<DoorState>,
    changed: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DoorState {
    Opening,
    Open,
    Closing,
    Closed,
    Gone,
}

impl Door {
    pub(crate) fn new(port: Port, address: SocketAddr) -> Self {
        Self {
            port,
            address,
            state: Mutex::new(DoorState::Open),
            changed: Condvar::new(),
        }
    }

    /// Closes the listener; returns when connections are refused.
    pub(crate) fn close(&self) {
        self.change(DoorState::Open, DoorState::Closing);
    }

    /// Listens again; returns when connections are taken, or another process has the port.
    pub(crate) fn open(&self) {
        self.change(DoorState::Closed, DoorState::Opening);
    }

    fn change(&self, from: DoorState, through: DoorState) {
        if *lock(&self.state) != from {
            return;
        }
        self.set(through);
        self.wake();
        let mut state = lock(&self.state);
        while *state == through {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the accepting thread.
    pub(crate) fn leave(&self) {
        self.set(DoorState::Gone);
        self.wake();
    }

    /// Accepts connections until `leave`.
    pub(crate) fn keep(&self, listener: TcpListener, shared: &Arc<Shared>) {
        let mut listener = Some(listener);
        loop {
            let state = *lock(&self.state);
            match (state, &listener) {
                (DoorState::Gone, _) => return,
                (DoorState::Closing, _) => {
                    listener = None;
                    self.set(DoorState::Closed);
                }
                (DoorState::Closed, _) => self.wait_while_closed(),
                (DoorState::Opening, _) => {
                    listener = TcpListener::bind(self.address).ok();
                    let opened = listener.is_some();
                    self.set(if opened {
                        DoorState::Open
                    } else {
                        DoorState::Closed
                    });
                }
                (DoorState::Open, None) => self.set(DoorState::Closed),
                (DoorState::Open, Some(opened)) => {
                    let accepted = opened.accept();
                    if let (Ok((stream, _)), DoorState::Open) = (accepted, *lock(&self.state)) {
                        begin(shared, self.port, stream);
                    }
                }
            }
        }
    }

    fn wait_while_closed(&self) {
        let mut state = lock(&self.state);
        while *state == DoorState::Closed {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set(&self, new: DoorState) {
        *lock(&self.state) = new;
        self.changed.notify_all();
    }

    /// Makes `accept` return, so that the thread looks at the state.
    fn wake(&self) {
        drop(TcpStream::connect_timeout(
            &self.address,
            Duration::from_secs(1),
        ));
    }
}
