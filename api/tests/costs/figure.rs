//! How often a piece of work may allocate, and the failure when it exceeds that.

/// By how much a count may differ from its figure, in percent. Counts differ by one percent from run to run,
/// also on a busy machine; the rest is for other versions of Postgres and small changes.
const TOLERANCE: u64 = 10;

/// The allocations of one piece of work.
pub struct Figure {
    name: &'static str,
    allocations: u64,
}

impl Figure {
    pub const fn of(name: &'static str, allocations: u64) -> Self {
        Self { name, allocations }
    }

    /// Runs some work and compares the allocations of this thread per piece.
    #[track_caller]
    pub fn holds_for(&self, pieces: u64, work: impl FnOnce()) {
        let counted = allocation_counter::measure(work).count_total / pieces;
        if let Err(said) = self.compare(counted) {
            panic!("{said}");
        }
    }

    fn compare(&self, counted: u64) -> Result<(), String> {
        let Self { name, allocations } = self;
        let slack = allocations * TOLERANCE / 100;
        let judged = if counted > allocations + slack {
            "more than before: find what became dearer, or, if it is worth it,"
        } else if counted + slack < *allocations {
            "fewer than before: so that it stays so,"
        } else {
            return Ok(());
        };
        Err(format!(
            "{counted} allocations, {judged} write `{name}: Figure = Figure::of(\"{name}\", {counted})` \
             in api/tests/costs/main.rs; the figure there is {allocations}"
        ))
    }
}

#[test]
fn work_that_doubles_is_refused_and_so_is_a_figure_with_room_for_that() {
    let figure = Figure::of("POST", 100);

    assert_eq!(figure.compare(110), Ok(()));
    assert_eq!(figure.compare(90), Ok(()));
    let doubled = figure.compare(200).unwrap_err();
    assert!(doubled.contains("`POST: Figure = Figure::of(\"POST\", 200)`"));
    assert!(figure.compare(111).is_err());
    assert!(figure.compare(50).is_err());
}
