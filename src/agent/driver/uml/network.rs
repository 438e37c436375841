//! A guest's network port: one tap per Linode in the host's bridge. All of it is found in `/sys/class/net`, which shows the
//! network namespace the agent lives in, and changed by `ip` and `bridge`.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::cmdline::mac_bytes;
use super::packet;
use crate::agent::command::Tool;
use crate::agent::driver::DriverError;
use crate::wire::GuestSpec;

const TOOL_LIMIT: Duration = Duration::from_secs(10);
/// A frame may be lost: a few are sent, a little apart.
const ANNOUNCEMENTS: u32 = 3;
const APART: Duration = Duration::from_millis(40);

fn sys(interface: &str) -> PathBuf {
    Path::new("/sys/class/net").join(interface)
}

fn tool(program: &str, args: &[&str]) -> Result<(), DriverError> {
    let said = Tool::new(program).args(args).limit(TOOL_LIMIT).run();
    said.map(drop)
        .map_err(|error| DriverError::Host(error.to_string()))
}

pub fn bridge_exists(bridge: &str) -> bool {
    sys(bridge).join("bridge").is_dir()
}

/// Makes the tap, in the bridge and up, whatever of that was so before, and tells the bridge that `mac` is behind it.
pub fn ensure_tap(tap: &str, bridge: &str, mac: &str) -> Result<(), DriverError> {
    if !sys(tap).exists() {
        tool("ip", &["tuntap", "add", "dev", tap, "mode", "tap"])?;
    }
    tool("ip", &["link", "set", "dev", tap, "master", bridge, "up"])?;
    // The bridge may remember the guest outside, where it ran until now, and it does not learn from what its own host
    // announces: until the guest itself says something, it would send away all that comes for it. (Static, since a
    // tap that no guest has opened yet may not have another kind; gone with the tap.)
    tool(
        "bridge",
        &["fdb", "replace", mac, "dev", tap, "master", "static"],
    )
}

/// Takes the tap away if it is there.
pub fn remove_tap(tap: &str) -> Result<(), DriverError> {
    if !sys(tap).exists() {
        return Ok(());
    }
    tool("ip", &["link", "delete", "dev", tap])?;
    if sys(tap).exists() {
        return Err(DriverError::Host(format!(
            "{tap} is still there after it was deleted"
        )));
    }
    Ok(())
}

/// Bytes into and out of the guest: what the host sent to the tap and got from it.
pub fn traffic(tap: &str) -> (u64, u64) {
    let counter = |name: &str| {
        let text = fs::read_to_string(sys(tap).join("statistics").join(name)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    (counter("tx_bytes"), counter("rx_bytes"))
}

/// Sends the guest's addresses out of every port of the bridge.
pub fn announce(bridge: &str, spec: &GuestSpec) -> Result<(), DriverError> {
    let mac =
        mac_bytes(&spec.mac).ok_or_else(|| DriverError::Host(format!("mac {:?}", spec.mac)))?;
    let addresses = spec.addresses.iter().map(|entry| entry.address.as_str());
    let frames = addresses
        .map(|address| {
            let parsed: IpAddr = address
                .parse()
                .map_err(|_| DriverError::Host(format!("address {address:?}")))?;
            Ok(packet::announcement(mac, parsed))
        })
        .collect::<Result<Vec<_>, DriverError>>()?;
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
