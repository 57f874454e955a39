//! J34 to J41: durable state.

use super::*;
use crate::journal::{DurableState, StateError, Versioned};
use std::future::Future;

fn state<F: Fixture>(fixture: &F) -> DurableState {
    DurableState::new(fixture.journal())
}

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn set<F: Fixture>(fixture: &F, key: &str, revision: u64, value: &str) {
    now(state(fixture).upsert(&name(key), revision, value.into())).expect("stored");
}

fn delete<F: Fixture>(fixture: &F, key: &str, revision: u64) {
    now(state(fixture).delete(&name(key), revision)).expect("deleted");
}

fn get<F: Fixture>(fixture: &F, key: &str) -> Option<(u64, String)> {
    let found: Option<Versioned> = state(fixture).get(&name(key)).expect("read");
    found.map(|found| {
        let value = String::from_utf8(found.value).expect("text");
        (found.revision, value)
    })
}

fn expect_stale(answer: Result<(), StateError>, is_at: u64) {
    match answer {
        Err(StateError::Stale { actual, .. }) => assert_eq!(actual, is_at),
        other => panic!("not refused: {other:?}"),
    }
}

/// J34.
pub fn j34_an_absent_state_is_none<F: Fixture>(make: impl Fn() -> F) {
    assert_eq!(get(&make(), "a"), None);
}

/// J35.
pub fn j35_a_state_comes_back_with_its_revision<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    set(&fixture, "a", 1, "one");
    fixture.kill();
    assert_eq!(get(&fixture, "a"), Some((1, "one".into())));
}

/// J36.
pub fn j36_the_next_revision_replaces<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    set(&fixture, "a", 1, "one");
    set(&fixture, "a", 2, "two");
    fixture.close();
    assert_eq!(get(&fixture, "a"), Some((2, "two".into())));
}

/// J37.
pub fn j37_a_deleted_state_is_none<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    set(&fixture, "a", 1, "one");
    delete(&fixture, "a", 2);
    fixture.kill();
    assert_eq!(get(&fixture, "a"), None);
}

/// J38.
pub fn j38_states_are_independent<F: Fixture>(make: impl Fn() -> F) {
    let fixture = make();
    set(&fixture, "a", 1, "one");
    set(&fixture, "b", 1, "other");
    delete(&fixture, "a", 2);
    assert_eq!(get(&fixture, "a"), None);
    assert_eq!(get(&fixture, "b"), Some((1, "other".into())));
}

/// J39.
pub fn j39_revisions_go_on_after_a_deletion<F: Fixture>(make: impl Fn() -> F) {
    let fixture = make();
    set(&fixture, "a", 1, "one");
    delete(&fixture, "a", 2);
    set(&fixture, "a", 3, "three");
    assert_eq!(get(&fixture, "a"), Some((3, "three".into())));
}

/// J40.
pub fn j40_a_stale_deletion_changes_nothing<F: Fixture>(make: impl Fn() -> F) {
    let fixture = make();
    set(&fixture, "a", 1, "one");
    set(&fixture, "a", 2, "two");
    expect_stale(now(state(&fixture).delete(&name("a"), 2)), 2);
    assert_eq!(get(&fixture, "a"), Some((2, "two".into())));
}

/// J41.
pub fn j41_a_stale_upsert_changes_nothing<F: Fixture>(make: impl Fn() -> F) {
    let fixture = make();
    set(&fixture, "a", 1, "one");
    set(&fixture, "a", 2, "two");
    expect_stale(now(state(&fixture).upsert(&name("a"), 2, b"x".to_vec())), 2);
    assert_eq!(get(&fixture, "a"), Some((2, "two".into())));
}
