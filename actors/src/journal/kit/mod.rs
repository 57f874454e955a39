//! The test kit of journals: one named test for each row of the conformance table, run on every implementation.
//!
//! Rows J01 to J41 follow the test kit of Pekko Persistence, rows K01 to K12 are Swarm's own (docs/durability.md lists them).
//! An implementation gives a [`Fixture`] and names the macro:
//!
//! ```
//! # use swarm_actors::journal::{kit::MemoryFixture};
//! mod rows {
//!     swarm_actors::journal_kit!(swarm_actors::journal::kit::MemoryFixture::new());
//! }
//! ```
//!
//! Every function here panics when its row does not hold.

mod crash_rows;
mod event_rows;
mod memory_fixture;
mod snapshot_rows;
mod state_rows;

pub use crash_rows::*;
pub use event_rows::*;
pub use memory_fixture::MemoryFixture;
pub use snapshot_rows::*;
pub use state_rows::*;

use super::{
    Append, AppendError, Appended, Bounds, EventData, Expected, Journal, JournalError, Seq,
    StreamName,
};
use std::sync::Arc;

/// A journal that a test may mistreat.
pub trait Fixture {
    /// The journal as it is open now.
    fn journal(&self) -> Arc<dyn Journal>;

    /// Ends it as a kill of its process would, and opens it again.
    fn kill(&mut self);

    /// Ends it as a power loss would, and opens it again.
    fn lose_power(&mut self);

    /// Ends it in order, and opens it again.
    fn close(&mut self);

    /// Does the how-many-eth damage to what is stored, and opens it again. `None` when there is no such case.
    fn damage(&mut self, case: u32) -> Option<Result<(), JournalError>>;

    /// Lets writing fail for want of room after `more` writes.
    fn fill_disk_after(&mut self, more: u32);

    /// Exports it, and goes on with a fresh journal into which that was imported.
    fn export_and_import(&mut self);

    /// How many bytes the last opening had to read from its log.
    fn opening_read(&self) -> u64;
}

/// Makes one `#[test]` per row of fresh fixtures.
#[macro_export]
macro_rules! journal_kit {
    ($fixture:expr) => {
        $crate::journal_kit!(@rows $fixture,
            j01_replay_without_bounds_is_everything_in_order,
            j02_a_lower_bound_cuts_the_front,
            j03_an_upper_bound_does_not_change_the_highest,
            j04_a_limit_counts_from_the_front,
            j05_both_bounds_hold,
            j06_bounds_and_limit_hold_together,
            j07_equal_bounds_are_one_event,
            j08_bounds_with_limit_one_are_the_first,
            j09_limit_zero_is_a_completed_replay,
            j10_a_lower_bound_above_the_upper_is_nothing,
            j11_a_stream_never_written_is_empty_and_no_error,
            j12_truncation_is_acknowledged_and_seen,
            j13_truncation_keeps_the_highest_number,
            j14_numbers_are_never_given_twice,
            j15_a_refused_event_leaves_its_neighbours,
            j16_payloads_come_back_byte_for_byte,
            j17_metadata_and_tags_come_back,
            j18_the_events_of_one_command_are_atomic,
            j19_answers_come_in_order_and_to_who_asked,
            j20_many_writers_come_to_an_end,
            j21_no_snapshot_of_an_unknown_stream,
            j22_no_snapshot_older_than_all,
            j23_no_snapshot_below_the_lowest_number,
            j24_without_bound_the_newest,
            j25_with_a_number_the_newest_up_to_it,
            j26_with_number_and_time_the_newest_of_both,
            j27_one_snapshot_is_deleted_by_its_number,
            j28_all_within_bounds_are_deleted,
            j29_a_time_just_below_leaves_it,
            j30_saving_again_replaces,
            j31_large_snapshots_are_taken_and_too_large_ones_refused,
            j32_snapshots_come_back_byte_for_byte,
            j33_snapshot_notes_come_back,
            j34_an_absent_state_is_none,
            j35_a_state_comes_back_with_its_revision,
            j36_the_next_revision_replaces,
            j37_a_deleted_state_is_none,
            j38_states_are_independent,
            j39_revisions_go_on_after_a_deletion,
            j40_a_stale_deletion_changes_nothing,
            j41_a_stale_upsert_changes_nothing,
            k01_acknowledged_is_there_after_a_kill,
            k02_acknowledged_is_there_after_a_power_loss,
            k03_no_batch_is_ever_seen_in_part,
            k04_no_stream_has_a_hole,
            k05_damage_is_repaired_or_named,
            k06_a_full_disk_is_an_error_and_no_acknowledgement,
            k07_a_conflict_names_the_actual_number,
            k08_a_repeated_command_takes_effect_once,
            k09_a_former_owner_is_refused,
            k10_golden_bytes_of_every_version_are_read,
            k11_export_and_import_keep_heads_and_hashes,
            k12_opening_reads_what_came_after_the_checkpoint
        );
    };
    (@rows $fixture:expr, $($row:ident),+) => {
        $(#[test]
        fn $row() {
            $crate::journal::kit::$row(|| $fixture);
        })+
    };
}

fn name(text: &str) -> StreamName {
    StreamName::new(text).expect("a name")
}

fn event(text: &str) -> EventData {
    EventData {
        type_id: 1,
        version: 1,
        payload: text.as_bytes().to_vec(),
        ..EventData::default()
    }
}

fn write(journal: &dyn Journal, stream: &str, texts: &[&str]) -> Appended {
    let events = texts.iter().map(|text| event(text)).collect();
    journal
        .append(Append::new(name(stream), events))
        .wait()
        .expect("an append that nothing speaks against")
}

/// Events 1 to 5 of stream `s`, 4 and 5 as one batch.
fn five(journal: &dyn Journal) {
    for n in 1..=3 {
        write(journal, "s", &[&format!("e{n}")]);
    }
    write(journal, "s", &["e4", "e5"]);
}

fn numbers(journal: &dyn Journal, stream: &str, bounds: Bounds) -> (Vec<u64>, u64) {
    let replay = journal.read(&name(stream), bounds).expect("a sound stream");
    for event in &replay.events {
        assert_eq!(event.stream, name(stream));
    }
    (
        replay.events.iter().map(|e| e.seq.0).collect(),
        replay.highest.0,
    )
}

fn expect_conflict(answer: Result<Appended, AppendError>, actual: u64) {
    match answer {
        Err(AppendError::Conflict { actual: found, .. }) => assert_eq!(found, Seq(actual)),
        other => panic!("no conflict: {other:?}"),
    }
}

fn exact(stream: &str, seq: u64, text: &str) -> Append {
    Append {
        expected: Expected::Exact(Seq(seq)),
        ..Append::new(name(stream), vec![event(text)])
    }
}
