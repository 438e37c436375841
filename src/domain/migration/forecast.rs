//! How long a Linode will be off for its move, foretold from what was measured: of itself, of others of its plan, and of the
//! last copies between its two hosts. Pure; all times in milliseconds.

use crate::domain::time::span;
use crate::string_enum;

string_enum! {
    /// What is measured of a downtime.
    pub enum Part { Stop = "stop", LastCopy = "last_copy", Start = "start" }
}

/// Whose stops and starts a forecast stands on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// The Linode's own.
    Own,
    /// Those of others of its plan.
    Plan,
    /// Nothing was measured of either: what is usual.
    #[default]
    Usual,
}

/// Measured times of one part, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    pub of: Basis,
    pub ms: Vec<i64>,
}

/// One last copy, which looked at so many bytes of disks, and sent so many that had changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastCopy {
    pub ms: i64,
    pub disk_bytes: i64,
    pub sent_bytes: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    pub stops: Samples,
    pub starts: Samples,
    pub last_copies: Vec<LastCopy>,
}

/// What is to be done while the Linode is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// What the last copy reads besides: the whole disks, where their host cannot tell what changed.
    pub disk_bytes: i64,
    /// What will have changed since the last pass.
    pub changed_bytes: i64,
    /// After this it is stopped by force.
    pub stop_limit_s: i32,
    /// A pass is at work: the last copy waits for its end, and what it has copied by then does not count.
    pub in_pass: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub least_ms: i64,
    pub expected_ms: i64,
    pub most_ms: i64,
}

impl Range {
    const fn new(least_ms: i64, expected_ms: i64, most_ms: i64) -> Self {
        Self {
            least_ms,
            expected_ms,
            most_ms,
        }
    }

    pub fn words(self) -> String {
        words(self.expected_ms, self.most_ms)
    }

    /// Until both are over that begin at once.
    fn beside(self, other: Self) -> Self {
        Self {
            least_ms: self.least_ms.max(other.least_ms),
            expected_ms: self.expected_ms.max(other.expected_ms),
            most_ms: self.most_ms.max(other.most_ms),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            least_ms: self.least_ms.saturating_add(other.least_ms),
            expected_ms: self.expected_ms.saturating_add(other.expected_ms),
            most_ms: self.most_ms.saturating_add(other.most_ms),
        }
    }
}

/// `about 9 seconds, 20 seconds at most`
pub fn words(expected_ms: i64, most_ms: i64) -> String {
    let up = |ms| span(whole_s(ms).max(1));
    format!("about {}, {} at most", up(expected_ms), up(most_ms))
}

/// Seconds, up.
pub fn whole_s(ms: i64) -> i64 {
    ms.saturating_add(999).div_euclid(1000)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    pub down: Range,
    pub basis: Basis,
}

impl Forecast {
    /// Is even the longest of it within the member's limit?
    pub fn keeps(&self, limit_s: i32) -> bool {
        self.down.most_ms <= i64::from(limit_s) * 1000
    }
}

/// Before anything is measured: a guest that shuts down in order, and a kernel that is started.
const STOP: Range = Range::new(2_000, 8_000, 30_000);
const START: Range = Range::new(1_000, 3_000, 12_000);
/// Orders on their way to hosts that wait for them, three of them.
const HANDS: Range = Range::new(0, 300, 1_500);
/// A pass that is to end: its agent hears of it when it renews its lease, and leaves its records right.
const PASS_ENDS: Range = Range::new(0, 2_000, 12_000);
/// A last copy takes what this many bytes of disk take, and what is on the disks: its order, its connection, its end.
const COPY_BASE: i64 = 64 << 20;
/// What changed is read, sent, written and read back, where the rest is read.
const CHANGED_COSTS: i64 = 4;
/// What plain disks read in a second, at best, as a rule and at worst, in bytes.
const READ: [i64; 3] = [400_000_000, 150_000_000, 50_000_000];
/// From so many samples on their ends are the ends; of fewer the next one may lie outside.
const ENOUGH: usize = 5;

/// How long it will be off, if it is stopped now.
pub fn forecast(work: Work, measured: &Measured) -> Forecast {
    let limit_ms = i64::from(work.stop_limit_s).saturating_mul(1000);
    let mut stop = range(&measured.stops.ms).unwrap_or(STOP);
    // Killing it and seeing it gone takes a moment, too.
    stop.most_ms = stop.most_ms.min(limit_ms.saturating_add(2_000));
    stop.expected_ms = stop.expected_ms.min(stop.most_ms);
    stop.least_ms = stop.least_ms.min(stop.most_ms);
    if work.in_pass {
        stop = stop.beside(PASS_ENDS);
    }
    let start = range(&measured.starts.ms).unwrap_or(START);
    let basis_of = |samples: &Samples| {
        if samples.ms.is_empty() {
            Basis::Usual
        } else {
            samples.of
        }
    };
    Forecast {
        down: stop
            .plus(start)
            .plus(last_copy(work, &measured.last_copies))
            .plus(HANDS),
        basis: basis_of(&measured.stops).max(basis_of(&measured.starts)),
    }
}

/// The middle of what was measured, and its ends, wider apart while there is little of it.
fn range(samples: &[i64]) -> Option<Range> {
    let mut sorted: Vec<i64> = samples.iter().map(|ms| (*ms).max(0)).collect();
    sorted.sort_unstable();
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let middle = *sorted.get((sorted.len() - 1) / 2)?;
    Some(if sorted.len() < ENOUGH {
        Range::new(least - least / 4, middle, most.saturating_mul(3) / 2)
    } else {
        Range::new(least, middle, most.saturating_mul(11) / 10)
    })
}

/// What is looked at and sent, in bytes of plain reading.
fn weight(disk_bytes: i64, changed_bytes: i64) -> i64 {
    disk_bytes
        .max(0)
        .saturating_add(changed_bytes.max(0).saturating_mul(CHANGED_COSTS))
        .saturating_add(COPY_BASE)
}

fn last_copy(work: Work, measured: &[LastCopy]) -> Range {
    // By bytes of MiB: nanoseconds of one each, so that nothing overflows below thousands of TiB.
    let mib = |bytes: i64| (bytes >> 20).max(1);
    let each: Vec<i64> = measured
        .iter()
        .map(|it| {
            it.ms.max(0).saturating_mul(1_000_000) / mib(weight(it.disk_bytes, it.sent_bytes))
        })
        .collect();
    let takes = |ns: i64, changed: i64| {
        ns.saturating_mul(mib(weight(work.disk_bytes, changed))) / 1_000_000
    };
    let ns = range(&each).map_or_else(
        || READ.map(|rate| (1 << 20) * 1_000_000_000 / rate),
        |ns| [ns.least_ms, ns.expected_ms, ns.most_ms],
    );
    let [least, expected, most] = ns;
    // A guest may write more, or less, than it did.
    let changed = work.changed_bytes;
    Range::new(
        takes(least, changed / 2),
        takes(expected, changed),
        takes(most, changed.saturating_mul(2)),
    )
}

/// What a guest that changes so many bytes a second will have changed that long after its last pass began.
pub fn changed(bytes_a_s: i64, seconds: i64) -> i64 {
    bytes_a_s.max(0).saturating_mul(seconds.max(0))
}

/// How well moves were foretold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calibration {
    pub of: usize,
    /// Of |foretold - measured|.
    pub p50_ms: i64,
    pub p90_ms: i64,
    /// How many per cent were foretold within a fifth, or two seconds.
    pub close_percent: usize,
}

impl Calibration {
    /// Nine of ten within a fifth, or two seconds.
    pub fn is_good(&self) -> bool {
        self.close_percent >= 90
    }
}

/// `pairs`: foretold and measured; `None` for none.
pub fn calibration(pairs: &[(i64, i64)]) -> Option<Calibration> {
    let mut off: Vec<i64> = pairs.iter().map(|(told, was)| (told - was).abs()).collect();
    off.sort_unstable();
    let close = pairs
        .iter()
        .filter(|(told, was)| (told - was).abs() <= (was / 5).max(2_000))
        .count();
    let at = |percent: usize| {
        off.get((off.len() * percent).div_ceil(100).max(1) - 1)
            .copied()
    };
    Some(Calibration {
        of: off.len(),
        p50_ms: at(50)?,
        p90_ms: at(90)?,
        close_percent: close * 100 / off.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: i64 = 1 << 30;

    fn samples(of: Basis, ms: &[i64]) -> Samples {
        Samples {
            of,
            ms: ms.to_vec(),
        }
    }

    fn work(disk_bytes: i64, changed_bytes: i64) -> Work {
        Work {
            disk_bytes,
            changed_bytes,
            stop_limit_s: 60,
            in_pass: false,
        }
    }

    fn copy(ms: i64, disk_bytes: i64, sent_bytes: i64) -> LastCopy {
        LastCopy {
            ms,
            disk_bytes,
            sent_bytes,
        }
    }

    fn down(forecast: Forecast) -> [i64; 3] {
        let Range {
            least_ms,
            expected_ms,
            most_ms,
        } = forecast.down;
        [least_ms, expected_ms, most_ms]
    }

    /// Each line by hand: stop + start + last copy + hands.
    #[test]
    fn golden() {
        // Nothing measured, an empty disk: 64 MiB at 400, 150, 50 MB/s are 167, 447, 1342 ms.
        let usual = forecast(work(0, 0), &Measured::default());
        assert_eq!(usual.basis, Basis::Usual);
        assert_eq!(
            down(usual),
            [
                2000 + 1000 + 167,
                8000 + 3000 + 447 + 300,
                30_000 + 12_000 + 1342 + 1500
            ]
        );
        // Its own stops and starts, and one copy of 1 GiB in 4.352 s: 4 ms a MiB of the 1088.
        let measured = Measured {
            stops: samples(Basis::Own, &[4000, 5000, 6000, 4500, 5500]),
            starts: samples(Basis::Own, &[1000, 1000, 1200, 1100, 1000]),
            last_copies: vec![copy(4352, GIB, 0)],
        };
        let own = forecast(work(GIB, 0), &measured);
        assert_eq!(own.basis, Basis::Own);
        assert_eq!(
            down(own),
            [
                4000 + 1000 + 3264,
                5000 + 1000 + 4352 + 300,
                6600 + 1320 + 6528 + 1500
            ]
        );
        // Twice the disk: (2048 + 64) MiB.
        assert_eq!(
            down(forecast(work(2 * GIB, 0), &measured))[1],
            5000 + 1000 + 8448 + 300
        );
        // 100 MiB changed cost what 400 MiB of reading do, at least half and at most twice of it.
        let writes = forecast(work(GIB, 100 << 20), &measured);
        assert_eq!(
            down(writes),
            [
                4000 + 1000 + 3864,
                5000 + 1000 + 5952 + 300,
                6600 + 1320 + 11_328 + 1500
            ]
        );
    }

    #[test]
    fn few_samples_are_taken_for_less_than_many() {
        let mut measured = Measured {
            stops: samples(Basis::Plan, &[4000]),
            ..Measured::default()
        };
        let few = forecast(work(0, 0), &measured);
        measured.stops.ms = vec![4000; 20];
        let many = forecast(work(0, 0), &measured);
        assert!(few.down.most_ms > many.down.most_ms && few.down.least_ms < many.down.least_ms);
        // Its starts were never seen: that is what the whole stands on.
        assert_eq!(many.basis, Basis::Usual);
    }

    #[test]
    fn a_stop_takes_no_longer_than_its_limit() {
        let measured = Measured {
            stops: samples(Basis::Own, &[300_000]),
            ..Measured::default()
        };
        let of = Work {
            stop_limit_s: 10,
            ..work(0, 0)
        };
        let usual = forecast(work(0, 0), &Measured::default());
        let limited = forecast(of, &measured);
        assert!(limited.down.most_ms < usual.down.most_ms);
        assert_eq!(limited.down.least_ms, 12_000 + 1000 + 167);
    }

    #[test]
    fn the_end_of_a_pass_is_waited_for_beside_the_stop() {
        let of = Work {
            in_pass: true,
            ..work(0, 0)
        };
        let usual = forecast(work(0, 0), &Measured::default());
        let cut_short = forecast(of, &Measured::default());
        assert_eq!(cut_short, usual, "a usual stop takes longer");
        let measured = Measured {
            stops: samples(Basis::Own, &[1000; 5]),
            ..Measured::default()
        };
        let quick = forecast(work(0, 0), &measured);
        let cut_short = forecast(of, &measured);
        let longer = [0, 1000, 12_000 - 1100];
        for ((with, without), by) in down(cut_short).iter().zip(down(quick)).zip(longer) {
            assert_eq!(with - without, by);
        }
    }

    #[test]
    fn figures_beyond_reason_do_not_overflow() {
        let measured = Measured {
            stops: samples(Basis::Own, &[i64::MAX, i64::MIN]),
            starts: samples(Basis::Own, &[i64::MAX]),
            last_copies: vec![copy(i64::MAX, i64::MAX, i64::MAX), copy(-1, -1, -1)],
        };
        let of = Work {
            disk_bytes: i64::MAX,
            changed_bytes: changed(i64::MAX, i64::MAX),
            stop_limit_s: i32::MAX,
            in_pass: true,
        };
        assert!(!forecast(of, &measured).keeps(600));
        assert_eq!(changed(-5, 10), 0);
    }

    #[test]
    fn the_limit_is_kept_by_the_longest() {
        let forecast = forecast(work(0, 0), &Measured::default());
        assert!(forecast.keeps(45) && !forecast.keeps(44));
    }

    #[test]
    fn calibration_by_hand() {
        assert_eq!(calibration(&[]), None);
        let pairs: Vec<(i64, i64)> = (1..=10).map(|n| (10_000, 10_000 + n * 500)).collect();
        let calibration = calibration(&pairs).unwrap();
        assert_eq!(
            (calibration.of, calibration.p50_ms, calibration.p90_ms),
            (10, 2500, 4500)
        );
        // Off by 500, 1000, 1500, 2000 are within two seconds; of 12.5 s a fifth is 2.5, of 13 s 2.6.
        assert_eq!(calibration.close_percent, 50);
    }
}
