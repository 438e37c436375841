//! What reads bytes from outside, each as a function that takes any bytes. It holds what is promised of them: it never
//! panics, it ends, and what it takes is what it should be. `make fuzz` looks for bytes that it does not hold for; the tests try
//! those that were found, and the corpus.
//!
//! Rule of the room: a parser that the product gets has its target here, and its promises beside it (`fuzz.rs` of its
//! room, which only tests and fuzzers build). Nothing of the product knows this room.
//!
//! Not here: TLS, HTTP, TOML and SQL, which libraries read; what stands on guests' disks (headers, partitions), which nothing here reads;
//! tokens of sessions, agents, devices and the API, which are compared and not read (`app::secrets`); the filters of lists, which are numbers
//! and closed sets of words, asked for by tests/portal; what only a database or `/proc` can say (inventories against rows, the looks at
//! processes), which tests/portal, tests/agent and tests/chaos play through.

#[cfg(feature = "portal")]
mod domain;
#[cfg(test)]
mod tests;
mod wire;

#[cfg(feature = "agent")]
use crate::agent;
#[cfg(feature = "portal")]
use crate::{app, config, mail, store, web};

/// What is fuzzed under one name, which is its corpus's, too.
#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Those of this build's programs, in the order of their names.
pub fn targets() -> Vec<Target> {
    let mut all = vec![
        target("log", crate::log::fuzz),
        target("wire", wire::bodies),
    ];
    #[cfg(feature = "agent")]
    all.extend(of_the_agent());
    #[cfg(feature = "portal")]
    all.extend(of_the_portal());
    all.sort_by_key(|it| it.name);
    all
}

#[cfg(feature = "agent")]
fn of_the_agent() -> [Target; 18] {
    use agent::driver::{uml, xen};
    [
        target("agent-config", agent::fuzz::config),
        target("console", agent::driver::fuzz::console),
        target("disk-names", agent::disk::lvm::fuzz::names),
        target("frames", agent::transfer::fuzz::frames),
        target("guest-files", agent::initramfs::fuzz::guest_files),
        target("guests", agent::driver::fuzz::guests),
        target("host", agent::fuzz::host),
        target("host-settings", agent::driver::fuzz::settings),
        target("lvm", agent::disk::lvm::fuzz::reports),
        target("mconsole", uml::fuzz::answer),
        target("nftables", agent::driver::fuzz::listing),
        target("programs", agent::initramfs::fuzz::programs),
        target("records", agent::fuzz::records),
        target("refusals", agent::fuzz::refusals),
        target("transfer-files", agent::transfer::fuzz::kept),
        target("uml-processes", uml::fuzz::processes),
        target("xen-processes", xen::fuzz::processes),
        target("xl", xen::fuzz::tables),
    ]
}

#[cfg(feature = "portal")]
fn of_the_portal() -> [Target; 20] {
    use web::extract;
    [
        target("attachments", domain::attachments),
        target("cells", web::fuzz::cells),
        target("cookies", web::fuzz::cookies),
        target("fleet", app::import::fuzz::fleet),
        target("forms", extract::fuzz::forms),
        target("forwarded", extract::fuzz::forwarded),
        target("mails", mail::fuzz::mails),
        target("markdown", web::fuzz::writings),
        target("names", domain::names),
        target("packed", store::fuzz::packed),
        target("passwords", domain::passwords),
        target("portal-config", config::fuzz),
        target("profiles", domain::profiles),
        target("queries", web::fuzz::queries),
        target("receipts", domain::receipts),
        target("samples", app::fairness::fuzz::samples),
        target("store-words", store::fuzz::words),
        target("texts", domain::texts),
        target("times", web::fuzz::times),
        target("uploads", extract::fuzz::uploads),
    ]
}
