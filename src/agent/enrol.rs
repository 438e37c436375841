//! `xenbeta-agent enrol` and `rotate`: how a host gets its credential. The credential is a file of its own, mode 0600,
//! and is never printed.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::client::{Client, ClientError};
use super::config::{Config, StateDir};
use super::host;
use super::ledger::error::LedgerError;
use super::ledger::{Ledger, file};
use super::run::{self, RunError};
use super::transfer::Identity;
use crate::domain::ids::HostId;
use crate::wire::{Enrol, Enrolled};

/// The environment variable that may hold the one-use token.
pub const TOKEN_VARIABLE: &str = "XENBETA_ENROL_TOKEN";
const TOKEN_LIMIT: u64 = 4096;

#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Driver(#[from] super::driver::DriverError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{0}: {1}")]
    Io(String, io::Error),
    #[error("{0}")]
    Usage(String),
}

/// Who this host is to the portal; kept for people and for `check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    pub host: HostId,
    pub name: String,
    pub portal: String,
}

/// The one-use token: as given, from the environment, or else from standard input.
pub fn token(given: Option<String>) -> Result<String, EnrolError> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a secret for one command, documented with it"
    )]
    let from_environment = || std::env::var(TOKEN_VARIABLE).ok();
    let text = if let Some(text) = given.filter(|text| text != "-").or_else(from_environment) {
        text
    } else {
        let mut text = String::new();
        io::stdin()
            .take(TOKEN_LIMIT)
            .read_to_string(&mut text)
            .map_err(|error| EnrolError::Io("standard input".into(), error))?;
        text
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(EnrolError::Usage(
            "no enrolment token: give --token, the environment, or standard input".into(),
        ));
    }
    Ok(text.to_owned())
}

/// Trades the token for a credential. `again`: replace the credential this host already has.
pub fn enrol(config: &Config, token: String, again: bool) -> Result<HostIdentity, EnrolError> {
    let state = config.state();
    let _lock = run::lock(&state)?;
    if state.credential().exists() && !again {
        return Err(EnrolError::Usage(format!(
            "this host is enrolled already ({}); use --again to enrol it anew",
            state.credential().display()
        )));
    }
    let identity = Identity::load_or_create(&state.0)
        .map_err(|error| EnrolError::Io(state.0.display().to_string(), error))?;
    let client = Client::new(&config.portal, config.portal_ca.as_deref(), None)?;
    let enrolled = client.enrol(&Enrol {
        token,
        platform: host::driver(config)?.platform(),
        agent_version: env!("CARGO_PKG_VERSION").into(),
        fingerprint: identity.fingerprint().to_owned(),
        transfer_address: config.transfer.advertised().to_owned(),
        ledger: Ledger::open(&state.ledger())?.mark(),
    })?;
    keep(&state, &config.portal, &enrolled)
}

fn keep(state: &StateDir, portal: &str, enrolled: &Enrolled) -> Result<HostIdentity, EnrolError> {
    let failed = |error| EnrolError::Io(state.0.display().to_string(), error);
    let identity = HostIdentity {
        host: enrolled.host,
        name: enrolled.name.clone(),
        portal: portal.to_owned(),
    };
    let text = serde_json::to_vec_pretty(&identity).map_err(|error| failed(error.into()))?;
    file::replace(&state.0, StateDir::IDENTITY, &text).map_err(failed)?;
    file::replace(
        &state.0,
        StateDir::CREDENTIAL,
        enrolled.credential.as_bytes(),
    )
    .map_err(failed)?;
    Ok(identity)
}

/// Replaces the credential. A running agent goes on with the old one until it is refused, and then reads the new one.
pub fn rotate(config: &Config) -> Result<(), EnrolError> {
    let state = config.state();
    let rotated = run::client(config)?.rotate()?;
    file::replace(
        &state.0,
        StateDir::CREDENTIAL,
        rotated.credential.as_bytes(),
    )
    .map_err(|error| EnrolError::Io(state.0.display().to_string(), error))
}
