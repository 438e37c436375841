//! nftables' listings and cards' addresses, for `crate::fuzz`.

use super::{filter, is_unicast_mac, mac_bytes, nft};
use crate::agent::driver::Guest;

/// A listing, and each line as an address of a card.
pub(crate) fn listing(bytes: &[u8]) {
    if let Ok(chains) = nft::parse(bytes) {
        for chain in chains.values() {
            let whole = filter::is_whole(Some(chain), chain.last.as_deref());
            assert!(!whole || chain.rules > 0);
        }
    }
    for line in String::from_utf8_lossy(bytes).lines() {
        let Some(bytes) = mac_bytes(line) else {
            continue;
        };
        let written = bytes.map(|byte| format!("{byte:02x}")).join(":");
        assert_eq!(written, line.to_ascii_lowercase());
        assert!(!is_unicast_mac(line) || bytes[0] & 1 == 0);
    }
}

/// The rules of a guest: as many lines as their mark says, and its table is the only one.
pub(crate) fn starts(guest: &Guest<'_>) {
    let Ok(text) = filter::rules("xb7", guest.spec) else {
        return;
    };
    let rules = text.lines().filter(|line| line.starts_with("\t\t")).count() - 1;
    let said = format!("xenbeta {rules} ");
    assert!(
        filter::mark(&text).is_some_and(|mark| mark.starts_with(&said)),
        "{text}"
    );
    assert_eq!(text.matches(['"', '\'']).count(), 4, "{text}");
    assert_eq!(text.matches("table bridge xb7").count(), 3, "{text}");
}
