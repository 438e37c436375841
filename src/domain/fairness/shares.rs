//! What a Linode is due of its host under contention.

use crate::string_enum;

/// Least memory of a plan that gets more than the last level, in MiB.
const FIRST_STEP_MB: i64 = 128;

/// Level within the best-effort class of disk I/O (`ionice -c 2 -n`), 0 (first) to 7 (last): a level better each time
/// the plan's memory doubles, from 7 below 128 MiB to 0 from 8 GiB on. CFQ gives neighbouring levels time slices of
/// 20 ms steps around 100 ms, so a level is a mild preference and nobody starves.
pub fn io_priority(ram_mb: i64) -> u8 {
    let mut level = 7;
    let mut from = FIRST_STEP_MB;
    while level > 0 && ram_mb >= from {
        level -= 1;
        from *= 2;
    }
    level
}

string_enum! {
    pub enum RuleKind { Plan = "plan", Linear = "linear" }
}

/// Weights that a Xen scheduler takes.
pub const LEAST_WEIGHT: i64 = 1;
pub const MOST_WEIGHT: i64 = 65_535;

/// How a plan becomes a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Each plan has its own.
    Plan,
    /// `base` and one more for every `unit_mb` MiB of RAM.
    Linear { base: i64, unit_mb: i64 },
}

/// A Linode's plan, as far as its share goes, and its weight set by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub ram_mb: i64,
    pub plan_weight: i64,
    pub own_weight: Option<i64>,
}

/// Weight and level of disk I/O.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub weight: i64,
    pub io_priority: u8,
}

impl Rule {
    /// By the plan alone.
    pub fn weight(self, ram_mb: i64, plan_weight: i64) -> i64 {
        let weight = match self {
            Self::Plan => plan_weight,
            Self::Linear { base, unit_mb } => base.saturating_add(ram_mb / unit_mb.max(1)),
        };
        weight.clamp(LEAST_WEIGHT, MOST_WEIGHT)
    }

    /// A weight set by hand counts instead of the rule's, and the level follows as if the plan's RAM were as many times
    /// larger or smaller.
    pub fn due(self, claim: Claim) -> Due {
        let by_plan = self.weight(claim.ram_mb, claim.plan_weight);
        let weight = claim
            .own_weight
            .map_or(by_plan, |own| own.clamp(LEAST_WEIGHT, MOST_WEIGHT));
        Due {
            weight,
            io_priority: io_priority(claim.ram_mb.saturating_mul(weight) / by_plan),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_for_each_doubling() {
        let levels = [
            0,
            64,
            127,
            128,
            255,
            256,
            512,
            1024,
            4096,
            8191,
            8192,
            1 << 40,
        ]
        .map(io_priority);
        assert_eq!(levels, [7, 7, 7, 6, 6, 5, 4, 3, 1, 1, 0, 0]);
    }

    #[test]
    fn weights_follow_the_rule_or_the_hand() {
        let claim = Claim {
            ram_mb: 512,
            plan_weight: 300,
            own_weight: None,
        };
        let due = |rule: Rule, claim| {
            let due = rule.due(claim);
            (due.weight, due.io_priority)
        };
        assert_eq!(due(Rule::Plan, claim), (300, 4));
        let linear = Rule::Linear {
            base: 64,
            unit_mb: 2,
        };
        assert_eq!(due(linear, claim), (320, 4));
        let by_hand = Claim {
            own_weight: Some(1280),
            ..claim
        };
        assert_eq!(
            due(linear, by_hand),
            (1280, 2),
            "four times the weight is two levels"
        );
        assert_eq!(
            Rule::Linear {
                base: 0,
                unit_mb: 1024
            }
            .weight(512, 1),
            LEAST_WEIGHT
        );
        assert_eq!(
            Rule::Linear {
                base: 65_535,
                unit_mb: 0
            }
            .weight(i64::MAX, 1),
            MOST_WEIGHT
        );
    }
}
