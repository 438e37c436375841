//! How long guests could have run and were not let. The hypervisor tells this to the guest alone (as steal), so it is
//! estimated from looks: a vCPU found runnable and not running is taken to wait until the next look.
//!
//! The look itself needs a CPU, and where guests may use that one too, it pushes one of them off: a guest alone on a host
//! of one CPU would be seen waiting at every look. So of the vCPUs that wait and could be where the control domain runs
//! now, one in all is taken to run but for the look. Which one it would be nobody knows: each counts as much less.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::xl::{Vcpu, VcpuState};

/// A longer time between two looks is not counted: too much may have happened in it.
const MOST: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct Waits(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    at: Option<Instant>,
    /// By domain, in ms since it was first seen.
    sums: BTreeMap<u32, u64>,
}

/// The domain that the looks are made from.
const CONTROL: u32 = 0;

impl Waits {
    pub fn note(&self, seen: &[Vcpu], at: Instant) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = noted
            .at
            .map_or(Duration::ZERO, |last| at.saturating_duration_since(last));
        let ms = if since > MOST {
            0
        } else {
            u64::try_from(since.as_millis()).unwrap_or(0)
        };
        noted
            .sums
            .retain(|domain, _| seen.iter().any(|it| it.domain == *domain));
        let pushed = |it: &Vcpu| pushed_off(seen, it);
        let candidates = seen.iter().filter(|it| pushed(it)).count();
        let candidates = u64::try_from(candidates).unwrap_or(u64::MAX).max(1);
        for it in seen {
            let sum = noted.sums.entry(it.domain).or_default();
            match it.state {
                VcpuState::Waiting if pushed(it) => *sum += ms * (candidates - 1) / candidates,
                VcpuState::Waiting => *sum += ms,
                VcpuState::Running | VcpuState::Idle => {}
            }
        }
        noted.at = Some(at);
    }

    /// `None` before the first look at it.
    pub fn of(&self, domain: u32) -> Option<u64> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.sums.get(&domain).copied()
    }
}

/// Could this guest's vCPU be where the control domain runs now?
fn pushed_off(seen: &[Vcpu], it: &Vcpu) -> bool {
    let looks = |other: &Vcpu| {
        let runs = other.domain == CONTROL && other.state == VcpuState::Running;
        runs && other.cpu.is_some_and(|cpu| it.may_be_on(cpu))
    };
    it.state == VcpuState::Waiting && it.domain != CONTROL && seen.iter().any(looks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::driver::xen::xl::parse_vcpus;
    use VcpuState::{Idle, Running, Waiting};

    fn all(of: &[(u32, VcpuState)]) -> Vec<Vcpu> {
        let vcpu = |(domain, state): &(u32, VcpuState)| Vcpu {
            domain: *domain,
            state: *state,
            cpu: Some(1),
            may: "1-3".to_owned(),
        };
        of.iter().map(vcpu).collect()
    }

    #[test]
    fn waiting_adds_up_between_looks() {
        let (waits, start) = (Waits::default(), Instant::now());
        let note = |of: &[(u32, VcpuState)], s| {
            waits.note(&all(of), start + Duration::from_secs(s));
        };
        assert_eq!(waits.of(4), None);
        note(&[(4, Waiting), (4, Waiting)], 0);
        assert_eq!(waits.of(4), Some(0), "nothing is known of the time before");
        note(&[(4, Waiting), (4, Waiting), (5, Running)], 1);
        note(&[(4, Waiting), (4, Idle), (5, Waiting)], 2);
        assert_eq!((waits.of(4), waits.of(5)), (Some(3000), Some(1000)));
        note(&[(4, Waiting)], 60);
        assert_eq!((waits.of(4), waits.of(5)), (Some(3000), None));
    }

    /// Lines as Xen 4.17 prints them: the control domain on CPU 0, where it looks from.
    fn listed(control: &str, guests: &[(u32, &str, &str)]) -> Vec<Vcpu> {
        use std::fmt::Write;
        let mut text = format!(
            "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n\
             Domain-0                             0     0    0   r--      487.9  {control} / all\n"
        );
        for (domain, state, may) in guests {
            let _ = writeln!(
                text,
                "xb-{domain}                               {domain}     0    0   {state}       12.9  {may} / all"
            );
        }
        parse_vcpus(&text).unwrap()
    }

    fn waited(looks: &[Vec<Vcpu>], of: &[u32]) -> Vec<u64> {
        let (waits, start) = (Waits::default(), Instant::now());
        waits.note(&looks[0], start);
        for (look, s) in looks.iter().zip(1..) {
            waits.note(look, start + Duration::from_secs(s));
        }
        of.iter().map(|domain| waits.of(*domain).unwrap()).collect()
    }

    #[test]
    fn the_look_itself_is_nobodys_waiting() {
        // One CPU for all: whoever wants it is found waiting, always.
        let alone = listed("all", &[(4, "---", "all")]);
        assert_eq!(waited(&[alone.clone(), alone], &[4]), [0]);
        // Four share it: each runs a quarter of the time and waits three.
        let four = [4, 5, 6, 7].map(|domain| (domain, "---", "all"));
        let four = vec![listed("all", &four); 100];
        assert_eq!(waited(&four, &[4, 5, 6, 7]), [75_000; 4]);
        // Two CPUs, two guests that want one each: one is pushed off, and has not waited.
        let two = listed("all", &[(4, "---", "all"), (5, "r--", "all")]);
        let other = listed("all", &[(4, "r--", "all"), (5, "---", "all")]);
        assert_eq!(waited(&[two, other], &[4, 5]), [0, 0]);
        // Two CPUs, three guests: a third of their time each.
        let runs = |n: u32| {
            let state = |domain| if domain == n { "r--" } else { "---" };
            listed(
                "all",
                &[4, 5, 6].map(|domain| (domain, state(domain), "all")),
            )
        };
        assert_eq!(waited(&[runs(4), runs(5), runs(6)], &[4, 5, 6]), [1000; 3]);
    }

    #[test]
    fn with_a_cpu_of_its_own_the_control_domain_pushes_nobody_off() {
        let look = listed(
            "0",
            &[(4, "---", "1-3"), (5, "r--", "1-3"), (6, "---", "0-3")],
        );
        assert_eq!(waited(&[look.clone(), look], &[4, 5, 6]), [2000, 0, 0]);
    }
}
