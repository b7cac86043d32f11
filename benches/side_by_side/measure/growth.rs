//! The time of idle runs by the number of partitions and of cursors.

use super::Bench;
use super::turns::Idle;
use crate::figures::Row;
use crate::programs::{self, Bare, run};

/// The names of the growing series.
pub(crate) const GROWTH: [&str; 2] = [
    "idle run, partitions with a cursor each",
    "idle run, 1,000 partitions, stored cursors",
];

impl Bench {
    pub(super) fn growth(&self) -> Vec<Row> {
        let mut rows = vec![];
        for partitions in [1, 10, 100, 1_000] {
            rows.push(self.idle_run(GROWTH[0], partitions, partitions));
        }
        for cursors in [1, 10, 100, 1_000] {
            rows.push(self.idle_run(GROWTH[1], 1_000, cursors));
        }
        rows
    }

    fn idle_run(&self, of: &str, partitions: i32, cursors: i32) -> Row {
        let world = self.world("growth", partitions);
        let mut own = world.clone();
        // The items that the bare program's query returns.
        let mut bare = Bare::start(&own);
        let group = bare.group.clone();
        for group in [&world.group, &group] {
            own.group.clone_from(group);
            let puts = (0..cursors).map(|partition| own.put_offset(partition, -1));
            self.runtime.block_on(async {
                for put in puts {
                    put.await;
                }
            });
        }
        let mut product = programs::product(&world);
        let mut idle = Idle::default();
        run(&mut product, 0);
        for _ in 0..self.rounds(40) {
            idle.round(&mut product, &mut bare);
        }
        let count = if of == GROWTH[0] { partitions } else { cursors };
        idle.row(format!("{of}: {count}"))
    }
}
