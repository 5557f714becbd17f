//! The writer and the near cache in many orders of their threads; and that a fault in either is found.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use threads::explore::{Check, explore};
use threads::{checks, fault, faulty};

/// Each change explores the same orders; `cargo xtask soak` explores others each time.
fn seed() -> u64 {
    if services::rounds(0, 1) == 0 { 1 } else { RandomState::new().build_hasher().finish() }
}

fn holds(check: Check, few: u32) {
    let schedules = services::rounds(few, 200 * few);
    let explored = explore(seed(), schedules as usize, check);
    let explored = explored.map_err(|found| found.to_string()).expect("no order finds anything");
    println!("{}: {explored}", std::thread::current().name().unwrap_or_default());
    // Where the checker does not see the threads, it sees one order again and again.
    assert!(explored.different > explored.schedules / 2, "{explored}");
}

#[test]
fn a_logout_holds_in_every_order_of_the_threads() {
    // R03
    holds(checks::a_logout_holds, 1_000);
}

#[test]
fn a_logout_holds_in_every_order_where_callers_give_up() {
    holds(checks::a_logout_holds_where_callers_give_up, 600);
}

#[test]
fn what_one_does_not_find_nobody_finds_in_every_order() {
    holds(checks::what_one_does_not_find_nobody_finds, 1_000);
}

#[test]
fn each_session_is_ended_by_one_of_two_in_every_order() {
    holds(checks::each_session_is_ended_by_one, 500);
}

#[test]
fn a_secret_that_was_replaced_is_not_served_in_any_order() {
    // R12
    holds(checks::a_secret_that_was_replaced_is_not_served, 500);
}

#[test]
fn what_a_sweep_ended_is_gone_in_every_order() {
    holds(checks::what_a_sweep_ended_is_gone, 500);
}

#[test]
fn a_failed_batch_is_told_to_all_in_every_order() {
    holds(checks::a_failed_batch_is_told_to_all, 600);
}

#[test]
fn a_shutdown_answers_everybody_in_every_order() {
    holds(checks::a_shutdown_answers_everybody, 1_000);
}

#[test]
fn the_last_handle_may_die_anywhere_in_every_order() {
    holds(checks::the_last_handle_may_die_anywhere, 1_000);
}

/// A fault gets no more orders than what has none.
fn found(name: &'static str, check: Check) -> String {
    fault::choose(name);
    match explore(1, 1_000, check) {
        Ok(explored) => format!("nothing: {explored}"),
        Err(found) => {
            println!("{name}: {found}");
            found.what
        }
    }
}

#[test]
fn a_cache_that_is_not_told_is_found_out() {
    for found in [
        found("cache not told", faulty::checks::what_one_does_not_find_nobody_finds),
        found("cache not told", faulty::checks::a_logout_holds_where_callers_give_up),
        found("cache told late", faulty::checks::what_one_does_not_find_nobody_finds),
        found("ends not announced", faulty::checks::each_session_is_ended_by_one),
        found("ends not announced", faulty::checks::what_a_sweep_ended_is_gone),
    ] {
        assert!(found.contains("after somebody was told that it is gone"), "{found}");
    }
}

#[test]
fn a_cache_that_is_not_told_of_a_new_secret_is_found_out() {
    for fault in ["cache not told", "ends not announced"] {
        let found = found(fault, faulty::checks::a_secret_that_was_replaced_is_not_served);
        assert!(found.contains("the old secret is served"), "{found}");
    }
}

#[test]
fn a_cache_that_never_learns_again_is_found_out() {
    let found = found("change never over", faulty::checks::a_logout_holds);
    assert!(found.contains("does not learn any more"), "{found}");
}

#[test]
fn a_writer_that_answers_before_commit_is_found_out() {
    let found = found("answers before COMMIT", faulty::checks::a_logout_holds);
    assert!(found.contains("after somebody was told that it is gone"), "{found}");
}

#[test]
fn a_writer_that_acknowledges_what_failed_is_found_out() {
    let found = found("failed COMMIT acknowledged", faulty::checks::a_failed_batch_is_told_to_all);
    assert!(found.contains("acknowledged, and not committed"), "{found}");
}

#[test]
fn a_shutdown_that_drops_the_queue_is_found_out() {
    let found = found("shutdown drops the queue", faulty::checks::a_shutdown_answers_everybody);
    assert!(found.contains("lost a step that was taken"), "{found}");
}

#[test]
fn a_shutdown_that_loses_or_waits_for_somebody_is_found_out() {
    for found in [
        found("shutdown forgets the queue", faulty::checks::a_shutdown_answers_everybody),
        found("shutdown leaves the queue open", faulty::checks::a_logout_holds),
        found("writer waits for itself", faulty::checks::the_last_handle_may_die_anywhere),
    ] {
        assert!(found.starts_with("deadlock!"), "{found}");
    }
}

#[test]
fn without_a_fault_the_faulty_copy_holds_as_the_real_one_does() {
    let found = found("none", faulty::checks::what_one_does_not_find_nobody_finds);
    assert!(found.starts_with("nothing"), "{found}");
}
