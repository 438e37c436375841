#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::domain::host::HostState;
use crate::domain::ids::MigrationId;
use crate::domain::placement::{self, Door, Limits};

fn job(source: i64, destination: i64, takes_s: i64) -> Job {
    Job {
        source: HostId(source),
        destination: HostId(destination),
        takes_s,
    }
}

fn bounds(overall: i32, per_link: i32, slots: &[(i64, i32)]) -> Bounds {
    let slots = slots.iter().map(|(host, slots)| (HostId(*host), *slots));
    Bounds {
        overall,
        per_link,
        slots: slots.collect(),
    }
}

fn begins(jobs: &[Job], bounds: &Bounds) -> Vec<Option<i64>> {
    let spans = simulate(jobs, bounds);
    spans.iter().map(|of| of.map(|it| it.begins_s)).collect()
}

#[test]
fn each_limit_is_kept_and_nobody_waits_for_another_hosts_queue() {
    let jobs = [
        job(1, 10, 60),
        job(1, 10, 30),
        job(1, 11, 10),
        job(2, 11, 10),
    ];
    let slots = [(1, 2), (2, 1), (10, 2), (11, 1)];
    // A link takes one, so the second waits for the first; the third begins beside it; the fourth waits for host 11.
    let expected = [Some(0), Some(60), Some(0), Some(10)];
    assert_eq!(begins(&jobs, &bounds(9, 1, &slots)), expected);
    let in_turn = [Some(0), Some(60), Some(90), Some(100)];
    assert_eq!(begins(&jobs, &bounds(1, 1, &slots)), in_turn);
    assert_eq!(begins(&jobs, &bounds(0, 1, &slots)), [None; 4]);
    let without = begins(&jobs, &bounds(9, 1, &slots[..3]));
    assert_eq!(without, [Some(0), Some(60), None, None], "11 has no slots");
    assert_eq!(simulate(&[], &bounds(1, 1, &slots)), []);
}

#[test]
fn the_pace_is_that_of_the_middle_and_what_is_usual_without_any() {
    let gib = 1 << 30;
    let pace = Pace::new(
        &[(gib, 45 + 10), (gib, 45 + 20), (gib, 45 + 40), (0, 9)],
        45,
    );
    assert_eq!((pace.of, pace.bytes_a_s), (3, gib / 20));
    assert_eq!(pace.takes_s(2048), 45 + 40);
    let usual = Pace::new(&[], 0);
    assert_eq!((usual.of, usual.takes_s(500)), (0, 10));
}

proptest! {
    /// At every moment at which one begins or ends, those begin that the scheduler itself would admit.
    #[test]
    fn it_plays_what_admission_does(
        moves in proptest::collection::vec((1_i64..4, 10_i64..13, 1_i64..50), 0..25),
        (overall, per_link) in (1_i32..6, 1_i32..3),
        slots in proptest::collection::vec(0_i32..4, 6),
    ) {
        let jobs: Vec<Job> = moves.iter().map(|(from, to, takes)| job(*from, *to, *takes)).collect();
        let hosts: Vec<(i64, i32)> = [1, 2, 3, 10, 11, 12].into_iter().zip(slots).collect();
        let spans = simulate(&jobs, &bounds(overall, per_link, &hosts));
        let doors = hosts.iter().map(|(host, slots)| (HostId(*host), Door {
            state: HostState::Enabled,
            enrolled: true,
            heard: true,
            slots: *slots,
        }));
        let limits = Limits { overall, per_link, doors: doors.collect(), waves: Default::default() };
        let link = |index: usize| placement::Link {
            migration: MigrationId(i64::try_from(index).unwrap()),
            source: jobs[index].source,
            destination: jobs[index].destination,
            is_back: false,
        };
        let mut moments: Vec<i64> = spans.iter().flatten().flat_map(|it| [it.begins_s, it.ends_s]).collect();
        moments.push(0);
        moments.sort_unstable();
        moments.dedup();
        for at in moments {
            let those = |fits: &dyn Fn(Option<Span>) -> bool| -> Vec<usize> {
                (0..jobs.len()).filter(|index| fits(spans[*index])).collect()
            };
            let running: Vec<_> = those(&|of| of.is_some_and(|it| it.begins_s < at && at < it.ends_s)).into_iter().map(link).collect();
            let waiting: Vec<_> = those(&|of| of.is_none_or(|it| it.begins_s >= at)).into_iter().map(link).collect();
            let begin: Vec<_> = those(&|of| of.is_some_and(|it| it.begins_s == at)).into_iter().map(|index| link(index).migration).collect();
            prop_assert_eq!(placement::admit(&waiting, &running, &limits), begin);
        }
    }
}
