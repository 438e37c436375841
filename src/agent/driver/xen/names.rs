//! By what names a Linode's guest is known to Xen. They come from the Linode's number, never from its label.

use crate::agent::driver::{DriverError, Result};
use crate::domain::ids::LinodeId;

/// A Linode's number takes six bytes of its domain's UUID.
const LARGEST: i64 = (1 << 48) - 1;

/// The domain's name, as `xl list` shows it.
pub(super) fn domain(prefix: &str, linode: LinodeId) -> String {
    format!("{prefix}-{linode}")
}

/// The Linode whose domain has this name.
pub(super) fn linode_of(prefix: &str, name: &str) -> Option<LinodeId> {
    let linode: LinodeId = name.strip_prefix(prefix)?.strip_prefix('-')?.parse().ok()?;
    (domain(prefix, linode) == name).then_some(linode)
}

/// A UUID for one start of a Linode: four bytes for the agent's prefix, six for the Linode, six of chance. Xen keeps it
/// while the guest reboots, and shows it still when a domain that is being destroyed has lost its name.
pub(super) fn uuid(prefix: &str, linode: LinodeId) -> Result<String> {
    let mut chance = [0; 6];
    getrandom::fill(&mut chance).map_err(|error| DriverError::Host(error.to_string()))?;
    let number = hex(&chance);
    Ok(format!("{}{number}", lead(prefix, linode)?))
}

/// What the UUIDs of all of a Linode's starts begin with.
pub(super) fn lead(prefix: &str, linode: LinodeId) -> Result<String> {
    if !(1..=LARGEST).contains(&linode.0) {
        return Err(DriverError::Host(format!(
            "Linode {linode}: no domain can be numbered so"
        )));
    }
    let digest = blake3::hash(format!("xenbeta {prefix}").as_bytes());
    let (agent, _) = digest.as_bytes().split_at(4);
    let number = format!("{:012x}", linode.0);
    let (first, rest) = number.split_at(4);
    let (second, third) = rest.split_at(4);
    Ok(format!("{}-{first}-{second}-{third}-", hex(agent)))
}

/// The Linode whose starts have UUIDs like this one.
pub(super) fn linode_of_uuid(prefix: &str, uuid: &str) -> Option<LinodeId> {
    let number: String = uuid.split('-').skip(1).take(3).collect();
    let linode = LinodeId(i64::from_str_radix(&number, 16).ok()?);
    let lead = lead(prefix, linode).ok()?;
    uuid.starts_with(&lead).then_some(linode)
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_linodes_and_agents_apart() {
        assert_eq!(domain("xb", LinodeId(8204)), "xb-8204");
        assert_eq!(linode_of("xb", "xb-8204"), Some(LinodeId(8204)));
        for other in [
            "xb-",
            "xb-08204",
            "xb8204",
            "xc-8204",
            "xb-8204-x",
            "Domain-0",
            "(null)",
        ] {
            assert_eq!(linode_of("xb", other), None, "{other}");
        }
        let (one, two) = (
            uuid("xb", LinodeId(8204)).unwrap(),
            uuid("xb", LinodeId(8204)).unwrap(),
        );
        assert_ne!(one, two, "every start has its own");
        let lead_of = |prefix, id| lead(prefix, LinodeId(id)).unwrap();
        assert!(one.starts_with(&lead_of("xb", 8204)) && one.len() == 36);
        assert!(one.contains("-0000-0000-200c-"));
        assert_eq!(linode_of_uuid("xb", &one), Some(LinodeId(8204)));
        for other in [
            "",
            "-",
            "00000000-0000-0000-0000-000000000000",
            "00000000-0000-0000-200c-0123456789ab",
        ] {
            assert_eq!(linode_of_uuid("xb", other), None, "{other}");
        }
        assert_eq!(linode_of_uuid("xc", &one), None);
        assert!(!one.starts_with(&lead_of("xb", 820)) && !one.starts_with(&lead_of("xc", 8204)));
        // A trial's domain is no Linode's, nor the other way round.
        let trial = "xb.trial";
        assert_eq!(linode_of("xb", &domain(trial, LinodeId(8204))), None);
        assert_eq!(linode_of(trial, &domain("xb", LinodeId(8204))), None);
        assert_eq!(
            linode_of_uuid("xb", &uuid(trial, LinodeId(8204)).unwrap()),
            None
        );
        assert_eq!(linode_of_uuid(trial, &one), None);
        assert!(lead("xb", LinodeId(0)).is_err() && lead("xb", LinodeId(1 << 48)).is_err());
    }
}
