//! How far a copy is, from the bytes that it has still to send. Pure.

/// The bar of one that is at work: it is full when the step is over, and not before.
const MOST: u16 = 990;

/// What an agent says of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    pub pass: u32,
    /// Bytes of the disks looked at in this pass, of how many.
    pub looked: u64,
    pub total: u64,
    /// Bytes sent in all passes.
    pub sent: u64,
    /// Bytes that this pass will still send, where the agent says.
    pub left: Option<u64>,
}

impl Sending {
    /// Bytes still to send in this pass: of the rest as much as of what was looked at.
    pub fn left(&self) -> u64 {
        let rest = self.total.saturating_sub(self.looked);
        self.left
            .unwrap_or_else(|| share_of(rest, self.sent, self.looked).min(rest))
    }

    /// How much of what there is to send was sent, in thousandths. What the guest changes during the first pass comes on top of
    /// that pass: a tenth, until it is known.
    pub fn thousandths(&self) -> u16 {
        let (sent, left) = (self.sent, self.left());
        let all = if sent == 0 {
            // All of it was there already.
            share_of(1000, self.looked, self.total)
        } else {
            share_of(1000, sent, sent.saturating_add(left))
        };
        let most = u64::from(MOST);
        let shown = if self.pass <= 1 { all * 10 / 11 } else { all };
        u16::try_from(shown.min(most)).unwrap_or(MOST)
    }
}

/// `of * part / whole`; nothing of nothing.
fn share_of(of: u64, part: u64, whole: u64) -> u64 {
    let product = u128::from(of) * u128::from(part);
    let share = product.checked_div(u128::from(whole)).unwrap_or(0);
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn at(pass: u32, looked: u64, sent: u64, left: u64) -> Sending {
        Sending {
            pass,
            looked,
            total: 10 * GB,
            sent,
            left: Some(left),
        }
    }

    #[test]
    fn what_passes_read_again_does_not_count() {
        // 10 GB, half of them holes: 5 GB to send, and 100 MB that change meanwhile.
        assert_eq!(at(1, 0, 0, 10 * GB).thousandths(), 0);
        assert_eq!(at(1, 5 * GB, 5 * GB / 2, 5 * GB / 2).thousandths(), 454);
        assert_eq!(at(1, 10 * GB, 5 * GB, 0).thousandths(), 909);
        // The second pass reads all 10 GB again, and has 100 MB to send.
        assert_eq!(at(2, 0, 5 * GB, GB / 10).thousandths(), 980);
        assert_eq!(at(2, 10 * GB, 5 * GB + GB / 10, 0).thousandths(), 990);
    }

    #[test]
    fn an_agent_that_does_not_say_what_is_left_is_asked_for_as_much_again() {
        let of = Sending {
            left: None,
            ..at(1, 2 * GB, GB, 0)
        };
        assert_eq!(of.left(), 4 * GB);
        assert_eq!(of.thousandths(), 181);
        assert_eq!(
            Sending {
                looked: 0,
                sent: 0,
                ..of
            }
            .left(),
            0,
            "nothing is known yet"
        );
    }

    #[test]
    fn figures_beyond_reason_do_not_overflow() {
        let of = Sending {
            pass: 0,
            looked: u64::MAX,
            total: u64::MAX,
            sent: u64::MAX,
            left: Some(u64::MAX),
        };
        assert!(of.thousandths() <= MOST);
        assert_eq!(
            Sending {
                total: 0,
                sent: 0,
                ..of
            }
            .thousandths(),
            0
        );
    }
}
