//! Lost responses: at each write of a run in turn, the response is lost.

use kafka_consumer_lambda::error::{Error, ErrorType};

use super::fault::{Applied, Fault, LostResponse};
use super::world::{Ended, Spec, World};
use super::{SEEDS, Scene, block_on, each_at, worlds};

const WHENS: [Applied; 4] = [
    Applied::Never,
    Applied::AtOnce,
    Applied::BeforeTheNext,
    Applied::AfterTheRun,
];

/// Loses the response to each write of `spec` in turn. Passes to `check` how that run ended, and
/// the world after it has completed. Returns the number of writes.
async fn lose_each_response(spec: &Spec, lost: LostResponse, mut check: impl FnMut(&World, &Ended)) -> usize {
    let mut writes = 0;
    for seed in SEEDS {
        writes += each_at(async |at| {
            let fault = Fault::NoResponseTo(at, lost);
            let _scene = Scene::new(spec, fault, seed);
            let world = World::new(spec);
            let injected = world.run_until_fault(fault, seed).await;
            world.recover(seed).await;
            if let Some(ended) = &injected {
                check(&world, ended);
            }
            injected.is_some()
        })
        .await;
    }
    writes
}

fn error_of(ended: &Ended) -> Option<&Error> {
    ended.report.as_ref().expect("it did not crash").error.as_ref()
}

/// P1, P2: whether or when the write is applied, the run determines its result.
#[test]
fn a_lost_response_fails_no_run_if_the_item_can_be_read() {
    block_on(async {
        // Pins are not written again: see below.
        let without_pins = worlds::all().into_iter().filter(|spec| !spec.grows);
        for spec in without_pins {
            let mut writes = 0;
            for when in WHENS {
                let lost = LostResponse {
                    when,
                    can_be_read: true,
                };
                let is_expected = |error: &Error| error.kind == ErrorType::PartitionBlocked;
                writes += lose_each_response(&spec, lost, |_, ended| {
                    let error = error_of(ended);
                    assert!(error.is_none_or(is_expected), "{error:?}");
                })
                .await;
            }
            eprintln!("`{}`: {writes} lost responses", spec.name);
        }
    });
}

/// P1, P2: the next runs complete the work.
#[test]
fn a_lost_response_fails_the_run_if_the_item_cannot_be_read_either() {
    block_on(async {
        for spec in worlds::all() {
            let (mut writes, mut may_have_been_applied) = (0, 0);
            for when in WHENS {
                let lost = LostResponse {
                    when,
                    can_be_read: false,
                };
                writes += lose_each_response(&spec, lost, |_, ended| {
                    // Nothing depends on the response to a release, or to the removal of a note.
                    if ended.has_unknown_write {
                        let error = error_of(ended).expect("what it stored is unknown");
                        assert_eq!(error.kind, ErrorType::TableUnreachable, "{error}");
                        may_have_been_applied += 1;
                    }
                })
                .await;
            }
            assert!(
                may_have_been_applied * 2 > writes,
                "{may_have_been_applied} of {writes}"
            );
            eprintln!("`{}`: {writes} lost responses", spec.name);
        }
    });
}

/// P6: no guess. A pin without a response is an error of the table, not of a broker.
#[test]
fn a_pin_without_a_response_is_written_again_or_fails_with_table_unreachable() {
    block_on(async {
        for spec in worlds::all().into_iter().filter(|spec| spec.grows) {
            for when in WHENS {
                let lost = LostResponse {
                    when,
                    can_be_read: true,
                };
                lose_each_response(&spec, lost, |_, ended| {
                    let error = error_of(ended);
                    assert!(
                        error.is_none_or(|error| error.kind == ErrorType::TableUnreachable),
                        "{error:?}"
                    );
                })
                .await;
            }
        }
    });
}

/// P5: whatever is lost is named with its offsets in the report, twice rather than never.
#[test]
fn a_jump_that_was_stored_is_named_also_if_the_response_was_lost() {
    block_on(async {
        let lost = LostResponse {
            when: Applied::AtOnce,
            can_be_read: false,
        };
        lose_each_response(&worlds::jumps(), lost, |world, _| {
            for jump in [(0, 2, 4), (2, 3, 5)] {
                assert!(world.history().named_lost.contains(&jump), "{jump:?} was never named");
            }
        })
        .await;
    });
}
