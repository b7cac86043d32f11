use super::*;
use crate::cli::inspect::tests::{every_state, without_brokers};

fn shown(width: u16, inspection: &Inspection) -> String {
    let screen = Screen {
        width: Some(width),
        ..Screen::default()
    };
    table(screen, inspection)
}

#[test]
fn the_table_at_60_columns() {
    insta::assert_snapshot!(shown(60, &every_state()), @r"
    9 partitions: 2 ok, 1 new, 1 claimed, 1 paused, 1 blocked, 1 lost, 1 truncated, 1 unknown
    ┌───────────┬──────┬──────────┬──────────┬───────────┐
    │ partition ┆ next ┆ previous ┆  updated ┆ state     │
    ╞═══════════╪══════╪══════════╪══════════╪═══════════╡
    │ orders-0  ┆ 5000 ┆        - ┆ 60 s ago ┆ ok        │
    │ orders-1  ┆ 1500 ┆     4200 ┆ 60 s ago ┆ ok        │
    │ orders-2  ┆ 4000 ┆        - ┆ 60 s ago ┆ claimed   │
    │ orders-3  ┆ 4017 ┆        - ┆ 60 s ago ┆ blocked   │
    │ orders-4  ┆ 4999 ┆        - ┆ 60 s ago ┆ paused    │
    │ orders-5  ┆   40 ┆        - ┆ 60 s ago ┆ lost      │
    │ orders-6  ┆ 9000 ┆        - ┆ 60 s ago ┆ truncated │
    │ orders-7  ┆ 4990 ┆        - ┆ 60 s ago ┆ unknown   │
    │ orders-8  ┆    - ┆        - ┆        - ┆ new       │
    └───────────┴──────┴──────────┴──────────┴───────────┘
    orders-2: claimed: until 2027-01-15T08:01:00Z
    orders-3: blocked: offset 4017 failed 3 times, tried again after 2027-01-15T08:04:00Z: the payment service returned 503
    orders-5: lost: offsets 40 to 99
    orders-6: truncated: the stored position (next offset 9000) lies past the end of the log (5000): the topic was recreated or truncated
    orders-7: unknown: it has no leader
    ");
}

#[test]
fn the_table_at_100_columns() {
    insta::assert_snapshot!(shown(100, &every_state()), @r"
    9 partitions: 2 ok, 1 new, 1 claimed, 1 paused, 1 blocked, 1 lost, 1 truncated, 1 unknown
    ┌───────────┬──────┬────────────────┬──────────┬──────────┬──────────┬───────────┐
    │ partition ┆ next ┆ last processed ┆ previous ┆  updated ┆ by run   ┆ state     │
    ╞═══════════╪══════╪════════════════╪══════════╪══════════╪══════════╪═══════════╡
    │ orders-0  ┆ 5000 ┆           4999 ┆        - ┆ 60 s ago ┆ 3f6c7a52 ┆ ok        │
    │ orders-1  ┆ 1500 ┆           1499 ┆     4200 ┆ 60 s ago ┆ 3f6c7a52 ┆ ok        │
    │ orders-2  ┆ 4000 ┆           3999 ┆        - ┆ 60 s ago ┆ 3f6c7a52 ┆ claimed   │
    │ orders-3  ┆ 4017 ┆           4016 ┆        - ┆ 60 s ago ┆ 3f6c7a52 ┆ blocked   │
    │ orders-4  ┆ 4999 ┆           4998 ┆        - ┆ 60 s ago ┆ 3f6c7a52 ┆ paused    │
    │ orders-5  ┆   40 ┆             39 ┆        - ┆ 60 s ago ┆ 3f6c7a52 ┆ lost      │
    │ orders-6  ┆ 9000 ┆           8999 ┆        - ┆ 60 s ago ┆ 3f6c7a52 ┆ truncated │
    │ orders-7  ┆ 4990 ┆           4989 ┆        - ┆ 60 s ago ┆ 3f6c7a52 ┆ unknown   │
    │ orders-8  ┆    - ┆              - ┆        - ┆        - ┆ -        ┆ new       │
    └───────────┴──────┴────────────────┴──────────┴──────────┴──────────┴───────────┘
    orders-2: claimed: until 2027-01-15T08:01:00Z
    orders-3: blocked: offset 4017 failed 3 times, tried again after 2027-01-15T08:04:00Z: the payment service returned 503
    orders-5: lost: offsets 40 to 99
    orders-6: truncated: the stored position (next offset 9000) lies past the end of the log (5000): the topic was recreated or truncated
    orders-7: unknown: it has no leader
    ");
}

#[test]
fn the_table_without_brokers_is_as_full_as_with_them() {
    insta::assert_snapshot!(shown(100, &without_brokers()), @r"
    3 partitions: 1 paused, 2 unknown
    ┌───────────┬──────┬────────────────┬──────────┬──────────┬──────────┬─────────┐
    │ partition ┆ next ┆ last processed ┆ previous ┆  updated ┆ by run   ┆ state   │
    ╞═══════════╪══════╪════════════════╪══════════╪══════════╪══════════╪═════════╡
    │ orders-0  ┆    5 ┆              4 ┆        - ┆ 60 s ago ┆ 3f6c7a52 ┆ unknown │
    │ orders-1  ┆    7 ┆              6 ┆        - ┆ 60 s ago ┆ 3f6c7a52 ┆ unknown │
    │ orders-2  ┆    9 ┆              8 ┆        - ┆ 60 s ago ┆ 3f6c7a52 ┆ paused  │
    └───────────┴──────┴────────────────┴──────────┴──────────┴──────────┴─────────┘
    orders-0, orders-1: unknown: its end is not known (BrokerUnreachable)
    ");
}
