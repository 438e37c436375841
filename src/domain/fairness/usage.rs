//! What a Linode used over a time, as sums: intervals add up to longer ones.

use std::ops::AddAssign;

use crate::domain::ids::HostId;
use crate::string_enum;

/// Sums over a time. Times are in ms, all CPUs of a Linode together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time that was watched: less than the time that passed if samples are missing, or it did not run.
    pub covered_ms: u64,
    /// Of that, with its host's contention known.
    pub judged_ms: u64,
    /// Of that, with contention.
    pub contended_ms: u64,
    pub cpu_ms: u64,
    /// Could have run and was not let, in the time whose contention is known.
    pub wait_ms: u64,
    /// CPU got, and due, while there was contention.
    pub got_ms: u64,
    pub due_ms: u64,
    /// Operations, where the platform counts them.
    pub reads: u64,
    pub writes: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub net_in_bytes: u64,
    pub net_out_bytes: u64,
    /// The newest in force.
    pub weight: i64,
    /// Level in the best-effort class, 0 to 7; [`NO_LEVEL`] if the platform has none.
    pub io_priority: u8,
}

/// The platform gives disk work no level.
pub const NO_LEVEL: u8 = 8;
/// Disk work is compared in blocks of this many bytes, whatever a platform calls an operation.
pub const BLOCK: u64 = 4096;

impl AddAssign for Usage {
    fn add_assign(&mut self, later: Self) {
        let counters = [
            (&mut self.covered_ms, later.covered_ms),
            (&mut self.judged_ms, later.judged_ms),
            (&mut self.contended_ms, later.contended_ms),
            (&mut self.cpu_ms, later.cpu_ms),
            (&mut self.wait_ms, later.wait_ms),
            (&mut self.got_ms, later.got_ms),
            (&mut self.due_ms, later.due_ms),
            (&mut self.reads, later.reads),
            (&mut self.writes, later.writes),
            (&mut self.read_bytes, later.read_bytes),
            (&mut self.write_bytes, later.write_bytes),
            (&mut self.net_in_bytes, later.net_in_bytes),
            (&mut self.net_out_bytes, later.net_out_bytes),
        ];
        for (sum, more) in counters {
            *sum = sum.saturating_add(more);
        }
        self.weight = later.weight;
        self.io_priority = later.io_priority;
    }
}

impl Usage {
    /// `what` per second of the time that was watched.
    pub fn per_s(&self, what: u64) -> f64 {
        what as f64 * 1000.0 / self.covered_ms.max(1) as f64
    }

    /// In parts of one CPU over the time that was watched.
    pub fn of_one_cpu(&self, ms: u64) -> f64 {
        ms as f64 / self.covered_ms.max(1) as f64
    }

    /// CPU waited for, in parts of one CPU over the time in which that was known; `None`: it never was.
    pub fn waited(&self) -> Option<f64> {
        (self.judged_ms > 0).then(|| self.wait_ms as f64 / self.judged_ms as f64)
    }

    /// Of the time in which it wanted CPU, the part that it waited: the same whether it has much to do or little.
    pub fn waited_of_wanted(&self) -> Option<f64> {
        let waited = self.waited()?;
        let wanted = waited + self.of_one_cpu(self.cpu_ms);
        Some(if wanted > 0.0 { waited / wanted } else { 0.0 })
    }

    /// Disk work in blocks of 4 KiB a second: the same measure on both platforms.
    pub fn blocks_per_s(&self) -> f64 {
        self.per_s(self.read_bytes.saturating_add(self.write_bytes)) / BLOCK as f64
    }

    /// Got ÷ due under contention; `None` if there was none to speak of.
    pub fn of_due(&self) -> Option<f64> {
        (self.due_ms > 0).then(|| self.got_ms as f64 / self.due_ms as f64)
    }
}

/// Usage of one Linode over one interval, and where it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Seconds since 1970.
    pub from: i64,
    pub seconds: i64,
    pub host: HostId,
    pub usage: Usage,
}

/// The sum of the stretches that lie on `host` and wholly in `from..until`.
pub fn between(all: &[Stretch], host: HostId, (from, until): (i64, i64)) -> Usage {
    let mut sum = Usage::default();
    let inside = all
        .iter()
        .filter(|it| it.host == host && it.from >= from && it.from + it.seconds <= until);
    for stretch in inside {
        sum += stretch.usage;
    }
    sum
}

/// Stretches in order, added up to intervals of `seconds`, each host's apart; those without any are not there.
pub fn grouped(all: &[Stretch], seconds: i64) -> Vec<Stretch> {
    let mut groups: Vec<Stretch> = Vec::new();
    for stretch in all {
        let from = stretch.from.div_euclid(seconds) * seconds;
        let mut now = groups.iter_mut().rev().take_while(|it| it.from == from);
        match now.find(|it| it.host == stretch.host) {
            Some(group) => group.usage += stretch.usage,
            None => groups.push(Stretch {
                from,
                seconds,
                ..*stretch
            }),
        }
    }
    groups
}

/// The sums of each host, in the order in which the Linode came there first.
pub fn by_host(all: &[Stretch]) -> Vec<(HostId, Usage)> {
    let mut sums: Vec<(HostId, Usage)> = Vec::new();
    for stretch in all {
        match sums.iter_mut().find(|(host, _)| *host == stretch.host) {
            Some((_, sum)) => *sum += stretch.usage,
            None => sums.push((stretch.host, stretch.usage)),
        }
    }
    sums
}

/// Before and after a move are compared when so much was watched of both.
pub const COMPARED_MS: u64 = 2 * 3_600_000;

/// How long a Linode waits for CPU after a move, by what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    Less,
    Alike,
    More,
}

/// Alike is what differs by less than two points of a hundred. `None`: one of the hosts never knew.
pub fn waits(before: &Usage, after: &Usage) -> Option<Waits> {
    let more = after.waited_of_wanted()? - before.waited_of_wanted()?;
    Some(if more <= -0.02 {
        Waits::Less
    } else if more < 0.02 {
        Waits::Alike
    } else {
        Waits::More
    })
}

string_enum! {
    /// How far back a page looks.
    pub enum Range { Hour = "hour", Day = "day", Beta = "beta" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_add_up_where_they_lie() {
        let stretch = |from, host, cpu_ms| Stretch {
            from,
            seconds: 10,
            host: HostId(host),
            usage: Usage {
                covered_ms: 10_000,
                cpu_ms,
                weight: cpu_ms.cast_signed(),
                ..Usage::default()
            },
        };
        let all = [
            stretch(0, 1, 1),
            stretch(10, 1, 2),
            stretch(55, 1, 4),
            stretch(60, 2, 8),
        ];
        assert_eq!(
            between(&all, HostId(1), (0, 60)).cpu_ms,
            3,
            "what sticks out is left out"
        );
        assert_eq!(between(&all, HostId(2), (0, 600)).cpu_ms, 8);
        let minutes = grouped(&all, 60);
        assert_eq!(minutes.len(), 2);
        assert_eq!(
            (minutes[0].usage.cpu_ms, minutes[0].usage.weight),
            (7, 4),
            "the newest weight"
        );
        let hours: Vec<_> = grouped(&all, 3600)
            .iter()
            .map(|it| (it.from, it.seconds, it.host, it.usage.cpu_ms))
            .collect();
        assert_eq!(hours, [(0, 3600, HostId(1), 7), (0, 3600, HostId(2), 8)]);
        let hosts: Vec<_> = by_host(&all).iter().map(|it| it.1.cpu_ms).collect();
        assert_eq!(hosts, [7, 8]);
    }

    #[test]
    fn figures_are_per_second_watched() {
        let usage = Usage {
            covered_ms: 10_000,
            cpu_ms: 2500,
            read_bytes: 40_960,
            write_bytes: 40_960,
            ..Usage::default()
        };
        assert!((usage.of_one_cpu(usage.cpu_ms) - 0.25).abs() < 1e-9);
        assert!((usage.blocks_per_s() - 2.0).abs() < 1e-9);
        assert_eq!(usage.of_due(), None);
        assert_eq!(usage.waited(), None);
        let waited = Usage {
            covered_ms: 70_000,
            judged_ms: 10_000,
            wait_ms: 1400,
            ..Usage::default()
        };
        assert_eq!(
            waited.waited(),
            Some(0.14),
            "of the time in which it was known"
        );
        let busy = Usage {
            covered_ms: 70_000,
            cpu_ms: 70_000 * 3 / 10,
            ..waited
        };
        let part = busy.waited_of_wanted().unwrap_or_default();
        assert!((part - 0.14 / 0.44).abs() < 1e-9, "{part}");
        let idle = Usage {
            judged_ms: 10_000,
            ..Usage::default()
        };
        assert_eq!(waits(&busy, &idle), Some(Waits::Less));
        assert_eq!(waits(&idle, &busy), Some(Waits::More));
        assert_eq!(waits(&busy, &busy), Some(Waits::Alike));
        assert_eq!(waits(&busy, &usage), None);
        assert!(
            (Usage::default().per_s(5) - 5000.0).abs() < 1e-9,
            "no division by nothing"
        );
    }
}
