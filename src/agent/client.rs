//! The agent's side of the calls in `wire`: JSON over HTTP(S) with time limits and bounded answers. No redirects, no
//! proxy from the environment: the credential goes to the portal of the configuration and nowhere else.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::domain::ids::{JobId, MigrationId};
use crate::domain::text::line;
use crate::wire::{
    Enrol, Enrolled, Finish, Finished, Inventory, Poll, PollAnswer, Renew, Renewed, Reported,
    Rotated, Samples, SealedDigests,
};

/// How long an ordinary call may take. A renewal that takes longer than this is late anyway.
const CALL: Duration = Duration::from_secs(8);
/// How much longer than `wait_s` a poll may take.
const POLL_EXTRA: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: u64 = 4 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// 401: the credential is revoked or was never valid.
    #[error("the portal refuses this agent's credential: {0}")]
    Revoked(String),
    /// 409: another attempt or lease is current.
    #[error("stale: {0}")]
    Stale(String),
    /// Any other 4xx: asking again will not help.
    #[error("the portal answered {status}: {text}")]
    Refused { status: u16, text: String },
    /// Not reached, timed out, or a 5xx: ask again later.
    #[error("the portal cannot be reached: {0}")]
    Away(String),
    #[error("{0}")]
    Setup(String),
}

/// A bearer credential; its text stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

impl Credential {
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Shared by all threads.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    portal: String,
    credential: Arc<RwLock<Option<Credential>>>,
}

impl Client {
    /// `ca`: a PEM file with the authorities to trust instead of the public ones.
    pub fn new(
        portal: &str,
        ca: Option<&Path>,
        credential: Option<Credential>,
    ) -> Result<Self, ClientError> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = ca {
            tls = tls.root_certs(authorities(path)?);
        }
        let agent = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_connect(Some(Duration::from_secs(5)))
            // Shorter than portals keep idle connections, so that none is found closed.
            .max_idle_age(Duration::from_secs(3))
            .user_agent(concat!("xenbeta-agent/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            portal: portal.trim_end_matches('/').to_owned(),
            credential: Arc::new(RwLock::new(credential)),
        })
    }

    /// Uses another credential from now on, in all threads. `false`: it is the one in use.
    pub fn change(&self, credential: Credential) -> bool {
        let mut current = self
            .credential
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let changed = current.as_ref() != Some(&credential);
        *current = Some(credential);
        changed
    }

    pub fn enrol(&self, enrol: &Enrol) -> Result<Enrolled, ClientError> {
        self.call("enrol", enrol, CALL)
    }

    pub fn poll(&self, poll: &Poll) -> Result<PollAnswer, ClientError> {
        let limit = Duration::from_secs(u64::from(poll.wait_s)) + POLL_EXTRA;
        self.call("poll", poll, limit)
    }

    pub fn report(&self, inventory: &Inventory) -> Result<Reported, ClientError> {
        self.call("report", inventory, CALL)
    }

    /// What guests used.
    pub fn samples(&self, samples: &Samples) -> Result<Reported, ClientError> {
        self.call("samples", samples, CALL)
    }

    pub fn renew(&self, job: JobId, renew: &Renew) -> Result<Renewed, ClientError> {
        self.call(&format!("jobs/{job}/renew"), renew, CALL)
    }

    pub fn finish(&self, job: JobId, finish: &Finish) -> Result<Finished, ClientError> {
        self.call(&format!("jobs/{job}/finish"), finish, CALL)
    }

    pub fn digests(
        &self,
        migration: MigrationId,
        digests: &SealedDigests,
    ) -> Result<(), ClientError> {
        self.call::<_, serde_json::Value>(&format!("transfers/{migration}/digests"), digests, CALL)
            .map(|_| ())
    }

    pub fn rotate(&self) -> Result<Rotated, ClientError> {
        self.call("credential/rotate", &serde_json::json!({}), CALL)
    }

    /// Is this agent's credential accepted? Asked by renewing a job that cannot be: nothing is changed by it.
    pub fn accepted(&self) -> Result<(), ClientError> {
        let nothing = Renew {
            attempt: 0,
            lease_token: String::new(),
            progress: None,
            console: None,
        };
        match self.renew(JobId(0), &nothing) {
            Ok(_) | Err(ClientError::Stale(_) | ClientError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn call<B: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        limit: Duration,
    ) -> Result<A, ClientError> {
        let away = |error: ureq::Error| ClientError::Away(error.to_string());
        let mut request = self
            .agent
            .post(format!("{}/agent/v1/{path}", self.portal))
            .config()
            .timeout_global(Some(limit))
            .build();
        let credential = self
            .credential
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(Credential(credential)) = credential {
            request = request.header("Authorization", format!("Bearer {credential}"));
        }
        let mut response = request.send_json(body).map_err(away)?;
        let status = response.status().as_u16();
        let bytes = response
            .body_mut()
            .with_config()
            .limit(ANSWER_LIMIT)
            .read_to_vec()
            .map_err(away)?;
        match status {
            200..=299 => serde_json::from_slice(&bytes).map_err(|error| {
                ClientError::Away(format!("{path}: an answer that is not understood: {error}"))
            }),
            401 => Err(ClientError::Revoked(error_text(&bytes))),
            409 => Err(ClientError::Stale(error_text(&bytes))),
            408 | 425 | 429 | 500.. => Err(ClientError::Away(format!(
                "{path}: {status}: {}",
                error_text(&bytes)
            ))),
            _ => Err(ClientError::Refused {
                status,
                text: error_text(&bytes),
            }),
        }
    }
}

/// The `error` of an error's body, or the beginning of whatever else was sent.
pub(super) fn error_text(bytes: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        error: String,
    }
    match serde_json::from_slice::<Body>(bytes) {
        Ok(body) => line(&body.error, 1000),
        Err(_) => line(&String::from_utf8_lossy(bytes), 200),
    }
}

fn authorities(path: &Path) -> Result<RootCerts, ClientError> {
    let setup = |message: String| {
        ClientError::Setup(format!(
            "the portal's CA file {}: {message}",
            path.display()
        ))
    };
    let pem = fs::read(path).map_err(|error| setup(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| setup(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(setup("there is no certificate in it".into()));
    }
    Ok(RootCerts::from(certificates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_readable_line_whoever_answers() {
        for (said, read) in [
            (r#"{"error":"revoked"}"#, "revoked"),
            (r#"{"error":"a\u001b[2J\nb\u202e"}"#, "a[2Jb"),
            ("<html>\r\n\u{202e}502", "<html>502"),
        ] {
            assert_eq!(error_text(said.as_bytes()), read);
        }
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(5000));
        assert_eq!(error_text(long.as_bytes()).len(), 1000);
    }
}
