//! What `xenbeta-agent check` looks at where guests are in a bridge.

use std::fs;

use super::bridge_exists;
use super::nft::{Nft, NftError};

type Verdict = Result<String, String>;

pub(crate) fn bridge(bridge: &str) -> Verdict {
    if !bridge_exists(bridge) {
        return Err(format!("there is no bridge {bridge}"));
    }
    let filtered = fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables");
    if filtered.is_ok_and(|value| value.trim() != "0") {
        return Err(format!(
            "{bridge}: net.bridge.bridge-nf-call-iptables is on, so the host's own packet filter meets guests' traffic"
        ));
    }
    Ok(bridge.to_owned())
}

pub(crate) fn spoofing(wanted: bool) -> Verdict {
    judge(wanted, Nft::default().available())
}

fn judge(wanted: bool, available: Result<String, NftError>) -> Verdict {
    if !wanted {
        return Err("anti_spoofing is off: guests can use each other's addresses".to_owned());
    }
    available
        .map(|version| format!("guests are kept to their own addresses by {version}"))
        .map_err(|error| match error {
            NftError::Missing(error) => format!("guests can use each other's addresses: {error}"),
            NftError::Failed(error) => format!("no guest can start: {error}"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_bridge_is_said() {
        assert!(judge(false, Ok("nft".to_owned())).is_err());
        assert!(judge(true, Ok("nft".to_owned())).is_ok());
        let missing = judge(true, Err(NftError::Missing("no nft".to_owned())));
        assert!(missing.unwrap_err().contains("each other's addresses"));
        let failed = judge(true, Err(NftError::Failed("not permitted".to_owned())));
        assert!(failed.unwrap_err().contains("no guest can start"));
        assert!(bridge("no-such-bridge").is_err());
    }
}
