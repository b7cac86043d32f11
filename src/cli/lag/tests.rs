use super::*;
use crate::cli::inspect::tests::{every_state, without_brokers};

fn shown(width: u16, inspection: &Inspection) -> String {
    let screen = Screen {
        width: Some(width),
        ..Screen::default()
    };
    table(screen, inspection, None)
}

#[test]
fn the_table_at_60_columns() {
    insta::assert_snapshot!(shown(60, &every_state()), @r"
    lag 15344 or more · 9 partitions: 2 ok, 1 new, 1 claimed, 1 paused, 1 blocked, 1 lost, 1 truncated, 1 unknown
    ┌───────────┬──────┬──────┬──────┬───────────┐
    │ partition ┆ next ┆  end ┆  lag ┆ state     │
    ╞═══════════╪══════╪══════╪══════╪═══════════╡
    │ orders-0  ┆ 5000 ┆ 5000 ┆    0 ┆ ok        │
    │ orders-1  ┆ 1500 ┆ 5000 ┆ 3500 ┆ ok        │
    │ orders-2  ┆ 4000 ┆ 5000 ┆ 1000 ┆ claimed   │
    │ orders-3  ┆ 4017 ┆ 5000 ┆  983 ┆ blocked   │
    │ orders-4  ┆ 4999 ┆ 5000 ┆    1 ┆ paused    │
    │ orders-5  ┆   40 ┆ 5000 ┆ 4960 ┆ lost      │
    │ orders-6  ┆ 9000 ┆ 5000 ┆    0 ┆ truncated │
    │ orders-7  ┆ 4990 ┆    - ┆    - ┆ unknown   │
    │ orders-8  ┆  100 ┆ 5000 ┆ 4900 ┆ new       │
    └───────────┴──────┴──────┴──────┴───────────┘
    orders-2: claimed: until 2027-01-15T08:01:00Z
    orders-3: blocked: offset 4017 failed 3 times, tried again after 2027-01-15T08:04:00Z: the payment service returned 503
    orders-5: lost: offsets 40 to 99
    orders-6: truncated: the stored position (next offset 9000) lies past the end of the log (5000): the topic was recreated or truncated
    orders-7: unknown: it has no leader
    ");
}

#[test]
fn the_table_at_100_columns_and_without_a_terminal_is_the_same() {
    assert_eq!(shown(100, &every_state()), shown(60, &every_state()));
    assert_eq!(
        table(Screen::default(), &every_state(), None),
        shown(60, &every_state())
    );
}

#[test]
fn a_long_name_wraps_at_60_columns_and_the_numbers_stay_whole() {
    let mut inspection = every_state();
    inspection.partitions.truncate(2);
    for row in &mut inspection.partitions {
        row.partition.topic = "payments.transactions.settled.v2".into();
        row.end_offset = Some(123_456_789);
    }
    insta::assert_snapshot!(shown(60, &inspection), @r"
    lag 15344 · 2 partitions: 2 ok
    ┌────────────────────────┬──────┬───────────┬──────┬───────┐
    │ partition              ┆ next ┆       end ┆  lag ┆ state │
    ╞════════════════════════╪══════╪═══════════╪══════╪═══════╡
    │ payments.transactions. ┆ 5000 ┆ 123456789 ┆    0 ┆ ok    │
    │ settled.v2-0           ┆      ┆           ┆      ┆       │
    │ payments.transactions. ┆ 1500 ┆ 123456789 ┆ 3500 ┆ ok    │
    │ settled.v2-1           ┆      ┆           ┆      ┆       │
    └────────────────────────┴──────┴───────────┴──────┴───────┘
    ");
    insta::assert_snapshot!(shown(100, &inspection), @r"
    lag 15344 · 2 partitions: 2 ok
    ┌────────────────────────────────────┬──────┬───────────┬──────┬───────┐
    │ partition                          ┆ next ┆       end ┆  lag ┆ state │
    ╞════════════════════════════════════╪══════╪═══════════╪══════╪═══════╡
    │ payments.transactions.settled.v2-0 ┆ 5000 ┆ 123456789 ┆    0 ┆ ok    │
    │ payments.transactions.settled.v2-1 ┆ 1500 ┆ 123456789 ┆ 3500 ┆ ok    │
    └────────────────────────────────────┴──────┴───────────┴──────┴───────┘
    ");
}

#[test]
fn the_table_without_brokers_shows_the_cursors() {
    insta::assert_snapshot!(shown(60, &without_brokers()), @r"
    lag unknown · 3 partitions: 1 paused, 2 unknown
    ┌───────────┬──────┬─────┬─────┬─────────┐
    │ partition ┆ next ┆ end ┆ lag ┆ state   │
    ╞═══════════╪══════╪═════╪═════╪═════════╡
    │ orders-0  ┆    5 ┆   - ┆   - ┆ unknown │
    │ orders-1  ┆    7 ┆   - ┆   - ┆ unknown │
    │ orders-2  ┆    9 ┆   - ┆   - ┆ paused  │
    └───────────┴──────┴─────┴─────┴─────────┘
    orders-0, orders-1: unknown: its end is not known (BrokerUnreachable)
    ");
}

#[test]
fn colours_are_of_states_alone() {
    let coloured = Screen {
        colours: true,
        ..Screen::default()
    };
    let table = table(coloured, &every_state(), None);
    assert_eq!(
        anstream::adapter::strip_str(&table).to_string(),
        shown(60, &every_state())
    );
    let red = |word: &str| table.contains(&format!("\u{1b}[38;5;9m {word}"));
    let yellow = |word: &str| table.contains(&format!("\u{1b}[38;5;11m {word}"));
    assert!(
        red("blocked") && red("lost") && red("truncated") && red("unknown"),
        "{table:?}"
    );
    assert!(yellow("claimed") && yellow("paused") && yellow("new"), "{table:?}");
    assert!(table.contains(" ok ") && !red("ok") && !yellow("ok"), "{table:?}");
}

#[test]
fn a_watch_says_how_fast_the_lag_of_the_partitions_changes_that_both_looks_know() {
    let (before, mut now) = (every_state(), every_state());
    now.at += 2_000;
    now.partitions[1].lag = Some(1_500);
    now.partitions[2].lag = Some(900);
    now.partitions[3].lag = None;
    let rate = LagRate::between(&before, &now).expect("a rate");
    assert!(
        sums(&now, Some(rate)).starts_with("lag 15344 or more (-1,050/s, caught up in ~12 s) · 9 partitions: "),
        "{}",
        sums(&now, Some(rate))
    );
    assert_eq!(LagRate::between(&now, &now), None, "no time has passed");
    assert_eq!(
        LagRate::between(&without_brokers(), &now),
        None,
        "no lag is known of both"
    );
}
