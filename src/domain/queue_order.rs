//! Queue order: in which order the files of many models are fetched.

use super::model::Priority;

/// The queue position of one model's files.
///
/// Models of equal priority get equal shares of the bytes: a file's position is
/// the number of bytes its model will have received with it. So ten small
/// models are complete before a large one has received as much as each of them,
/// whichever was requested first. Two large models that a budget interrupts
/// every night both make progress.
#[derive(Clone, Copy, Debug)]
pub struct QueueOrder {
    schedule: Priority,
    model: Priority,
    bytes: u64,
}

/// Shift from bytes to units of 64 KiB: an exabyte fits into 48 bits.
const UNIT_SHIFT: u32 = 16;

impl QueueOrder {
    pub fn new(schedule: Priority, model: Priority) -> Self {
        Self {
            schedule,
            model,
            bytes: 0,
        }
    }

    /// Returns the rank of the model's next file; a lower rank is fetched first.
    ///
    /// From the highest bits: 8 bits of the schedule's priority and 8 of the
    /// model's, both inverted, and 48 of the byte count.
    pub fn next(&mut self, missing_bytes: u64) -> u64 {
        self.bytes = self.bytes.saturating_add(missing_bytes);
        let inverted = |priority: Priority| u64::from(100 - priority.get().min(100));
        let bytes = (self.bytes >> UNIT_SHIFT).min((1 << 48) - 1);
        inverted(self.schedule) << 56 | inverted(self.model) << 48 | bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(schedule: &str, model: &str) -> QueueOrder {
        QueueOrder::new(schedule.parse().unwrap(), model.parse().unwrap())
    }

    #[test]
    fn small_models_are_whole_before_a_large_one_has_had_as_much() {
        let (mut large, mut small) = (order("50", "50"), order("50", "50"));
        let large: Vec<u64> = (0..100).map(|_| large.next(4 << 30)).collect();
        let small: Vec<u64> = (0..3).map(|_| small.next(1 << 30)).collect();
        assert!(small.iter().all(|place| *place < large[0]));
        assert!(large.is_sorted());
    }

    #[test]
    fn two_large_models_take_turns() {
        let (mut a, mut b) = (order("50", "50"), order("50", "50"));
        let mut places: Vec<(u64, char)> = (0..4)
            .flat_map(|_| [(a.next(1 << 30), 'a'), (b.next(1 << 30), 'b')])
            .collect();
        places.sort();
        let names: String = places.iter().map(|(_, name)| *name).collect();
        assert_eq!(names, "abababab");
    }

    #[test]
    fn priorities_come_first_the_schedules_before_the_models() {
        let urgent = order("60", "0").next(u64::MAX);
        let dear = order("50", "60").next(u64::MAX);
        let plain = order("50", "50").next(1);
        assert!(urgent < dear && dear < plain);
        assert!(order("0", "0").next(u64::MAX) > plain);
    }
}
