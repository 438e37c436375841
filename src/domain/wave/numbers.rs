//! The numbers that staff set for a wave, each with its name, its bounds and what is usual.

/// A number of a wave's form.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    pub name: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub least: i32,
    pub most: i32,
    pub usual: i32,
}

const fn number(
    (name, label): (&'static str, &'static str),
    hint: &'static str,
    (least, most): (i32, i32),
    usual: i32,
) -> Number {
    Number {
        name,
        label,
        hint,
        least,
        most,
        usual,
    }
}

/// How fast it goes, in the order of [`Numbers`].
pub const PACE: [Number; 5] = [
    number(
        ("canary", "Go first, as a canary"),
        "So many Linodes; the others wait until these have moved and run well. 0 for none.",
        (0, 1000),
        5,
    ),
    number(
        ("watch_min", "Watch the canary for, minutes"),
        "From the end of each of its moves.",
        (0, 10_080),
        60,
    ),
    number(
        ("at_once", "Moves at work at once"),
        "Beside the programme’s own limit.",
        (1, 1000),
        20,
    ),
    number(
        ("per_host", "… of them on one host"),
        "Beside the host’s own limit.",
        (1, 100),
        2,
    ),
    number(
        ("out_most", "Offers open at once"),
        "Offered, queued or moving. Of an evacuation, whose moves are not offered, it is what is queued or moving.",
        (1, 5000),
        50,
    ),
];

/// When it pauses by itself.
pub const GATES: [Number; 5] = [
    number(
        (
            "least",
            "Moves that must have ended before a single fault counts",
        ),
        "Two faults count at once.",
        (1, 1000),
        20,
    ),
    number(
        ("failed_percent", "Failed or went back, %"),
        "It pauses when so many of a hundred have.",
        (1, 100),
        5,
    ),
    number(
        ("slow_percent", "Off for longer than foretold at most, %"),
        "It pauses when so many of a hundred were.",
        (1, 100),
        25,
    ),
    number(
        ("bugs_most", "Open bugs that name moves of it"),
        "It pauses when there are more.",
        (0, 1000),
        2,
    ),
    number(
        ("unfair_most", "Hosts that become unfair"),
        "It pauses when there are more: hosts that it moves to, and that divided their CPU fairly before.",
        (0, 1000),
        0,
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    pub canary: i32,
    pub watch_min: i32,
    pub at_once: i32,
    pub per_host: i32,
    pub out_most: i32,
    pub least: i32,
    pub failed_percent: i32,
    pub slow_percent: i32,
    pub bugs_most: i32,
    pub unfair_most: i32,
}

impl Numbers {
    pub fn new(pace: [i32; 5], gates: [i32; 5]) -> Self {
        let [canary, watch_min, at_once, per_host, out_most] = pace;
        let [least, failed_percent, slow_percent, bugs_most, unfair_most] = gates;
        Self {
            canary,
            watch_min,
            at_once,
            per_host,
            out_most,
            least,
            failed_percent,
            slow_percent,
            bugs_most,
            unfair_most,
        }
    }

    pub fn usual() -> Self {
        Self::new(PACE.map(|it| it.usual), GATES.map(|it| it.usual))
    }

    fn values(&self) -> [i32; 10] {
        [
            self.canary,
            self.watch_min,
            self.at_once,
            self.per_host,
            self.out_most,
            self.least,
            self.failed_percent,
            self.slow_percent,
            self.bugs_most,
            self.unfair_most,
        ]
    }

    /// The first that is beyond its bounds.
    pub fn out_of_bounds(&self) -> Option<Number> {
        let all = PACE.into_iter().chain(GATES).zip(self.values());
        let beyond = |(of, value): &(Number, i32)| !(of.least..=of.most).contains(value);
        all.into_iter().find(beyond).map(|(of, _)| of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_within_its_bounds_and_what_is_not_is_named() {
        let usual = Numbers::usual();
        assert!(usual.out_of_bounds().is_none());
        for (number, value) in PACE.into_iter().chain(GATES).zip(usual.values()) {
            assert_eq!(number.usual, value, "{}", number.name);
        }
        let beyond = Numbers {
            per_host: 0,
            ..usual
        };
        assert_eq!(beyond.out_of_bounds().map(|it| it.name), Some("per_host"));
    }
}
