//! The coming runs, played through with given rates.

use super::facts::{ForecastFacts, ForecastModel, HORIZON, RunLimits};
use crate::domain::allowance::{AllowancePeriod, AllowanceRule};
use crate::domain::schedule::shift;
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;

/// Rate tables are read again after so many seconds; their times are mostly quarters.
const RATE_STEP: i64 = 15 * 60;

/// More steps than any home of a hundred models needs; then the rest has no forecast.
const MOST_STEPS: usize = 50_000;

pub(super) struct Simulation<'a> {
    facts: &'a ForecastFacts,
    /// The rates of the coming runs, used one after the other and again.
    rates: &'a [u64],
    n_runs: usize,
    rate: f64,
    at: Timestamp,
    end: Timestamp,
    /// Bytes left of each model, and the time at which it was whole.
    left: Vec<f64>,
    whole_at: Vec<Option<Timestamp>>,
    accounts: Vec<SimulatedAccount<'a>>,
}

/// The bytes left of the periods of an allowance.
struct SimulatedAccount<'a> {
    rule: &'a AllowanceRule,
    /// The period, the bytes left, and the end of the period.
    periods: Vec<(AllowancePeriod, f64, Timestamp)>,
}

/// A model that receives bytes, with its schedule.
#[derive(Clone, Copy)]
struct Active {
    model: usize,
    schedule: usize,
}

/// The bytes and the time that a run or the part of a schedule in it has left.
#[derive(Clone, Copy)]
struct RunBudget {
    bytes: f64,
    until: Timestamp,
}

impl RunBudget {
    fn of(limits: &RunLimits, at: Timestamp) -> Self {
        let seconds = limits.max_duration.map(|span| span.span().as_secs());
        Self {
            bytes: limits.max_transfer.map_or(f64::MAX, bytes),
            until: seconds.map_or(Timestamp::MAX, |seconds| shift(at, seconds)),
        }
    }

    fn is_used_up(&self, at: Timestamp) -> bool {
        self.bytes < 1.0 || self.until <= at
    }
}

fn bytes(size: ByteSize) -> f64 {
    size.bytes() as f64
}

impl<'a> Simulation<'a> {
    pub(super) fn new(facts: &'a ForecastFacts, rates: &'a [u64]) -> Self {
        let left = facts.models.iter().map(|model| model.bytes_left as f64);
        let accounts = facts
            .allowances
            .iter()
            .map(|(rule, in_force)| SimulatedAccount {
                rule,
                periods: in_force
                    .iter()
                    .map(|one| (one.period, one.left() as f64, one.renews_at))
                    .collect(),
            });
        Self {
            rates,
            n_runs: 0,
            rate: 1.0,
            at: facts.now.max(facts.not_before),
            end: shift(facts.now, HORIZON.span().as_secs()),
            left: left.collect(),
            whole_at: vec![None; facts.models.len()],
            accounts: accounts.collect(),
            facts,
        }
    }

    /// Plays runs until all models are whole, or up to the horizon.
    pub(super) fn run(mut self) -> Vec<Option<Timestamp>> {
        let mut steps = 0;
        while self.at < self.end && steps < MOST_STEPS {
            self.renew_accounts();
            if self.active(|_| false).is_empty() {
                let Some(next) = self.next_start() else { break };
                self.at = next.max(shift(self.at, 1));
                steps += 1;
                continue;
            }
            steps += self.one_run(MOST_STEPS - steps);
            self.at = self.next_tick();
        }
        self.whole_at
    }

    /// Plays one run: until its limits end it, or nothing may flow. Returns the number of steps.
    fn one_run(&mut self, most: usize) -> usize {
        self.rate = self.rates[self.n_runs % self.rates.len()].max(1) as f64;
        self.n_runs += 1;
        let mut run = RunBudget::of(&self.facts.run, self.at);
        let schedules = self.facts.schedules.iter();
        let mut of_schedules: Vec<RunBudget> = schedules
            .map(|schedule| RunBudget::of(&schedule.limits, self.at))
            .collect();
        for step in 1..=most {
            self.renew_accounts();
            let at = self.at;
            let active = self.active(|schedule| of_schedules[schedule].is_used_up(at));
            if active.is_empty() || run.is_used_up(at) || at >= self.end {
                return step;
            }
            let shares = self.shares(&active);
            let until = self.next_event(&active, &run, &of_schedules);
            let budgets_last = self.budgets_last(&active, &shares, &run, &of_schedules);
            let mut seconds = (until.as_second() - at.as_second()).max(1) as f64;
            seconds = seconds.min(budgets_last);
            for (one, share) in active.iter().zip(&shares) {
                seconds = seconds.min(self.left[one.model] / share);
            }
            // Time moves by whole seconds. Bytes of a fraction are not lost, and no budget is
            // exceeded by them: a run may last for less than a second.
            let seconds = seconds.ceil().max(1.0);
            self.at = shift(at, seconds as i64);
            for (one, share) in active.iter().zip(&shares) {
                let got = (share * seconds.min(budgets_last)).min(self.left[one.model]);
                run.bytes -= got;
                of_schedules[one.schedule].bytes -= got;
                for account in self.accounts_of(one) {
                    self.accounts[account].spend(got);
                }
                self.left[one.model] -= got;
                if self.left[one.model] < 1.0 {
                    self.left[one.model] = 0.0;
                    self.whole_at[one.model] = Some(self.at);
                }
            }
        }
        most
    }

    /// Returns the models of the highest priority that may receive bytes.
    fn active(&self, is_used_up: impl Fn(usize) -> bool) -> Vec<Active> {
        let models = self.facts.models.iter().enumerate();
        let open: Vec<(_, Active)> = models
            .filter(|(index, _)| self.left[*index] > 0.0)
            .filter_map(|(index, model)| self.open_schedule(index, model, &is_used_up))
            .collect();
        let first = open.iter().map(|(rank, _)| *rank).max();
        let open = open.into_iter();
        open.filter(|(rank, _)| Some(*rank) == first)
            .map(|(_, one)| one)
            .collect()
    }

    /// Returns the schedule of the highest priority under which a model may receive bytes.
    fn open_schedule(
        &self,
        index: usize,
        model: &ForecastModel,
        is_used_up: &impl Fn(usize) -> bool,
    ) -> Option<((u8, u8), Active)> {
        let schedules = model.schedules.iter().copied();
        let open = schedules.filter(|schedule| {
            let facts = &self.facts.schedules[*schedule];
            let one = Active {
                model: index,
                schedule: *schedule,
            };
            facts.ready <= self.at
                && !is_used_up(*schedule)
                && facts.windows.is_open(&facts.zone, self.at)
                && self
                    .accounts_of(&one)
                    .all(|account| self.accounts[account].left() >= 1.0)
        });
        let best = open.max_by_key(|schedule| self.facts.schedules[*schedule].priority.get())?;
        let rank = (
            self.facts.schedules[best].priority.get(),
            model.priority.get(),
        );
        Some((
            rank,
            Active {
                model: index,
                schedule: best,
            },
        ))
    }

    fn accounts_of(&self, one: &Active) -> impl Iterator<Item = usize> + use<'a> {
        let facts: &'a ForecastFacts = self.facts;
        let of_model = facts.models[one.model].allowances.iter().copied();
        of_model.chain(facts.schedules[one.schedule].allowance)
    }

    /// Divides the rate equally, within the rate limits of the run and of schedules.
    fn shares(&self, active: &[Active]) -> Vec<f64> {
        let of_run = self.rate.min(self.limit(&self.facts.run));
        let share = |one: &Active| {
            let own = self.limit(&self.facts.schedules[one.schedule].limits);
            let with = active
                .iter()
                .filter(|other| other.schedule == one.schedule)
                .count();
            (of_run / active.len() as f64).min(own / with as f64)
        };
        active.iter().map(share).collect()
    }

    /// Returns the seconds until the first budget of bytes is used up.
    fn budgets_last(
        &self,
        active: &[Active],
        shares: &[f64],
        run: &RunBudget,
        of_schedules: &[RunBudget],
    ) -> f64 {
        let mut schedules = vec![0.0; of_schedules.len()];
        let mut accounts = vec![0.0; self.accounts.len()];
        for (one, share) in active.iter().zip(shares) {
            schedules[one.schedule] += share;
            for account in self.accounts_of(one) {
                accounts[account] += share;
            }
        }
        let of_run = run.bytes / shares.iter().sum::<f64>();
        let schedules = of_schedules.iter().zip(schedules);
        let schedules = schedules.map(|(budget, rate)| budget.bytes / rate);
        let accounts = self.accounts.iter().zip(accounts);
        let accounts = accounts.map(|(account, rate)| account.left() / rate);
        schedules.chain(accounts).fold(of_run, f64::min)
    }

    fn limit(&self, limits: &RunLimits) -> f64 {
        let table = limits.limit_rate.as_ref();
        let rate = table.and_then(|(table, zone)| table.rate_at(zone.to_datetime(self.at)));
        rate.map_or(f64::MAX, bytes)
    }

    /// Returns the next time at which windows, limits or rates change.
    fn next_event(
        &self,
        active: &[Active],
        run: &RunBudget,
        of_schedules: &[RunBudget],
    ) -> Timestamp {
        let mut next = run.until.min(self.end);
        let has_table = |limits: &RunLimits| limits.limit_rate.is_some();
        let mut rates_change = has_table(&self.facts.run);
        for one in active {
            let schedule = &self.facts.schedules[one.schedule];
            let closes = schedule.windows.closes_after(&schedule.zone, self.at);
            next = next.min(closes.unwrap_or(Timestamp::MAX));
            next = next.min(of_schedules[one.schedule].until);
            rates_change |= has_table(&schedule.limits);
        }
        // Another schedule may start beside or before these.
        let starts = self.facts.schedules.iter().map(|schedule| schedule.ready);
        let starts = starts.filter(|ready| *ready > self.at);
        let renewals = self.accounts.iter().flat_map(|account| &account.periods);
        let renewals = renewals.map(|(_, _, end)| *end);
        next = starts.chain(renewals).fold(next, Timestamp::min);
        if rates_change {
            let second = self.at.as_second();
            next = next.min(shift(self.at, RATE_STEP - second.rem_euclid(RATE_STEP)));
        }
        next
    }

    /// Returns the next time at which a model may receive bytes, as far as is known now.
    fn next_start(&self) -> Option<Timestamp> {
        if self.left.iter().all(|left| *left <= 0.0) {
            return None;
        }
        let starts = self.facts.schedules.iter().filter_map(|schedule| {
            let from = schedule.ready.max(self.at);
            let open = schedule.windows.opens_at(&schedule.zone, from)?;
            // An open window waits for an allowance.
            (open > self.at).then_some(open)
        });
        let renewals = self.accounts.iter().flat_map(|account| &account.periods);
        let renewals = renewals
            .filter(|(_, left, _)| *left < 1.0)
            .map(|(_, _, end)| *end);
        starts.chain(renewals).min()
    }

    fn next_tick(&self) -> Timestamp {
        let period = self.facts.tick.span().as_secs().max(60);
        let second = self.at.as_second();
        shift(self.at, period - second.rem_euclid(period))
    }

    fn renew_accounts(&mut self) {
        for account in &mut self.accounts {
            account.renew(self.at);
        }
    }
}

impl SimulatedAccount<'_> {
    fn left(&self) -> f64 {
        let left = self.periods.iter().map(|(_, left, _)| *left);
        left.fold(f64::MAX, f64::min)
    }

    fn spend(&mut self, bytes: f64) {
        for (_, left, _) in &mut self.periods {
            *left = (*left - bytes).max(0.0);
        }
    }

    fn renew(&mut self, at: Timestamp) {
        for (period, left, end) in &mut self.periods {
            if at < *end {
                continue;
            }
            let limit = match period {
                AllowancePeriod::Day => self.rule.daily,
                AllowancePeriod::Month => self.rule.monthly,
            };
            *left = limit.map_or(f64::MAX, bytes);
            *end = self.rule.calendar.period(*period, at).1;
        }
    }
}
