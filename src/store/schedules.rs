//! The tables `schedules`, `schedule_models` and `schedule_tags`: cadences with
//! their limits and the models that they select.

use rusqlite::{Params, named_params, params};

use super::error::{Result, StoreError};
use super::open::Store;
use super::row::Row;
use super::rows::unreadable_reason;
use super::value::{integer, seconds, unreadable};
use super::wire;
use crate::domain::model::EntryName;
use crate::domain::schedule::{
    Cadence, CatchUp, Schedule, ScheduleId, ScheduleSpec, ScheduleState, Selection,
    StoredSchedules, Unusable, UnusableKind, Windows,
};
use crate::domain::time::Timestamp;
use crate::domain::units::{ByteSize, Seconds};

const SELECT: &str = "SELECT schedules.*,
    (SELECT json_group_array(name) FROM schedule_models JOIN models ON models.id = model_id
        WHERE schedule_id = schedules.id) AS models,
    (SELECT json_group_array(tag) FROM schedule_tags WHERE schedule_id = schedules.id) AS tags
    FROM schedules ";

impl Store {
    /// Registers a schedule. The models that it names must exist.
    pub fn insert_schedule(
        &self,
        spec: &ScheduleSpec,
        state: &ScheduleState,
        now: Timestamp,
    ) -> Result<ScheduleId> {
        self.transaction(|store| {
            let id = store.write_schedule_spec(None, spec, now)?;
            store.write_selection(id, &spec.selection)?;
            store.save_schedule_state(id, state)?;
            Ok(id)
        })
    }

    /// Changes the entry of a schedule and makes it a candidate at once.
    ///
    /// `next_due_at` may be early but never late, and only the caller can compute
    /// it.
    pub fn update_schedule(
        &self,
        id: ScheduleId,
        spec: &ScheduleSpec,
        now: Timestamp,
    ) -> Result<()> {
        self.transaction(|store| {
            store.write_schedule_spec(Some(id), spec, now)?;
            store.write_selection(id, &spec.selection)
        })
    }

    /// Saves the state of a schedule.
    pub fn save_schedule_state(&self, id: ScheduleId, state: &ScheduleState) -> Result<()> {
        let values = named_params! {
            "anchor_at": seconds(state.anchor_at),
            "not_before_at": seconds(state.not_before_at),
            "next_due_at": state.next_due_at.map(seconds),
            "last_slot_at": state.last_slot_at.map(seconds),
            "open_slot_at": state.open_slot_at.map(seconds),
            "retry_at": state.retry_at.map(seconds),
            "retry_count": state.retry_count,
        };
        expect_one(self.update("schedules", id.0, values, "true")?, id)
    }

    /// Enables or disables a schedule. An enabled one is a candidate at once.
    pub fn set_schedule_enabled(
        &self,
        id: ScheduleId,
        enabled: bool,
        now: Timestamp,
    ) -> Result<()> {
        let sql =
            "UPDATE schedules SET enabled = ?2, next_due_at = iif(?2, ?3, NULL), updated_at = ?3
            WHERE id = ?1";
        expect_one(self.execute(sql, params![id.0, enabled, seconds(now)])?, id)
    }

    /// Makes every enabled schedule a candidate at once. Called after a change of
    /// the time zone data, which makes every cached `next_due_at` invalid.
    pub fn reconsider_all_schedules(&self, now: Timestamp) -> Result<()> {
        let sql = "UPDATE schedules SET next_due_at = ?1 WHERE enabled = 1";
        self.execute(sql, [seconds(now)])?;
        Ok(())
    }

    /// Removes a schedule. Its sessions stay under its name.
    pub fn remove_schedule(&self, id: ScheduleId) -> Result<()> {
        let sql = "DELETE FROM schedules WHERE id = ?1";
        expect_one(self.execute(sql, [id.0])?, id)
    }

    /// Returns the schedule of a name; a missing one is an error.
    pub fn schedule(&self, name: &EntryName) -> Result<Schedule> {
        self.find_schedule(name)?
            .ok_or_else(|| StoreError::not_found("schedule", name))
    }

    /// Returns a schedule by its id; `None` if it has been removed.
    pub fn schedule_by_id(&self, id: ScheduleId) -> Result<Option<Schedule>> {
        self.find_one(&format!("{SELECT} WHERE id = ?1"), [id.0])
    }

    /// Tells whether a schedule is still registered, readable or not.
    pub fn has_schedule(&self, id: ScheduleId) -> Result<bool> {
        let sql = "SELECT 1 FROM schedules WHERE id = ?1";
        Ok(self.find(sql, [id.0], |_| Ok(()))?.is_some())
    }

    /// Returns the time zones that enabled schedules name.
    pub fn time_zones_in_use(&self) -> Result<Vec<String>> {
        let sql = "SELECT DISTINCT time_zone FROM schedules WHERE enabled = 1 ORDER BY time_zone";
        self.list(sql, [], |row| row.get("time_zone"))
    }

    pub fn find_schedule(&self, name: &EntryName) -> Result<Option<Schedule>> {
        self.find_one(&format!("{SELECT} WHERE name = ?1"), [name.as_str()])
    }

    /// Returns the id of a schedule, also if its row is unreadable.
    pub fn find_schedule_id(&self, name: &EntryName) -> Result<Option<ScheduleId>> {
        let sql = "SELECT id FROM schedules WHERE name = ?1";
        self.find(sql, [name.as_str()], |row| Ok(ScheduleId(row.get("id")?)))
    }

    /// Returns all schedules by name.
    pub fn schedules(&self) -> Result<StoredSchedules> {
        self.list_all(&format!("{SELECT} ORDER BY name"), [])
    }

    /// Returns the enabled schedules by name.
    pub fn enabled_schedules(&self) -> Result<StoredSchedules> {
        let sql = format!("{SELECT} WHERE enabled = 1 ORDER BY name");
        self.list_all(&sql, [])
    }

    /// Returns the enabled schedules that may be due, the earliest first.
    ///
    /// A superset of the due schedules, found without reading the others.
    pub fn due_candidates(&self, now: Timestamp) -> Result<StoredSchedules> {
        self.list_all(&due_query(), [seconds(now)])
    }

    /// Reads one schedule; an unreadable one is an error.
    fn find_one(&self, sql: &str, params: impl Params) -> Result<Option<Schedule>> {
        match self.find(sql, params, read_or_reason)? {
            Some(Ok(schedule)) => Ok(Some(schedule)),
            Some(Err(unusable)) => Err(StoreError::UnusableSchedule(Box::new(unusable))),
            None => Ok(None),
        }
    }

    /// Reads many schedules; unreadable ones are returned beside the others.
    fn list_all(&self, sql: &str, params: impl Params) -> Result<StoredSchedules> {
        let rows: Vec<_> = self.list(sql, params, read_or_reason)?;
        let mut all = StoredSchedules::default();
        for row in rows {
            match row {
                Ok(schedule) => all.readable.push(schedule),
                Err(unusable) => all.unreadable.push(unusable),
            }
        }
        Ok(all)
    }

    /// Changes the row of a schedule, or inserts one without an id.
    fn write_schedule_spec(
        &self,
        id: Option<ScheduleId>,
        spec: &ScheduleSpec,
        now: Timestamp,
    ) -> Result<ScheduleId> {
        let now = seconds(now);
        let values = named_params! {
            "name": spec.name.as_str(),
            "cadence_kind": spec.cadence.kind().as_str(),
            "cadence_spec": spec.cadence.spec(),
            "time_zone": spec.time_zone,
            "windows": wire::render_list(spec.windows.texts()),
            "catch_up": spec.catch_up.as_str(),
            "catch_up_within": spec.catch_up.within().map(|span| integer(span.get())),
            "jitter": integer(spec.jitter.get()),
            "limit_rate": spec.limit_rate.as_ref().map(ToString::to_string),
            "max_duration": spec.max_duration.map(|span| integer(span.get())),
            "max_transfer": spec.max_transfer.map(|size| integer(size.bytes())),
            "limit_daily": spec.limit_daily.map(|size| integer(size.bytes())),
            "limit_monthly": spec.limit_monthly.map(|size| integer(size.bytes())),
            "priority": spec.priority.get(),
            "enabled": spec.enabled,
            "selects_all": spec.selection.all,
            "next_due_at": now,
            "updated_at": now,
        };
        let written = match id {
            Some(id) => {
                let changed = self.update("schedules", id.0, values, "true");
                changed.map(|n| (n, id))
            }
            None => {
                let created =
                    named_params! { "anchor_at": now, "not_before_at": now, "created_at": now };
                let inserted = self.insert("schedules", &[values, created].concat());
                inserted.map(|id| (1, ScheduleId(id)))
            }
        };
        let (n_changed, id) = written.map_err(|err| match err {
            StoreError::Duplicate(_) => StoreError::NotUnique {
                entity: "schedule",
                what: "the name".to_owned(),
                existing: spec.name.to_string(),
            },
            other => other,
        })?;
        expect_one(n_changed, id)?;
        Ok(id)
    }

    fn write_selection(&self, id: ScheduleId, selection: &Selection) -> Result<()> {
        self.execute("DELETE FROM schedule_models WHERE schedule_id = ?1", [id.0])?;
        self.execute("DELETE FROM schedule_tags WHERE schedule_id = ?1", [id.0])?;
        for model in &selection.models {
            let sql = "INSERT INTO schedule_models (schedule_id, model_id)
                SELECT ?1, id FROM models WHERE name = ?2";
            if self.execute(sql, params![id.0, model.as_str()])? == 0 {
                return Err(StoreError::not_found("model", model));
            }
        }
        for tag in &selection.tags {
            let sql = "INSERT INTO schedule_tags (schedule_id, tag) VALUES (?1, ?2)";
            self.execute(sql, params![id.0, tag.as_str()])?;
        }
        Ok(())
    }
}

/// The query of every tick; it uses the index of enabled schedules.
pub(super) fn due_query() -> String {
    format!("{SELECT} WHERE enabled = 1 AND next_due_at <= ?1 ORDER BY next_due_at")
}

fn expect_one(n_changed: usize, id: ScheduleId) -> Result<()> {
    if n_changed == 0 {
        return Err(StoreError::not_found("schedule", id.0));
    }
    Ok(())
}

/// Reads a row, or returns the schedule's name and the reason why it cannot be read.
fn read_or_reason(row: &Row<'_>) -> rusqlite::Result<std::result::Result<Schedule, Unusable>> {
    let why = match read_schedule(row) {
        Ok(schedule) => return Ok(Ok(schedule)),
        Err(err) => unreadable_reason(err)?,
    };
    Ok(Err(Unusable {
        id: ScheduleId(row.get("id")?),
        name: row.get::<String>("name")?.escape_debug().to_string(),
        is_enabled: row.get("enabled")?,
        why,
        kind: UnusableKind::Unreadable,
    }))
}

fn read_schedule(row: &Row<'_>) -> rusqlite::Result<Schedule> {
    Ok(Schedule {
        id: ScheduleId(row.get("id")?),
        spec: ScheduleSpec {
            name: row.parsed("name")?,
            cadence: read_cadence(row)?,
            time_zone: row.get("time_zone")?,
            windows: read_windows(row)?,
            catch_up: read_catch_up(row)?,
            jitter: Seconds(row.count("jitter")?),
            limit_rate: row.parsed_if_any("limit_rate")?,
            max_duration: row.count_if_any("max_duration")?.map(Seconds),
            max_transfer: row.count_if_any("max_transfer")?.map(ByteSize),
            limit_daily: row.count_if_any("limit_daily")?.map(ByteSize),
            limit_monthly: row.count_if_any("limit_monthly")?.map(ByteSize),
            priority: row.priority("priority")?,
            enabled: row.get("enabled")?,
            selection: Selection {
                all: row.get("selects_all")?,
                models: wire::read_words(row, "models")?,
                tags: wire::read_words(row, "tags")?,
            },
        },
        state: ScheduleState {
            anchor_at: row.time("anchor_at")?,
            not_before_at: row.time("not_before_at")?,
            next_due_at: row.time_if_any("next_due_at")?,
            last_slot_at: row.time_if_any("last_slot_at")?,
            open_slot_at: row.time_if_any("open_slot_at")?,
            retry_at: row.time_if_any("retry_at")?,
            retry_count: row.get("retry_count")?,
        },
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn read_cadence(row: &Row<'_>) -> rusqlite::Result<Cadence> {
    let kind = row.parsed("cadence_kind")?;
    let spec: String = row.get("cadence_spec")?;
    Cadence::parse(kind, &spec).map_err(|err| unreadable("cadence_spec", err))
}

fn read_windows(row: &Row<'_>) -> rusqlite::Result<Windows> {
    let texts = wire::read_list(row, "windows")?.unwrap_or_default();
    Windows::parse(texts).map_err(|err| unreadable("windows", err))
}

fn read_catch_up(row: &Row<'_>) -> rusqlite::Result<CatchUp> {
    let word: String = row.get("catch_up")?;
    let within = row.count_if_any("catch_up_within")?.map(Seconds);
    CatchUp::parse(&word, within).map_err(|err| unreadable("catch_up", err))
}
