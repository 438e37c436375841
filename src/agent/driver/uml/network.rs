//! A guest's network port: one tap per Linode in the host's bridge.

use crate::agent::driver::DriverError;
use crate::agent::driver::net::{sys, tool};

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
