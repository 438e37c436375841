//! `nft`: every call of it there is, and what it says of the rules that are loaded.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::agent::driver::DriverError;
use crate::command::{CommandError, Said, Tool};

const LIMIT: Duration = Duration::from_secs(20);
/// A guest's rules are some 6 KiB in this form.
const LISTING_LIMIT: usize = 32 << 20;

#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The host has no `nft`: there is nothing that could be tried again.
    #[error("{0}")]
    Missing(String),
    #[error("{0}")]
    Failed(String),
}

impl From<CommandError> for NftError {
    fn from(error: CommandError) -> Self {
        match &error {
            CommandError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Self::Missing(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<NftError> for DriverError {
    fn from(error: NftError) -> Self {
        Self::Host(error.to_string())
    }
}

pub(crate) struct Nft {
    program: OsString,
}

impl Default for Nft {
    fn default() -> Self {
        Self {
            program: "nft".into(),
        }
    }
}

impl Nft {
    /// Another program that is called as `nft` is.
    #[cfg(test)]
    pub(crate) fn called(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
        }
    }

    fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> Result<Said, NftError> {
        let tool = Tool::new(&self.program).args(args).limit(LIMIT);
        Ok(tool.output_limit(LISTING_LIMIT).run()?)
    }

    /// Can rules be made here at all? Says by what.
    pub(crate) fn available(&self) -> Result<String, NftError> {
        let version = self.run(&["--version"])?;
        self.run(&["list", "tables"])?;
        Ok(version.text().trim().to_owned())
    }

    /// All of a file, or nothing of it.
    pub(crate) fn load(&self, file: &Path) -> Result<(), NftError> {
        self.run(&["-f".as_ref(), file]).map(drop)
    }

    /// Takes a table of the bridge's family away, if it is there.
    pub(crate) fn remove(&self, table: &str) -> Result<(), NftError> {
        // Adding what may be there makes deleting it an error no more.
        let text = format!("add table bridge {table}; delete table bridge {table}");
        self.run(&[text]).map(drop)
    }

    /// The chains of the bridge's family, by their tables and names.
    pub(crate) fn loaded(&self) -> Result<BTreeMap<(String, String), Chain>, NftError> {
        let said = self.run(&["-j", "list", "ruleset", "bridge"])?;
        parse(&said.stdout)
            .map_err(|error| NftError::Failed(format!("what nft lists is not understood: {error}")))
    }
}

/// What is loaded of one chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Where the kernel's packets come by it; a chain without sees none.
    pub hook: Option<String>,
    pub rules: usize,
    /// The comment of its last rule.
    pub last: Option<String>,
}

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Item>,
}

/// One of many kinds; those that are not used here have neither.
#[derive(Deserialize)]
struct Item {
    chain: Option<ChainItem>,
    rule: Option<RuleItem>,
}

#[derive(Deserialize)]
struct ChainItem {
    table: String,
    name: String,
    hook: Option<String>,
}

#[derive(Deserialize)]
struct RuleItem {
    table: String,
    chain: String,
    comment: Option<String>,
}

pub(super) fn parse(json: &[u8]) -> Result<BTreeMap<(String, String), Chain>, serde_json::Error> {
    let listing: Listing = serde_json::from_slice(json)?;
    let mut chains: BTreeMap<(String, String), Chain> = BTreeMap::new();
    for item in listing.nftables {
        if let Some(chain) = item.chain {
            chains.entry((chain.table, chain.name)).or_default().hook = chain.hook;
        }
        if let Some(rule) = item.rule {
            let chain = chains.entry((rule.table, rule.chain)).or_default();
            chain.rules += 1;
            chain.last = rule.comment;
        }
    }
    Ok(chains)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read() {
        // As nft 1.0.6 prints it.
        let chains = parse(
            br#"{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
            {"table": {"family": "bridge", "name": "xb7", "handle": 2}},
            {"chain": {"family": "bridge", "table": "xb7", "name": "from_guest", "handle": 1, "type": "filter", "hook": "prerouting", "prio": -300, "policy": "accept"}},
            {"rule": {"family": "bridge", "table": "xb7", "chain": "from_guest", "handle": 2, "expr": [{"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "xb7"}}, {"accept": null}]}},
            {"rule": {"family": "bridge", "table": "xb7", "chain": "from_guest", "handle": 3, "comment": "xenbeta 2 ab", "expr": [{"drop": null}]}},
            {"chain": {"family": "bridge", "table": "xb8", "name": "other", "handle": 1}}]}"#,
        )
        .unwrap();
        let chain = |table: &str, name: &str| chains.get(&(table.to_owned(), name.to_owned()));
        let expected = Chain {
            hook: Some("prerouting".to_owned()),
            rules: 2,
            last: Some("xenbeta 2 ab".to_owned()),
        };
        assert_eq!(chain("xb7", "from_guest"), Some(&expected));
        assert_eq!(chain("xb8", "other"), Some(&Chain::default()));
        assert!(parse(b"").is_err() && parse(br#"{"nftables": [{"ru"#).is_err());
    }

    #[test]
    fn a_host_without_it_is_not_a_host_where_it_failed() {
        let missing = Nft::called("/no-such-program").available();
        assert!(matches!(missing, Err(NftError::Missing(_))), "{missing:?}");
        let failed = Nft::called("/bin/false").available();
        assert!(matches!(failed, Err(NftError::Failed(_))), "{failed:?}");
    }
}
