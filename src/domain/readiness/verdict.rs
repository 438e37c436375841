//! Is the beta ready to end? Three verdicts, on functionality, performance and reliability, each from figures against limits
//! that staff set. Only what concerns Xen hosts is judged: they are what members will have.

/// What the beta must come up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Fewer moves that ended say too little.
    pub moves_least: i64,
    /// Tries that reached their host, of a hundred.
    pub reached_least_percent: i64,
    /// Open bugs of high or critical severity.
    pub serious_bugs_most: i64,
    pub down_median_most_s: i64,
    /// What nine of ten moves take, or less.
    pub down_p90_most_s: i64,
    /// Xen hosts that divided their CPU unfairly.
    pub unfair_hosts_most: i64,
    /// Moves that were taken back, of a hundred.
    pub went_back_most_percent: i64,
    pub failed_jobs_most: i64,
    pub silent_hosts_most: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            moves_least: 20,
            reached_least_percent: 95,
            serious_bugs_most: 0,
            down_median_most_s: 60,
            down_p90_most_s: 180,
            unfair_hosts_most: 0,
            went_back_most_percent: 5,
            failed_jobs_most: 10,
            silent_hosts_most: 0,
        }
    }
}

/// The name of a limit in forms, what people call it, and the most it may be; in the order of [`Limits::values`].
pub const NAMED: [(&str, &str, i64); 9] = [
    (
        "moves_least",
        "Moves before anything is said, at least",
        100_000,
    ),
    (
        "reached_least_percent",
        "Tries that reach their host, %, at least",
        100,
    ),
    (
        "serious_bugs_most",
        "Open bugs, high or critical, at most",
        10_000,
    ),
    (
        "down_median_most_s",
        "Seconds down, median, at most",
        86_400,
    ),
    (
        "down_p90_most_s",
        "Seconds down, nine of ten, at most",
        86_400,
    ),
    ("unfair_hosts_most", "Unfair Xen hosts, at most", 10_000),
    (
        "went_back_most_percent",
        "Moves taken back, %, at most",
        100,
    ),
    (
        "failed_jobs_most",
        "Failed jobs on Xen hosts, at most",
        100_000,
    ),
    ("silent_hosts_most", "Silent Xen hosts, at most", 10_000),
];

impl Limits {
    pub fn values(&self) -> [i64; 9] {
        [
            self.moves_least,
            self.reached_least_percent,
            self.serious_bugs_most,
            self.down_median_most_s,
            self.down_p90_most_s,
            self.unfair_hosts_most,
            self.went_back_most_percent,
            self.failed_jobs_most,
            self.silent_hosts_most,
        ]
    }
}

impl From<[i64; 9]> for Limits {
    fn from(of: [i64; 9]) -> Self {
        let [
            moves,
            reached,
            bugs,
            median,
            p90,
            unfair,
            back,
            jobs,
            silent,
        ] = of;
        Self {
            moves_least: moves,
            reached_least_percent: reached,
            serious_bugs_most: bugs,
            down_median_most_s: median,
            down_p90_most_s: p90,
            unfair_hosts_most: unfair,
            went_back_most_percent: back,
            failed_jobs_most: jobs,
            silent_hosts_most: silent,
        }
    }
}

/// What was counted; `None`: there is nothing to count it of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Moves to Xen hosts that came to an end.
    pub moves: i64,
    pub reached_percent: Option<i64>,
    pub serious_bugs: i64,
    pub down_median_s: Option<i64>,
    pub down_p90_s: Option<i64>,
    pub unfair_hosts: i64,
    pub went_back_percent: Option<i64>,
    pub failed_jobs: i64,
    pub silent_hosts: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    Percent,
    Seconds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Least(i64),
    Most(i64),
}

/// One figure beside its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    pub what: &'static str,
    pub unit: Unit,
    pub figure: Option<i64>,
    pub bound: Bound,
}

impl Check {
    /// Is the limit kept? `None`: nobody knows yet.
    pub fn holds(&self) -> Option<bool> {
        let figure = self.figure?;
        Some(match self.bound {
            Bound::Least(least) => figure >= least,
            Bound::Most(most) => figure <= most,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ready,
    NotReady,
    /// Too little has happened to say so.
    TooLittle,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub of: &'static str,
    pub verdict: Verdict,
    pub checks: Vec<Check>,
}

/// A figure that breaks its limit says no at once; a yes takes all figures, and enough moves.
pub fn judge(figures: &Figures, limits: &Limits) -> [Judged; 3] {
    let enough = figures.moves >= limits.moves_least;
    let judged = |of, checks: Vec<Check>| {
        let verdict = if checks.iter().any(|it| it.holds() == Some(false)) {
            Verdict::NotReady
        } else if enough && checks.iter().all(|it| it.holds() == Some(true)) {
            Verdict::Ready
        } else {
            Verdict::TooLittle
        };
        Judged {
            of,
            verdict,
            checks,
        }
    };
    [
        judged("Functionality", functionality(figures, limits)),
        judged("Performance", performance(figures, limits)),
        judged("Reliability", reliability(figures, limits)),
    ]
}

fn check(what: &'static str, unit: Unit, figure: Option<i64>, bound: Bound) -> Check {
    Check {
        what,
        unit,
        figure,
        bound,
    }
}

fn functionality(of: &Figures, limits: &Limits) -> Vec<Check> {
    use Bound::{Least, Most};
    vec![
        check(
            "Tries that reached their host",
            Unit::Percent,
            of.reached_percent,
            Least(limits.reached_least_percent),
        ),
        check(
            "Open bugs, high or critical",
            Unit::Count,
            Some(of.serious_bugs),
            Most(limits.serious_bugs_most),
        ),
    ]
}

fn performance(of: &Figures, limits: &Limits) -> Vec<Check> {
    use Bound::Most;
    vec![
        check(
            "Down, median",
            Unit::Seconds,
            of.down_median_s,
            Most(limits.down_median_most_s),
        ),
        check(
            "Down, nine of ten",
            Unit::Seconds,
            of.down_p90_s,
            Most(limits.down_p90_most_s),
        ),
        check(
            "Xen hosts unfair in the last 7 days",
            Unit::Count,
            Some(of.unfair_hosts),
            Most(limits.unfair_hosts_most),
        ),
    ]
}

fn reliability(of: &Figures, limits: &Limits) -> Vec<Check> {
    use Bound::Most;
    vec![
        check(
            "Moves taken back",
            Unit::Percent,
            of.went_back_percent,
            Most(limits.went_back_most_percent),
        ),
        check(
            "Jobs failed on Xen hosts in the last 7 days",
            Unit::Count,
            Some(of.failed_jobs),
            Most(limits.failed_jobs_most),
        ),
        check(
            "Xen hosts silent now",
            Unit::Count,
            Some(of.silent_hosts),
            Most(limits.silent_hosts_most),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Figures = Figures {
        moves: 20,
        reached_percent: Some(95),
        serious_bugs: 0,
        down_median_s: Some(60),
        down_p90_s: Some(180),
        unfair_hosts: 0,
        went_back_percent: Some(5),
        failed_jobs: 10,
        silent_hosts: 0,
    };

    fn verdicts(of: Figures) -> [Verdict; 3] {
        judge(&of, &Limits::default()).map(|it| it.verdict)
    }

    #[test]
    fn values_are_in_the_order_of_their_names() {
        let values = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let limits = Limits::from(values);
        assert_eq!(limits.values(), values);
        assert_eq!((limits.moves_least, limits.silent_hosts_most), (1, 9));
        assert_eq!(
            (limits.down_median_most_s, NAMED[3].0),
            (4, "down_median_most_s")
        );
    }

    #[test]
    fn each_limit_is_kept_to_its_very_figure() {
        use Verdict::{NotReady, Ready};
        assert_eq!(verdicts(GOOD), [Ready; 3]);
        type Change = fn(&mut Figures);
        let cases: [(usize, Change); 8] = [
            (0, |it| it.reached_percent = Some(94)),
            (0, |it| it.serious_bugs = 1),
            (1, |it| it.down_median_s = Some(61)),
            (1, |it| it.down_p90_s = Some(181)),
            (1, |it| it.unfair_hosts = 1),
            (2, |it| it.went_back_percent = Some(6)),
            (2, |it| it.failed_jobs = 11),
            (2, |it| it.silent_hosts = 1),
        ];
        for (which, change) in cases {
            let mut of = GOOD;
            change(&mut of);
            let mut expected = [Ready; 3];
            if let Some(it) = expected.get_mut(which) {
                *it = NotReady;
            }
            assert_eq!(verdicts(of), expected);
        }
    }

    #[test]
    fn little_says_no_but_never_yes() {
        use Verdict::{NotReady, TooLittle};
        assert_eq!(verdicts(Figures::default()), [TooLittle; 3]);
        let few = Figures { moves: 19, ..GOOD };
        assert_eq!(verdicts(few), [TooLittle; 3]);
        let few_and_bad = Figures {
            serious_bugs: 3,
            ..few
        };
        assert_eq!(verdicts(few_and_bad), [NotReady, TooLittle, TooLittle]);
        let unknown = Figures {
            down_median_s: None,
            ..GOOD
        };
        let [_, performance, _] = verdicts(unknown);
        assert_eq!(performance, TooLittle);
    }
}
