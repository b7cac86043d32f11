//! Writes without an answer: at each write of a run in turn, the answer is lost.

use kafka_consumer_lambda::error::{Error, ErrorType};

use super::fate::{Applied, Lost, Trouble};
use super::world::{Ended, Spec, World};
use super::{SEEDS, Scene, block_on, each_at, worlds};

const WHENS: [Applied; 4] = [
    Applied::Never,
    Applied::AtOnce,
    Applied::BeforeTheNext,
    Applied::AfterTheRun,
];

/// Loses the answer to each write of `spec` in turn, shows `check` how that run
/// failed, if it did, and the world once all is done. The answer is how many
/// writes there were.
async fn lose_each_answer(spec: &Spec, lost: Lost, mut check: impl FnMut(&World, &Ended)) -> usize {
    let mut writes = 0;
    for seed in SEEDS {
        writes += each_at(async |at| {
            let trouble = Trouble::NoAnswerTo(at, lost);
            let _scene = Scene::new(spec, trouble, seed);
            let world = World::new(spec);
            let struck = world.until_struck(trouble, seed).await;
            world.recover(seed).await;
            if let Some(ended) = &struck {
                check(&world, ended);
            }
            struck.is_some()
        })
        .await;
    }
    writes
}

fn error_of(ended: &Ended) -> Option<&Error> {
    ended.report.as_ref().expect("nothing killed it").error.as_ref()
}

/// P1, P2: whatever becomes of a write whose answer is lost, the run finds it out.
#[test]
fn a_lost_answer_costs_nothing_if_the_item_can_be_read() {
    block_on(async {
        // Pins are not written again: see below.
        let without_pins = worlds::all().into_iter().filter(|spec| !spec.grows);
        for spec in without_pins {
            let mut writes = 0;
            for when in WHENS {
                let lost = Lost {
                    when,
                    can_be_read: true,
                };
                let is_the_world_s = |error: &Error| error.kind == ErrorType::PartitionBlocked;
                writes += lose_each_answer(&spec, lost, |_, ended| {
                    let error = error_of(ended);
                    assert!(error.is_none_or(is_the_world_s), "{error:?}");
                })
                .await;
            }
            eprintln!("`{}`: {writes} lost answers", spec.name);
        }
    });
}

/// P1, P2: or it fails, and the next runs put it right.
#[test]
fn a_lost_answer_fails_the_run_if_the_item_cannot_be_read_either() {
    block_on(async {
        for spec in worlds::all() {
            let (mut writes, mut may_have_been_applied) = (0, 0);
            for when in WHENS {
                let lost = Lost {
                    when,
                    can_be_read: false,
                };
                writes += lose_each_answer(&spec, lost, |_, ended| {
                    // Nothing depends on the answer to a release, or to the removal of a note.
                    if ended.was_in_doubt {
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
            eprintln!("`{}`: {writes} lost answers", spec.name);
        }
    });
}

/// P6: no guess. A pin that got no answer is the table's trouble, not a broker's.
#[test]
fn a_pin_without_an_answer_is_written_again_or_fails_as_the_table_s_trouble() {
    block_on(async {
        for spec in worlds::all().into_iter().filter(|spec| spec.grows) {
            for when in WHENS {
                let lost = Lost {
                    when,
                    can_be_read: true,
                };
                lose_each_answer(&spec, lost, |_, ended| {
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

/// P5: whatever is lost is named with its offsets in the report: in doubt twice,
/// rather than never.
#[test]
fn a_jump_that_was_stored_is_named_also_if_nobody_knows_that_it_was() {
    block_on(async {
        let lost = Lost {
            when: Applied::AtOnce,
            can_be_read: false,
        };
        lose_each_answer(&worlds::jumps(), lost, |world, _| {
            for jump in [(0, 2, 4), (2, 3, 5)] {
                assert!(world.books().named_lost.contains(&jump), "{jump:?} was never named");
            }
        })
        .await;
    });
}
