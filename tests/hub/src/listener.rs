//! Listening sockets that tests can close and reopen.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::server::{Port, Shared, begin, lock};

/// A listener that can be closed and reopened at the same address.
pub(crate) struct HostListener {
    port: Port,
    address: SocketAddr,
    state: Mutex<ListenerState>,
    changed: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListenerState {
    Opening,
    Open,
    Closing,
    Closed,
    ShutDown,
}

impl HostListener {
    pub(crate) fn new(port: Port, address: SocketAddr) -> Self {
        Self {
            port,
            address,
            state: Mutex::new(ListenerState::Open),
            changed: Condvar::new(),
        }
    }

    /// Closes the listener; returns when connections are refused.
    pub(crate) fn close(&self) {
        self.change(ListenerState::Open, ListenerState::Closing);
    }

    /// Reopens the listener; returns when connections are accepted, or another process has taken
    /// the port.
    pub(crate) fn open(&self) {
        self.change(ListenerState::Closed, ListenerState::Opening);
    }

    fn change(&self, from: ListenerState, through: ListenerState) {
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
    pub(crate) fn shut_down(&self) {
        self.set(ListenerState::ShutDown);
        self.wake();
    }

    /// Accepts connections until `shut_down`.
    pub(crate) fn accept_all(&self, listener: TcpListener, shared: &Arc<Shared>) {
        let mut listener = Some(listener);
        loop {
            let state = *lock(&self.state);
            match (state, &listener) {
                (ListenerState::ShutDown, _) => return,
                (ListenerState::Closing, _) => {
                    listener = None;
                    self.set(ListenerState::Closed);
                }
                (ListenerState::Closed, _) => self.wait_while_closed(),
                (ListenerState::Opening, _) => {
                    listener = TcpListener::bind(self.address).ok();
                    let opened = listener.is_some();
                    self.set(if opened {
                        ListenerState::Open
                    } else {
                        ListenerState::Closed
                    });
                }
                (ListenerState::Open, None) => self.set(ListenerState::Closed),
                (ListenerState::Open, Some(opened)) => {
                    let accepted = opened.accept();
                    if let (Ok((stream, _)), ListenerState::Open) = (accepted, *lock(&self.state)) {
                        begin(shared, self.port, stream);
                    }
                }
            }
        }
    }

    fn wait_while_closed(&self) {
        let mut state = lock(&self.state);
        while *state == ListenerState::Closed {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set(&self, new: ListenerState) {
        *lock(&self.state) = new;
        self.changed.notify_all();
    }

    /// Makes `accept` return, so that the thread checks the state.
    fn wake(&self) {
        drop(TcpStream::connect_timeout(
            &self.address,
            Duration::from_secs(1),
        ));
    }
}
