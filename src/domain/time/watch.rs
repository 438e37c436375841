//! What time went by: the wall clock can be set, so a window that ends with something being deleted also counts the
//! seconds that portals watched. A clock that jumped while a portal looked is told from a pause of the portal.

/// A longer gap between two looks was not watched: the portal was down, stopped, or its clock was set.
pub const MOST_S: i64 = 180;
/// By so much wall clock and monotonic clock may differ between two looks.
const SLACK_S: i64 = 10;

/// Seconds since the last look of any portal by the wall clock (`None`: nobody looked yet), and since this process's own
/// last look by both clocks (`None`: it has not looked yet).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub since_any: Option<i64>,
    pub own: Option<Own>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    pub wall_s: i64,
    pub monotonic_s: i64,
}

impl Own {
    /// By how much the wall clock was set, if by more than what may be.
    pub fn jump(self) -> Option<i64> {
        let by = self.wall_s.saturating_sub(self.monotonic_s);
        (by.abs() > MOST_S).then_some(by)
    }
}

impl Gap {
    /// How many of its seconds count as watched.
    pub fn watched(self) -> i64 {
        let agrees = self
            .own
            .is_none_or(|own| own.wall_s.saturating_sub(own.monotonic_s).abs() <= SLACK_S);
        match self.since_any {
            Some(gap) if agrees && (0..=MOST_S).contains(&gap) => gap,
            _ => 0,
        }
    }

    /// Could nobody renew a lease meanwhile, as far as this portal knows? Then none is lost yet.
    pub fn is_pause(self, lease_s: i64) -> bool {
        self.own.is_none() || self.since_any.is_none_or(|gap| gap.abs() > lease_s)
    }
}

/// The jump that stands after another one: a clock that is set back by about as much is right again.
pub fn standing(before: Option<i64>, jump: i64) -> Option<i64> {
    let all = before.unwrap_or(0).saturating_add(jump);
    (all.abs() > MOST_S).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(any: i64, wall_s: i64, monotonic_s: i64) -> Gap {
        Gap {
            since_any: Some(any),
            own: Some(Own {
                wall_s,
                monotonic_s,
            }),
        }
    }

    #[test]
    fn only_what_was_watched_counts() {
        assert_eq!(gap(60, 60, 60).watched(), 60);
        assert_eq!(gap(180, 180, 181).watched(), 180);
        assert_eq!(gap(181, 181, 181).watched(), 0, "a pause");
        assert_eq!(gap(-1, -1, 60).watched(), 0);
        assert_eq!(gap(120, 120, 60).watched(), 0, "the clock was set");
        let first = Gap {
            since_any: Some(60),
            own: None,
        };
        assert_eq!(first.watched(), 60, "another portal looked");
    }

    #[test]
    fn a_jump_is_what_the_other_clock_did_not_see() {
        assert_eq!(gap(0, 604_800, 10).own.unwrap().jump(), Some(604_790));
        assert_eq!(gap(0, -604_800, 10).own.unwrap().jump(), Some(-604_810));
        assert_eq!(
            gap(0, 604_800, 604_800).own.unwrap().jump(),
            None,
            "a pause"
        );
        assert_eq!(standing(None, 7200), Some(7200));
        assert_eq!(standing(Some(7200), -7190), None);
        assert_eq!(standing(Some(7200), 3600), Some(10_800));
    }

    #[test]
    fn leases_are_not_lost_while_nobody_could_renew_them() {
        assert!(!gap(30, 30, 30).is_pause(30));
        assert!(gap(31, 31, 31).is_pause(30));
        assert!(gap(-3600, -3600, 5).is_pause(30));
    }
}
