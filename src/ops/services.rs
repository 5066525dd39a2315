//! Everything that a command with work needs besides its arguments: the settings,
//! the database, the stop flag, and the clients for the Hub.

use std::cell::OnceCell;

use anyhow::Result;

use super::dead_ends;
use super::login::{HubClients, Renewal};
use crate::domain::outcome::ExitStatus;
use crate::domain::settings::Settings;
use crate::hub::HubClient;
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::paths::Home;
use crate::sys::signals;
use crate::sys::stop::StopFlag;
use crate::xet::XetStorage;

pub struct Services<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    pub settings: Settings,
    pub store: Store,
    pub stop: StopFlag,
    renewal: Renewal,
    network: OnceCell<Network>,
}

/// The clients for the Hub.
pub struct Network {
    /// The client with the token of this machine.
    pub hub: HubClient,
    /// The same client, and those with the tokens that models name.
    pub clients: HubClients,
    /// `None` when the settings switch Xet storage off.
    pub xet: Option<XetStorage>,
}

impl<'a> Services<'a> {
    /// Returns the services of a command that writes; from now on a signal raises the stop flag.
    pub fn for_run(
        host: &'a Host,
        home: &'a Home,
        settings: Settings,
        store: Store,
    ) -> Result<Self> {
        let services = Self {
            renewal: Renewal::WhenDue,
            ..Self::read_only(host, home, settings, store)
        };
        signals::stop_on_signals(&services.stop)?;
        services.store.commit_lazily()?;
        Ok(services)
    }

    /// Returns the services of a command that only reads; a signal ends the process.
    pub fn read_only(host: &'a Host, home: &'a Home, settings: Settings, store: Store) -> Self {
        Self {
            host,
            home,
            settings,
            store,
            stop: StopFlag::new(),
            renewal: Renewal::Never,
            network: OnceCell::new(),
        }
    }

    /// Returns the clients for the Hub, created at the first call: loading the
    /// certificates costs more than a tick with nothing due.
    pub fn network(&self) -> Result<&Network> {
        if let Some(network) = self.network.get() {
            return Ok(network);
        }
        let network = self.connect()?;
        Ok(self.network.get_or_init(|| network))
    }

    /// Returns the clients for the Hub if they were created.
    pub fn connected(&self) -> Option<&Network> {
        self.network.get()
    }

    fn connect(&self) -> Result<Network> {
        let clients = super::hub::connect(self.host, &self.settings, &self.stop, self.renewal)?;
        let hub = clients.own().clone();
        let xet = super::hub::connect_to_xet(self.host, &self.settings, &self.stop)?;
        if let Some(xet) = &xet {
            dead_ends::recall(&self.store, &hub, xet, self.host.now())?;
        }
        Ok(Network { hub, clients, xet })
    }

    /// Returns the exit status of the process: a signal may have come after the end of the run.
    pub fn end_status(&self, status: ExitStatus) -> ExitStatus {
        let by_signal = self.stop.reason().and_then(signals::exit_status);
        by_signal.map_or(status, |by_signal| status.worst(by_signal))
    }

    /// Returns the warnings that the Hub sent with its answers.
    pub fn warnings(&self) -> Vec<String> {
        let Some(network) = self.connected() else {
            return Vec::new();
        };
        let warnings = network.hub.warnings().into_iter();
        warnings.map(|warning| warning.message).collect()
    }
}
