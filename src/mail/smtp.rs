//! Mail to a server, over lettre: a small pool of connections, each step with a time limit.

use std::net::IpAddr;
use std::time::Duration;

use lettre::Transport as _;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{self, PoolConfig};

use super::{Message, SendError, SetupError, Transport, mime};
use crate::string_enum;

/// Connections kept to the server at most.
const POOL: u32 = 4;
/// An idle connection is closed after this; servers drop them after a few minutes.
const IDLE: Duration = Duration::from_secs(45);

string_enum! {
    /// How the connection to the mail server is protected.
    pub enum SmtpSecurity {
        /// TLS from the first byte (port 465).
        Tls = "tls",
        /// Plain, then upgraded before anything else is said (port 587); refused if the server can not.
        StartTls = "starttls",
        /// Not at all (port 25 of this machine, or a trusted network).
        Plain = "plain",
    }
}

#[derive(Clone)]
pub struct SmtpSettings {
    pub host: String,
    /// The usual one of `security` if not given.
    pub port: Option<u16>,
    pub security: SmtpSecurity,
    pub username: Option<String>,
    pub password: Option<String>,
    /// A PEM file's contents, for a server whose certificate no public authority signed.
    pub root_certificate: Option<Vec<u8>>,
    /// For each step: connect, and each command.
    pub timeout: Duration,
    /// Name or address to send as: `Xen beta <beta@example.com>`.
    pub from: String,
    /// What this machine calls itself to the server; its host name if not given.
    pub hello_name: Option<String>,
}

impl std::fmt::Debug for SmtpSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpSettings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

pub struct SmtpTransport {
    inner: lettre::SmtpTransport,
    from: Mailbox,
}

impl SmtpTransport {
    /// Checks the settings; connects only when there is something to send.
    ///
    /// # Errors
    /// For a sender that is no address, a certificate that can not be read, or a password that would travel in clear.
    pub fn new(settings: &SmtpSettings) -> Result<Self, SetupError> {
        let problem = |problem: String| SetupError::Smtp {
            host: settings.host.clone(),
            problem,
        };
        let from = mime::sender(&settings.from)?;
        let tls = protection(settings).map_err(problem)?;
        let port = settings.port.unwrap_or(match settings.security {
            SmtpSecurity::Tls => 465,
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::Plain => 25,
        });
        let mut builder = lettre::SmtpTransport::builder_dangerous(&settings.host)
            .port(port)
            .tls(tls)
            .timeout(Some(settings.timeout))
            .pool_config(PoolConfig::new().max_size(POOL).idle_timeout(IDLE));
        if let Some(name) = &settings.hello_name {
            builder = builder.hello_name(ClientId::Domain(name.clone()));
        }
        match (&settings.username, &settings.password) {
            (Some(user), Some(password)) => {
                builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
            }
            (None, None) => {}
            (Some(_), None) => return Err(problem("a user name without a password".to_owned())),
            (None, Some(_)) => return Err(problem("a password without a user name".to_owned())),
        }
        Ok(Self {
            inner: builder.build(),
            from,
        })
    }
}

fn protection(settings: &SmtpSettings) -> Result<Tls, String> {
    if settings.security == SmtpSecurity::Plain {
        if settings.password.is_some() && !is_loopback(&settings.host) {
            return Err("refusing to send a password in clear; use tls or starttls".to_owned());
        }
        return Ok(Tls::None);
    }
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(pem) = &settings.root_certificate {
        let certificate = Certificate::from_pem(pem).map_err(|e| e.to_string())?;
        builder = builder.add_root_certificate(certificate);
    }
    let parameters = builder.build().map_err(|e| e.to_string())?;
    Ok(match settings.security {
        SmtpSecurity::Tls => Tls::Wrapper(parameters),
        SmtpSecurity::StartTls | SmtpSecurity::Plain => Tls::Required(parameters),
    })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Transport for SmtpTransport {
    fn send(&self, message: &Message) -> Result<(), SendError> {
        let mail = mime::build(&self.from, message)?;
        match self.inner.send(&mail) {
            Ok(_) => Ok(()),
            Err(error) => Err(classify(&error)),
        }
    }
}

/// Only the server's own "no" to this mail is final. A "no" to our credentials is the operator's to mend, and the mail waits.
fn classify(error: &smtp::Error) -> SendError {
    let code = error.status().map(|code| code.to_string());
    let text = source_chain(error);
    match code.as_deref() {
        Some("530" | "534" | "535" | "538") => SendError::Temporary(text),
        Some(_) if error.is_permanent() => SendError::Permanent(text),
        _ => SendError::Temporary(text),
    }
}

fn source_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    super::one_line(&text)
}
