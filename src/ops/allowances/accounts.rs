//! The accounts of a run: they count its bytes, and keep within the allowances.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::rules::{in_force, rule_of_home, rules_of_tags};
use crate::domain::allowance::{
    Allowance, AllowanceKind, AllowanceRule, AllowanceScope, BLOCK, counting_time, last_to_renew,
};
use crate::domain::model::{ModelId, Tag};
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::download::{LimitGroup, TransferBudget};
use crate::ops::services::Services;
use crate::store::Store;
use crate::sys::host::checkpoint;

/// The transfer time for which bytes are recorded ahead.
const SECONDS_AHEAD: f64 = 1.0;

/// The smallest and the largest number of bytes that are recorded ahead at first.
const FIRST_AHEAD: (u64, u64) = (BLOCK, 8 << 20);

/// The time between two records of an account without a hard limit.
const RECORD_EVERY: Duration = Duration::from_secs(1);

/// The accounts of a run.
#[derive(Debug, Default)]
pub struct Accounts {
    /// Allowances are counted and limit nothing.
    ignores_limits: bool,
    rules_of_tags: Vec<AllowanceRule>,
    /// Empty if no tag has a limit.
    tags_of_models: BTreeMap<ModelId, Vec<Tag>>,
    accounts: Vec<Account>,
    /// Files are fetched: a run that fetches nothing records nothing.
    is_fetching: bool,
}

impl Accounts {
    /// Opens the account of the home; returns it with its budget.
    pub fn open(
        services: &Services<'_>,
        ignores_limits: bool,
    ) -> Result<(Self, Arc<TransferBudget>)> {
        let Services {
            store,
            host,
            settings,
            ..
        } = services;
        store.tidy_transfers(host.now())?;
        let mut accounts = Self {
            ignores_limits,
            rules_of_tags: rules_of_tags(store, host, settings)?,
            ..Self::default()
        };
        if !accounts.rules_of_tags.is_empty() {
            accounts.tags_of_models = store.tags_of_models()?;
        }
        let home = accounts.budget(store, rule_of_home(host, settings), host.now())?;
        Ok((accounts, home))
    }

    /// Returns the budget of a rule, whose account is opened if need be.
    pub fn budget(
        &mut self,
        store: &Store,
        mut rule: AllowanceRule,
        now: Timestamp,
    ) -> Result<Arc<TransferBudget>> {
        let mut known = self.accounts.iter();
        if let Some(account) = known.find(|account| account.rule.scope == rule.scope) {
            return Ok(account.budget.clone());
        }
        if self.ignores_limits {
            (rule.daily, rule.monthly) = (None, None);
        }
        let account = Account::open(store, rule, now)?;
        let budget = account.budget.clone();
        self.accounts.push(account);
        Ok(budget)
    }

    /// Returns the budgets of the tags of a model; none if no tag has a limit.
    pub fn budgets_of_tags(
        &mut self,
        store: &Store,
        model: ModelId,
        now: Timestamp,
    ) -> Result<Vec<Arc<TransferBudget>>> {
        let Some(tags) = self.tags_of_models.get(&model) else {
            return Ok(Vec::new());
        };
        let has = |rule: &&AllowanceRule| matches!(&rule.scope, AllowanceScope::Tag(tag) if tags.contains(tag));
        let rules: Vec<AllowanceRule> = self.rules_of_tags.iter().filter(has).cloned().collect();
        let budgets = rules.into_iter();
        budgets.map(|rule| self.budget(store, rule, now)).collect()
    }

    /// Notes that files will be fetched.
    pub fn begin_fetching(&mut self) {
        self.is_fetching = true;
    }

    /// Records received bytes and, under a hard limit, bytes ahead of the transfer.
    /// Called several times a second; most calls do nothing.
    /// `run_time` is the time since the run began, by a clock that cannot be set.
    pub fn keep(&mut self, store: &Store, now: Timestamp, run_time: Duration) -> Result<()> {
        if !self.is_fetching {
            return Ok(());
        }
        let mut accounts = self.accounts.iter_mut();
        accounts.try_for_each(|account| account.keep(store, now, run_time))
    }

    /// Takes back the bytes that were recorded ahead and not received.
    pub fn close(&mut self, store: &Store, now: Timestamp) -> Result<()> {
        let mut accounts = self.accounts.iter_mut();
        accounts.try_for_each(|account| account.record(store, now, Ahead::Nothing))
    }

    /// Returns the spent allowance that holds back the files of a group; of several,
    /// the one that begins anew last.
    pub fn spent_for(&self, limits: &LimitGroup) -> Option<Allowance> {
        let accounts = self.accounts.iter();
        let accounts = accounts.filter(|account| limits.has(&account.budget));
        let allowances: Vec<Allowance> = accounts.flat_map(Account::allowances).collect();
        last_to_renew(&allowances).cloned()
    }
}

/// The bytes to record ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    Nothing,
    AsNeeded,
}

/// The account of one rule.
#[derive(Debug)]
struct Account {
    rule: AllowanceRule,
    budget: Arc<TransferBudget>,
    /// The allowances at the last record, without bytes recorded ahead.
    in_force: Vec<Allowance>,
    /// Bytes of this run that the ledger has, and those received at the last record.
    recorded: u64,
    received: u64,
    /// The quarter of the bytes recorded ahead.
    quarter: Timestamp,
    /// The bytes to record ahead.
    ahead: u64,
    /// The time of the last record, since the run began.
    recorded_at: Duration,
}

impl Account {
    fn open(store: &Store, rule: AllowanceRule, now: Timestamp) -> Result<Self> {
        let in_force = in_force(store, &rule, now)?;
        let (least, most) = FIRST_AHEAD;
        let limits = in_force.iter().map(|one| one.limit.bytes());
        let account = Self {
            budget: Arc::new(TransferBudget::allowance(rule.kind == AllowanceKind::Soft)),
            ahead: (limits.min().unwrap_or(0) / 32).clamp(least, most),
            in_force,
            recorded: 0,
            received: 0,
            quarter: now,
            recorded_at: Duration::ZERO,
            rule,
        };
        if let Some(left) = account.left() {
            account.budget.set(left, 0);
        }
        Ok(account)
    }

    /// Returns the bytes left at the last record; `None` is unlimited.
    fn left(&self) -> Option<u64> {
        self.in_force.iter().map(Allowance::left).min()
    }

    fn is_hard(&self) -> bool {
        self.rule.has_limit() && self.rule.kind == AllowanceKind::Hard
    }

    /// Returns the allowances with the bytes received since the last record.
    fn allowances(&self) -> Vec<Allowance> {
        let (received, _) = self.budget.spent_and_reserved();
        let since = received - self.received;
        let with_bytes = |one: &Allowance| Allowance {
            spent: ByteSize(one.spent.bytes() + since),
            ..one.clone()
        };
        self.in_force.iter().map(with_bytes).collect()
    }

    fn keep(&mut self, store: &Store, now: Timestamp, run_time: Duration) -> Result<()> {
        let since_record = run_time.saturating_sub(self.recorded_at);
        let (received, reserved) = self.budget.spent_and_reserved();
        let has_begun_anew = self.in_force.iter().any(|one| now >= one.renews_at);
        let is_due = if self.is_hard() {
            let granted = self.recorded.saturating_sub(received + reserved);
            let can_grow =
                self.recorded - self.received.min(self.recorded) < self.left().unwrap_or(0);
            granted < self.ahead / 2 && can_grow
        } else {
            received > self.recorded && since_record >= RECORD_EVERY
        };
        if has_begun_anew || is_due {
            self.measure(received, since_record);
            self.recorded_at = run_time;
            self.record(store, now, Ahead::AsNeeded)?;
        }
        Ok(())
    }

    fn record(&mut self, store: &Store, now: Timestamp, ahead: Ahead) -> Result<()> {
        let (received, reserved) = self.budget.spent_and_reserved();
        if ahead == Ahead::Nothing && received == self.recorded {
            return Ok(());
        }
        let wanted = match ahead {
            Ahead::AsNeeded if self.is_hard() => reserved + self.ahead,
            _ => 0,
        };
        let (scope, calendar) = (self.rule.scope.clone(), self.rule.calendar.clone());
        let (in_force, quarter, ahead) = store.transaction(|store| -> Result<_> {
            let at = counting_time(now, store.latest_transfer(&scope)?);
            let quarter = calendar.quarter(at);
            store.take_transfer_back(
                &scope,
                self.quarter,
                self.recorded.saturating_sub(received),
            )?;
            store.add_transfer(&scope, quarter, received.saturating_sub(self.recorded))?;
            let in_force = in_force(store, &self.rule, now)?;
            let left = in_force.iter().map(Allowance::left).min();
            let ahead = wanted.min(left.unwrap_or(0));
            store.add_transfer(&scope, quarter, ahead)?;
            Ok((in_force, quarter, ahead))
        })?;
        checkpoint("bytes recorded");
        self.in_force = in_force;
        self.quarter = quarter;
        self.received = received;
        self.recorded = received + ahead;
        if let Some(left) = self.left() {
            self.budget.set(received + left, self.recorded);
        }
        Ok(())
    }

    /// Adapts the bytes recorded ahead to the rate of the transfer since the last record.
    fn measure(&mut self, received: u64, since_record: Duration) {
        let seconds = since_record.as_secs_f64().max(0.05);
        let rate = (received - self.received) as f64 / seconds;
        let (least, _) = FIRST_AHEAD;
        self.ahead = ((rate * SECONDS_AHEAD) as u64)
            .max(self.ahead / 2)
            .max(least);
    }
}
