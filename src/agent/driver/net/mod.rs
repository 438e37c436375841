//! Guests on a host's bridge, whatever runs them: names of their ports, counters, telling the network where an address is now,
//! and what may come out of a port (`filter`, which `guard` keeps in place by `nft`). What is there is read from `/sys/class/net`, which shows the network namespace the agent lives in.

pub(super) mod examine;
mod filter;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub(super) mod guard;
#[cfg(test)]
pub(super) mod namespace;
pub(super) mod nft;
mod packet;
pub(super) mod tap;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{DriverError, Result};
use crate::command::Tool;
use crate::domain::ids::LinodeId;
use crate::wire::GuestSpec;

const TOOL_LIMIT: Duration = Duration::from_secs(10);
/// A frame may be lost: a few are sent, a little apart.
const ANNOUNCEMENTS: u32 = 3;
const APART: Duration = Duration::from_millis(40);
/// What Linux allows for an interface's name.
const NAME_LIMIT: usize = 15;

pub(super) fn sys(interface: &str) -> PathBuf {
    Path::new("/sys/class/net").join(interface)
}

/// Runs `ip`, `bridge` or another of the network's programs.
pub(super) fn tool(program: &str, args: &[&str]) -> Result<()> {
    let said = Tool::new(program).args(args).limit(TOOL_LIMIT).run();
    said.map(drop)
        .map_err(|error| DriverError::Host(error.to_string()))
}

pub(super) fn bridge_exists(bridge: &str) -> bool {
    sys(bridge).join("bridge").is_dir()
}

/// Would the bridge believe any sender's address on this port? Some frames (to `01:80:c2:00:00:0x`) come by no rule of the
/// packet filter and are learned from all the same: a neighbour's card would be moved here, from a static entry too.
pub(super) fn learns(port: &str) -> bool {
    fs::read_to_string(sys(port).join("brport/learning")).is_ok_and(|text| text.trim() != "0")
}

/// Whose card is behind the port says its static entry from then on.
pub(super) fn stop_learning(port: &str) -> Result<()> {
    // `guard`: frames of the spanning tree never come to the rules; a port that sends one is shut.
    let words = ["learning", "off", "guard", "on"];
    tool(
        "bridge",
        &[&["link", "set", "dev", port][..], &words].concat(),
    )
}

/// Could this be the name of an interface, and of nothing else?
pub(super) fn is_interface(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= NAME_LIMIT && !name.starts_with('.') && name.chars().all(fine)
}

/// The name of a Linode's port on this host.
pub(super) fn port(prefix: &str, linode: LinodeId) -> Result<String> {
    let name = format!("{prefix}{linode}");
    if linode.0 < 1 || name.len() > NAME_LIMIT {
        return Err(DriverError::Host(format!(
            "no interface can be called {name:?}: over {NAME_LIMIT} characters; use a shorter driver.prefix"
        )));
    }
    Ok(name)
}

/// Bytes into and out of the guest: what the host sent to its port and got from it.
pub(super) fn traffic(port: &str) -> (u64, u64) {
    let counter = |name: &str| {
        let text = fs::read_to_string(sys(port).join("statistics").join(name)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    (counter("tx_bytes"), counter("rx_bytes"))
}

/// Can a network card have this address?
pub(super) fn is_unicast_mac(text: &str) -> bool {
    mac_bytes(text).is_some_and(|bytes| bytes[0] & 1 == 0 && bytes.iter().any(|byte| *byte != 0))
}

/// `aa:bb:cc:dd:ee:ff` as bytes.
pub(super) fn mac_bytes(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next()?;
        if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// The guest's addresses.
pub(super) fn addresses(spec: &GuestSpec) -> Result<Vec<IpAddr>> {
    let addresses = spec.addresses.iter().map(|entry| entry.address.as_str());
    addresses
        .map(|address| {
            address
                .parse()
                .map_err(|_| DriverError::Host(format!("address {address:?}")))
        })
        .collect()
}

/// Sends the guest's addresses out of every port of the bridge.
pub(super) fn announce(bridge: &str, spec: &GuestSpec) -> Result<()> {
    let mac =
        mac_bytes(&spec.mac).ok_or_else(|| DriverError::Host(format!("mac {:?}", spec.mac)))?;
    let frames: Vec<Vec<u8>> = addresses(spec)?
        .into_iter()
        .map(|address| packet::announcement(mac, address))
        .collect();
    let failed = |error| DriverError::Host(format!("announcing on {bridge}: {error}"));
    let index = fs::read_to_string(sys(bridge).join("ifindex")).map_err(failed)?;
    let index = index
        .trim()
        .parse()
        .map_err(|_| DriverError::Host(format!("{bridge} has no number")))?;
    for round in 0..ANNOUNCEMENTS {
        if round > 0 {
            thread::sleep(APART);
        }
        packet::send(index, &frames).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit() {
        assert_eq!(port("u1", LinodeId(8204)).unwrap(), "u18204");
        assert!(port("xenb1", LinodeId(12_345_678_901)).is_err());
        assert!(port("u1", LinodeId(-1)).is_err());
        for name in ["br0", "xenbr0", "a.b-c_d"] {
            assert!(is_interface(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "../br0",
            "br0,x",
            "a b",
            "abcdefghijklmnop",
            "é",
        ] {
            assert!(!is_interface(name), "{name}");
        }
    }

    #[test]
    fn addresses_of_cards() {
        assert!(is_unicast_mac("fe:fd:40:16:47:b4"));
        for mac in [
            "",
            "fe:fd:40:16:47",
            "fe:fd:40:16:47:b4:00",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "fe:fd:40:16:47:b4,x",
            "+e:fd:40:16:47:b4",
        ] {
            assert!(!is_unicast_mac(mac), "{mac}");
        }
    }
}
