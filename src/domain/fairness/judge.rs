//! How fairly a host divides its CPU: what each guest was due, how near to it they came, and a word for it.
//! docs/FAIRNESS.md has the definitions for people; the two must say the same.

/// One guest over one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// Relative to its neighbours'; at least 1 is counted.
    pub weight: i64,
    /// CPU time it got, in ms, all its CPUs together.
    pub got_ms: u64,
    /// Time it could have run and was not let; `None` where the platform cannot tell.
    pub wait_ms: Option<u64>,
}

/// What was due over one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Every guest's wait is known, so it can be said whether there was contention.
    pub judged: bool,
    pub contended: bool,
    /// In the order of the guests, in ms; adds up to what they got together.
    pub due_ms: Vec<u64>,
}

/// There is contention when this much of what the guests wanted was waited for (in parts of 100) …
const WAIT_PERCENT: u64 = 5;
/// … and at least this much of one CPU's time.
const WAIT_OF_TIME_PERCENT: u64 = 1;

/// Judges an interval of `ms`. What a guest wanted is what it got and what it waited for. What is due is what the guests
/// got together, dealt out by weight among those who want, nobody more than they want.
pub fn judge(guests: &[Guest], ms: u64) -> Judgement {
    let judged = !guests.is_empty() && guests.iter().all(|guest| guest.wait_ms.is_some());
    let sum = |of: fn(&Guest) -> u64| guests.iter().map(of).fold(0_u64, u64::saturating_add);
    let got = sum(|guest| guest.got_ms);
    let waited = sum(|guest| guest.wait_ms.unwrap_or(0));
    let wanting = guests
        .iter()
        .filter(|guest| guest.got_ms > 0 || guest.wait_ms.unwrap_or(0) > 0)
        .count();
    let contended = judged
        && wanting >= 2
        && waited.saturating_mul(100) >= got.saturating_add(waited).saturating_mul(WAIT_PERCENT)
        && waited.saturating_mul(100) >= ms.saturating_mul(WAIT_OF_TIME_PERCENT);
    let wants: Vec<f64> = guests
        .iter()
        .map(|guest| guest.got_ms as f64 + guest.wait_ms.unwrap_or(0) as f64)
        .collect();
    let weights: Vec<f64> = guests
        .iter()
        .map(|guest| guest.weight.max(1) as f64)
        .collect();
    Judgement {
        judged,
        contended,
        due_ms: whole(&divide(got as f64, &wants, &weights), got),
    }
}

/// Deals `pool` out by weight, nobody more than they want; what one does not want is dealt out again among the others.
/// The two slices go together; a missing weight counts as 1.
pub fn divide(pool: f64, wants: &[f64], weights: &[f64]) -> Vec<f64> {
    let weight = |at: usize| {
        weights
            .get(at)
            .copied()
            .unwrap_or(1.0)
            .max(f64::MIN_POSITIVE)
    };
    // Those who are satisfied first: the least wanted for their weight.
    let mut order: Vec<(usize, f64)> = wants
        .iter()
        .copied()
        .map(|want| want.max(0.0))
        .enumerate()
        .collect();
    order.sort_by(|(a, one), (b, other)| (one / weight(*a)).total_cmp(&(other / weight(*b))));
    let mut left = pool.max(0.0);
    let mut weight_left: f64 = order.iter().map(|(at, _)| weight(*at)).sum();
    let mut dealt = vec![0.0; wants.len()];
    for (at, want) in order {
        let part = (left * weight(at) / weight_left).min(want);
        if let Some(slot) = dealt.get_mut(at) {
            *slot = part;
        }
        left -= part;
        weight_left = (weight_left - weight(at)).max(f64::MIN_POSITIVE);
    }
    dealt
}

/// Rounded so that the sum is `total`, as far as rounding alone can be at fault.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "parts of a total that is a u64, none of them negative"
)]
fn whole(parts: &[f64], total: u64) -> Vec<u64> {
    let mut carried = 0.0;
    let mut given = 0_u64;
    parts
        .iter()
        .map(|part| {
            carried += part;
            let upto = (carried.round() as u64).min(total);
            let this = upto.saturating_sub(given);
            given = upto.max(given);
            this
        })
        .collect()
}

/// What one guest got and was due while there was contention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<Id> {
    pub id: Id,
    pub got_ms: u64,
    pub due_ms: u64,
}

impl<Id> Part<Id> {
    /// Got ÷ due.
    pub fn ratio(&self) -> f64 {
        self.got_ms as f64 / self.due_ms.max(1) as f64
    }
}

/// How a host's guests stood to each other over a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing<Id> {
    /// Who counts: those with a due that matters.
    pub guests: usize,
    /// Jain's index over got ÷ due: 1 is fair, 1 ÷ guests as unfair as it gets.
    pub jain: f64,
    /// Who took most beyond their due, if anyone did.
    pub worst: Option<Part<Id>>,
    /// Who came furthest below their due, in parts of it.
    pub least: Part<Id>,
}

/// A guest counts that was due, or got, this part of all …
const COUNTS_FROM_ALL: u64 = 100;
/// … or, where there are many, of what one was due on average. Below, it wanted next to nothing, and what it got of that
/// is latency and no share.
const COUNTS_FROM_MEAN: u64 = 10;

/// `None` with fewer than two guests that count.
pub fn standing<Id: Copy>(parts: &[Part<Id>]) -> Option<Standing<Id>> {
    let most = |part: &Part<Id>| part.due_ms.max(part.got_ms);
    let all = (parts.iter()).fold(0_u64, |sum, part| sum.saturating_add(part.due_ms));
    let wanting = parts.iter().filter(|part| most(part) > 0);
    let guests = u64::try_from(wanting.clone().count()).unwrap_or(u64::MAX);
    let counts_from = COUNTS_FROM_ALL.max(COUNTS_FROM_MEAN.saturating_mul(guests));
    let count: Vec<&Part<Id>> = wanting
        .filter(|part| most(part).saturating_mul(counts_from) >= all)
        .collect();
    if count.len() < 2 {
        return None;
    }
    let ratios: Vec<f64> = count.iter().map(|part| part.ratio()).collect();
    let least = **count
        .iter()
        .min_by(|a, b| a.ratio().total_cmp(&b.ratio()))?;
    let worst = count
        .iter()
        .filter(|part| part.got_ms > part.due_ms)
        .max_by_key(|part| part.got_ms - part.due_ms)
        .map(|part| **part);
    Some(Standing {
        guests: count.len(),
        jain: jain(&ratios),
        worst,
        least,
    })
}

/// (Σx)² ÷ (n · Σx²), after Jain, Chiu and Hawe (1984); 1 for nothing at all.
pub fn jain(of: &[f64]) -> f64 {
    let sum: f64 = of.iter().sum();
    let squares: f64 = of.iter().map(|x| x * x).sum();
    if squares <= 0.0 {
        return 1.0;
    }
    sum * sum / (of.len() as f64 * squares)
}

/// Less contention than this says nothing, in ms.
pub const LEAST_CONTENDED_MS: u64 = 120_000;
const FAIR_JAIN: f64 = 0.95;
/// Who gets less of their due than this is not treated fairly.
pub const FAIR_LEAST: f64 = 0.85;
const UNFAIR_JAIN: f64 = 0.85;
const UNFAIR_LEAST: f64 = 0.6;

/// From what says least to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The host cannot tell whether its guests wait, so nobody knows.
    Unknown,
    /// There was no contention to speak of: nobody can have been treated unfairly, and nothing is proved.
    TooLittle,
    /// There was contention, and hardly ever two guests that could be compared.
    NotCompared,
    Fair,
    Uneven,
    Unfair,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "cannot be told",
            Self::TooLittle => "too little contention",
            Self::NotCompared => "nothing to compare",
            Self::Fair => "fair",
            Self::Uneven => "uneven",
            Self::Unfair => "unfair",
        }
    }
}

/// A host's figures over a time, as far as a verdict needs them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Time in which contention would have been seen.
    pub judged_ms: u64,
    /// Of that, with contention.
    pub contended_ms: u64,
    /// Of that, with guests that could be compared.
    pub compared_ms: u64,
    /// Mean over the time compared.
    pub jain: f64,
    /// Got ÷ due of who came furthest below; mean over the time compared.
    pub least: f64,
}

pub fn verdict(of: &Figures) -> Verdict {
    if of.judged_ms == 0 {
        Verdict::Unknown
    } else if of.contended_ms < LEAST_CONTENDED_MS {
        Verdict::TooLittle
    } else if of.compared_ms < LEAST_CONTENDED_MS {
        Verdict::NotCompared
    } else {
        compared(of.jain, of.least)
    }
}

/// Where there is enough to go by.
pub fn compared(jain: f64, least: f64) -> Verdict {
    if jain < UNFAIR_JAIN || least < UNFAIR_LEAST {
        Verdict::Unfair
    } else if jain < FAIR_JAIN || least < FAIR_LEAST {
        Verdict::Uneven
    } else {
        Verdict::Fair
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn guest(weight: i64, got_ms: u64, wait_ms: u64) -> Guest {
        Guest {
            weight,
            got_ms,
            wait_ms: Some(wait_ms),
        }
    }

    fn parts(of: &[(u64, u64)]) -> Vec<Part<usize>> {
        of.iter()
            .enumerate()
            .map(|(id, &(got_ms, due_ms))| Part { id, got_ms, due_ms })
            .collect()
    }

    /// The verdict over so much compared time.
    fn verdict_of(ms: u64, jain: f64, least: f64) -> Verdict {
        verdict(&Figures {
            judged_ms: 600_000,
            contended_ms: ms,
            compared_ms: ms,
            jain,
            least,
        })
    }

    #[test]
    fn one_two_four_of_seven_seconds() {
        let all = [
            guest(1, 1000, 6000),
            guest(2, 2000, 5000),
            guest(4, 4000, 3000),
        ];
        let judged = judge(&all, 7000);
        assert!(judged.judged && judged.contended);
        assert_eq!(judged.due_ms, [1000, 2000, 4000]);
        // The same due on a host that deals alike to all.
        let alike = [
            guest(1, 2333, 4667),
            guest(2, 2333, 4667),
            guest(4, 2334, 4666),
        ];
        assert_eq!(judge(&alike, 7000).due_ms, [1000, 2000, 4000]);
    }

    #[test]
    fn what_one_does_not_want_goes_to_the_others_by_weight() {
        // The heaviest wants a tenth; the other two share the rest 1:2.
        let all = [guest(1, 300, 700), guest(2, 600, 400), guest(4, 100, 0)];
        assert_eq!(judge(&all, 1000).due_ms, [300, 600, 100]);
    }

    #[test]
    fn idle_hosts_and_unknown_waits_are_not_contended() {
        assert!(!judge(&[guest(1, 500, 2), guest(1, 900, 3)], 1000).contended);
        assert!(!judge(&[guest(1, 1000, 500)], 1000).contended, "alone");
        assert!(!judge(&[], 1000).judged);
        let unknown = Guest {
            weight: 1,
            got_ms: 900,
            wait_ms: None,
        };
        let judged = judge(&[unknown, guest(1, 100, 900)], 1000);
        assert!(!judged.judged && !judged.contended);
    }

    #[test]
    fn jain_by_hand() {
        assert!((jain(&[1.0, 1.0, 1.0]) - 1.0).abs() < 1e-12);
        assert!((jain(&[1.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-12);
        // 4.083² ÷ (3 × 7.146)
        assert!((jain(&[7.0 / 3.0, 7.0 / 6.0, 7.0 / 12.0]) - 0.7778).abs() < 1e-3);
    }

    #[test]
    fn an_unfair_host_is_named_with_its_worst_neighbour() {
        let alike = standing(&parts(&[(2333, 1000), (2333, 2000), (2334, 4000)])).unwrap();
        assert_eq!((alike.worst.unwrap().id, alike.least.id), (0, 2));
        assert_eq!(
            verdict_of(600_000, alike.jain, alike.least.ratio()),
            Verdict::Unfair
        );
        let by_weight = standing(&parts(&[(1040, 1000), (1960, 2000), (4000, 4000)])).unwrap();
        assert_eq!(
            verdict_of(600_000, by_weight.jain, by_weight.least.ratio()),
            Verdict::Fair
        );
        let between = standing(&parts(&[(1400, 1000), (1600, 2000), (4000, 4000)])).unwrap();
        assert_eq!(
            verdict_of(600_000, between.jain, between.least.ratio()),
            Verdict::Uneven
        );
        assert_eq!(verdict_of(60_000, alike.jain, 0.1), Verdict::TooLittle);
        assert!(standing(&parts(&[(5, 5)])).is_none());
        // One of forty starved: Jain hardly sees it, the least does.
        let mut many = vec![(1018, 1000); 39];
        many.push((300, 1000));
        let many = standing(&parts(&many)).unwrap();
        assert!(many.jain > 0.95);
        assert_eq!(
            verdict_of(600_000, many.jain, many.least.ratio()),
            Verdict::Unfair
        );
    }

    #[test]
    fn many_alike_are_compared_and_one_starved_among_them_is_seen() {
        for guests in [2, 40, 101, 150, 1000] {
            let alike = standing(&parts(&vec![(50, 50); guests])).unwrap();
            assert_eq!((alike.guests, alike.worst), (guests, None));
            let mut one = vec![(50, 50); guests];
            one[1] = (10, 50);
            one[0] = (90, 50);
            let one = standing(&parts(&one)).unwrap();
            assert_eq!((one.least.id, one.worst.unwrap().id), (1, 0));
            assert_eq!(
                verdict_of(600_000, one.jain, one.least.ratio()),
                Verdict::Unfair
            );
        }
    }

    #[test]
    fn who_wants_next_to_nothing_does_not_count_and_who_takes_without_being_due_does() {
        // Two that share a CPU, and one that woke up a few times and came late each time.
        let latency = standing(&parts(&[(5000, 5000), (5000, 5000), (10, 40)])).unwrap();
        assert_eq!((latency.guests, latency.least.ratio()), (2, 1.0));
        // More than it was due, and still next to nothing: no neighbour to name.
        let crumbs = standing(&parts(&[(5000, 5030), (5000, 5000), (40, 10)])).unwrap();
        assert_eq!((crumbs.guests, crumbs.worst), (2, None));
        // Weight 1 of 1000, on a host that deals alike to all.
        let hog = standing(&parts(&[(5000, 9990), (5000, 10)])).unwrap();
        assert_eq!((hog.worst.unwrap().id, hog.least.id), (1, 0));
        assert_eq!(
            verdict_of(600_000, hog.jain, hog.least.ratio()),
            Verdict::Unfair
        );
        assert!(standing(&parts(&[(9990, 9990), (10, 10)])).is_none());
        let most = Part {
            id: 0,
            got_ms: u64::MAX,
            due_ms: u64::MAX,
        };
        assert_eq!(
            standing(&[most, most]).unwrap().guests,
            2,
            "nothing overflows"
        );
    }

    #[test]
    fn what_was_not_compared_is_never_fair() {
        let all = Figures {
            judged_ms: 3_600_000,
            contended_ms: 3_600_000,
            compared_ms: 3_600_000,
            jain: 1.0,
            least: 1.0,
        };
        assert_eq!(verdict(&all), Verdict::Fair);
        let none = Figures {
            compared_ms: 119_999,
            ..all
        };
        assert_eq!(verdict(&none), Verdict::NotCompared);
        let little = Figures {
            contended_ms: 119_999,
            ..none
        };
        assert_eq!(verdict(&little), Verdict::TooLittle);
        let unknown = Figures {
            judged_ms: 0,
            contended_ms: 0,
            ..none
        };
        assert_eq!(verdict(&unknown), Verdict::Unknown);
    }

    proptest! {
        #[test]
        fn all_is_dealt_and_nobody_gets_more_than_they_want(
            all in prop::collection::vec((0_i64..70_000, 0_u64..100_000, 0_u64..100_000), 1..60),
        ) {
            let guests: Vec<Guest> = all.iter().map(|&(w, got, wait)| guest(w, got, wait)).collect();
            let judged = judge(&guests, 10_000);
            let got: u64 = guests.iter().map(|it| it.got_ms).sum();
            prop_assert_eq!(judged.due_ms.iter().sum::<u64>(), got);
            for (guest, due) in guests.iter().zip(&judged.due_ms) {
                prop_assert!(*due <= guest.got_ms + guest.wait_ms.unwrap_or(0) + 1);
            }
        }

        #[test]
        fn who_waits_gets_by_weight(weights in prop::collection::vec(1_i64..65_536, 2..20), pool in 1000.0_f64..1e9) {
            let wants = vec![pool; weights.len()];
            let floats: Vec<f64> = weights.iter().map(|w| *w as f64).collect();
            let sum: f64 = floats.iter().sum();
            for (part, weight) in divide(pool, &wants, &floats).into_iter().zip(floats) {
                prop_assert!((part - pool * weight / sum).abs() < pool * 1e-9);
            }
        }

        #[test]
        fn jain_is_between_one_nth_and_one(of in prop::collection::vec(0.0_f64..1e6, 1..50)) {
            let index = jain(&of);
            prop_assert!(index <= 1.0 + 1e-9 && index >= 1.0 / of.len() as f64 - 1e-9);
        }
    }
}
