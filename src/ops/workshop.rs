//! What commands that work need besides their arguments: settings, database,
//! a client for the Hub, and the wish to stop.

use std::cell::OnceCell;

use anyhow::Result;

use super::dead_ends;
use super::run::Tools;
use crate::domain::outcome::ExitStatus;
use crate::domain::settings::Settings;
use crate::hub::HubClient;
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::paths::Home;
use crate::sys::signals;
use crate::sys::stop::StopFlag;
use crate::xet::XetStorage;

pub struct Workshop<'a> {
    host: &'a Host,
    home: &'a Home,
    settings: Settings,
    store: Store,
    network: OnceCell<Network>,
    stop: StopFlag,
}

struct Network {
    hub: HubClient,
    xet: Option<XetStorage>,
}

impl<'a> Workshop<'a> {
    /// Puts the tools together; from now on a signal asks the run to end.
    pub fn open(host: &'a Host, home: &'a Home, settings: Settings, store: Store) -> Result<Self> {
        let workshop = Self::to_look(host, home, settings, store);
        signals::stop_on_signals(&workshop.stop)?;
        workshop.store.commit_lazily()?;
        Ok(workshop)
    }

    /// As `open`, for commands that only look: a signal just ends them.
    pub fn to_look(host: &'a Host, home: &'a Home, settings: Settings, store: Store) -> Self {
        Self {
            host,
            home,
            settings,
            store,
            network: OnceCell::new(),
            stop: StopFlag::new(),
        }
    }

    pub fn host(&self) -> &Host {
        self.host
    }

    pub fn home(&self) -> &Home {
        self.home
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn stop(&self) -> &StopFlag {
        &self.stop
    }

    /// Returns how the process ends: a signal may have come after the run had ended.
    pub fn end_status(&self, status: ExitStatus) -> ExitStatus {
        let by_signal = self.stop.reason().and_then(signals::exit_status);
        by_signal.map_or(status, |by_signal| status.worst(by_signal))
    }

    /// Returns everything. The client for the Hub is made when this is first
    /// called: with its certificates it costs more than a tick that finds nothing due.
    pub fn tools(&self) -> Result<Tools<'_>> {
        let network = match self.network.get() {
            Some(network) => network,
            None => {
                let network = self.connect()?;
                self.network.get_or_init(|| network)
            }
        };
        Ok(Tools {
            host: self.host,
            home: self.home,
            store: &self.store,
            settings: &self.settings,
            hub: &network.hub,
            xet: network.xet.as_ref(),
            stop: &self.stop,
        })
    }

    fn connect(&self) -> Result<Network> {
        let (host, settings, stop) = (self.host, &self.settings, &self.stop);
        let hub = super::hub::connect(host, settings, stop)?;
        let xet = super::hub::connect_to_xet(host, settings, stop)?;
        if let Some(xet) = &xet {
            dead_ends::recall(&self.store, &hub, xet, host.now())?;
        }
        Ok(Network { hub, xet })
    }

    /// Returns what the Hub wants people to know.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.network.get().map(|network| network.hub.warnings());
        let warnings = warnings.unwrap_or_default().into_iter();
        warnings.map(|warning| warning.message).collect()
    }
}
