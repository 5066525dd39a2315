//! What commands that work need besides their arguments: settings, database,
//! a client for the Hub, and the wish to stop.

use anyhow::Result;

use super::run::Tools;
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
    hub: HubClient,
    xet: Option<XetStorage>,
    stop: StopFlag,
}

impl<'a> Workshop<'a> {
    /// Puts the tools together; from now on a signal asks the run to end.
    pub fn open(host: &'a Host, home: &'a Home, settings: Settings, store: Store) -> Result<Self> {
        let workshop = Self::to_look(host, home, settings, store)?;
        signals::stop_on_signals(&workshop.stop)?;
        Ok(workshop)
    }

    /// As `open`, for commands that only look: a signal just ends them.
    pub fn to_look(
        host: &'a Host,
        home: &'a Home,
        settings: Settings,
        store: Store,
    ) -> Result<Self> {
        let stop = StopFlag::new();
        let hub = super::hub::connect(host, &settings, &stop)?;
        let xet = super::hub::connect_to_xet(host, &settings, &stop)?;
        Ok(Self {
            host,
            home,
            settings,
            store,
            hub,
            xet,
            stop,
        })
    }

    pub fn tools(&self) -> Tools<'_> {
        Tools {
            host: self.host,
            home: self.home,
            store: &self.store,
            settings: &self.settings,
            hub: &self.hub,
            xet: self.xet.as_ref(),
            stop: &self.stop,
        }
    }

    /// Returns what the Hub wants people to know.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.hub.warnings().into_iter();
        warnings.map(|warning| warning.message).collect()
    }
}
