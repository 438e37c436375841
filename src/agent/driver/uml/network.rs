//! A guest's network port: one tap per Linode in the host's bridge, with the guest's rules.

use std::fs;

use crate::agent::driver::files::at;
use crate::agent::driver::net::guard::{Guard, Kept};
use crate::agent::driver::net::{stop_learning, sys, tool};
use crate::agent::driver::{DriverError, Result};
use crate::wire::GuestSpec;

/// What the host's end of a port is called: the highest there is. A bridge without an address of its own takes the lowest
/// of its ports', and would change it with the guests.
const HOST_END: &str = "fe:ff:ff:ff:ff:ff";

/// Makes the tap, in the bridge and up, whatever of that was so before, with the guest's rules in place before anything can
/// come out of it, and tells the bridge that the guest's card is behind it.
pub(super) fn ensure_tap(guard: &Guard, kept: &Kept, bridge: &str, spec: &GuestSpec) -> Result<()> {
    let tap = kept.port.as_str();
    if let Some(folder) = kept.file.parent() {
        fs::create_dir_all(folder).map_err(|error| at(folder, &error))?;
    }
    guard.install(kept, spec)?;
    if !sys(tap).exists() {
        tool("ip", &["tuntap", "add", "dev", tap, "mode", "tap"])?;
    }
    let place = ["address", HOST_END, "master", bridge, "up"];
    tool("ip", &[&["link", "set", "dev", tap][..], &place].concat())?;
    stop_learning(tap)?;
    // The bridge may remember the guest outside, where it ran until now, and it does not learn from what its own host
    // announces: until the guest itself says something, it would send away all that comes for it. (Static, since a
    // tap that no guest has opened yet may not have another kind; gone with the tap.)
    tool(
        "bridge",
        &["fdb", "replace", &spec.mac, "dev", tap, "master", "static"],
    )
}

/// Takes the tap away if it is there, and then the rules.
pub(super) fn remove_tap(guard: &Guard, kept: &Kept) -> Result<()> {
    let tap = kept.port.as_str();
    if sys(tap).exists() {
        tool("ip", &["link", "delete", "dev", tap])?;
    }
    if sys(tap).exists() {
        return Err(DriverError::Host(format!(
            "{tap} is still there after it was deleted"
        )));
    }
    guard.remove(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::driver::net::learns;
    use crate::agent::driver::net::namespace::inside;
    use crate::command::Tool;
    use crate::domain::ids::LinodeId;

    const HERE: &str = "agent::driver::uml::network::tests::";

    fn said(program: &str, args: &[&str]) -> String {
        Tool::new(program).args(args).run().unwrap().text()
    }

    #[test]
    fn a_port_has_its_rules_and_learns_nothing_and_what_is_undone_is_mended() {
        let name = "a_port_has_its_rules_and_learns_nothing_and_what_is_undone_is_mended";
        inside(&format!("{HERE}{name}"), || {
            tool("ip", &["link", "add", "br0", "type", "bridge"]).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let kept = || Kept {
                linode: LinodeId(7),
                port: "xb7".to_owned(),
                file: dir.path().join("linode-7/filter.nft"),
            };
            let port = kept();
            let (guard, spec) = (Guard::default(), spec());
            let rules = || said("nft", &["list", "tables"]).contains("table bridge xb7");
            for _ in 0..2 {
                ensure_tap(&guard, &port, "br0", &spec).unwrap();
                assert!(rules() && !learns("xb7"));
            }
            assert!(said("bridge", &["fdb", "show", "dev", "xb7"]).contains(&spec.mac));
            let address = fs::read_to_string(sys("xb7").join("address")).unwrap();
            assert_eq!(
                address.trim(),
                HOST_END,
                "and not what changes the bridge's own"
            );

            let look = || guard.look(std::slice::from_ref(&port), &|_| true);
            assert_eq!(look(), Vec::<String>::new());
            tool("nft", &["flush", "ruleset"]).unwrap();
            assert!(look().concat().contains("loaded again") && rules());
            tool("bridge", &["link", "set", "dev", "xb7", "learning", "on"]).unwrap();
            assert!(look().concat().contains("learned addresses") && !learns("xb7"));
            let earlier = Kept {
                file: dir.path().join("none"),
                ..kept()
            };
            tool("bridge", &["link", "set", "dev", "xb7", "learning", "on"]).unwrap();
            guard.look(&[earlier], &|_| true);
            assert!(!learns("xb7"), "of an earlier release, without rules");

            for _ in 0..2 {
                remove_tap(&guard, &port).unwrap();
                assert!(!rules() && !sys("xb7").exists() && !port.file.exists());
            }
        });
    }

    fn spec() -> GuestSpec {
        GuestSpec {
            label: "web01".to_owned(),
            ram_mb: 64,
            mac: "fe:fd:40:16:47:b4".to_owned(),
            addresses: vec![],
            disks: vec![],
            cpu_weight: 64,
            io_priority: 4,
        }
    }
}
