//! The table of platforms: what each offers a Linode, and what it calls things. A further one is a row here, its driver in
//! `agent::driver`, and its texts; nothing else asks which platform it is.

use crate::string_enum;

string_enum! {
    /// What a host runs its Linodes with.
    pub enum Platform { Uml = "uml", Xen = "xen" }
}

/// The programme moves Linodes to hosts of this one, and there they stay.
pub const TO: Platform = Platform::Xen;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offers {
    /// As people write it.
    pub name: &'static str,
    /// What its disks' names begin with.
    pub disks: &'static str,
    /// Disks have letters and nothing else; else they may be counted as well.
    pub only_letters: bool,
    /// The device of a guest's first console.
    pub console: &'static str,
    /// A Linode has as many CPUs as its plan, not one.
    pub many_cpus: bool,
    /// A libc that uses segments pays for each access to them.
    pub slow_tls: bool,
}

impl Platform {
    pub const fn offers(self) -> Offers {
        match self {
            Self::Uml => Offers {
                name: "UML",
                disks: "ubd",
                only_letters: false,
                console: "tty0",
                many_cpus: false,
                slow_tls: false,
            },
            Self::Xen => Offers {
                name: "Xen",
                disks: "xvd",
                only_letters: true,
                console: "hvc0",
                many_cpus: true,
                slow_tls: true,
            },
        }
    }

    /// `ubda`, `xvda`
    pub fn disk(self, letter: char) -> String {
        format!("{}{letter}", self.offers().disks)
    }

    /// How many CPUs a Linode of such a plan may have.
    pub fn most_cpus(self, of_plan: i32) -> i32 {
        if self.offers().many_cpus {
            of_plan.max(1)
        } else {
            1
        }
    }
}
