//! The portal's configuration: a TOML file, and the environment for secrets. Unknown keys are refused.

use std::fs::Permissions;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::app::account::password::Hasher;
use crate::app::clock::Clock;
use crate::app::doors::Doors;
use crate::app::secrets::Secret;
use crate::app::{App, Settings};
use crate::domain::second_factor::Policy;
use crate::domain::values::Email;
use crate::log;
use crate::mail::{FolderTransport, SmtpSecurity, SmtpSettings, SmtpTransport, Transport};
use crate::store::backup::without_password;
use crate::store::db::{Database, Target};

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    #[error("{0}: {1}")]
    Syntax(PathBuf, String),
    #[error("{0}")]
    Wrong(String),
}

fn fault(error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Wrong(error.to_string())
}

fn wrong<T>(text: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Wrong(text.into()))
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// How people reach the portal, `https://lpm.example.net`; for links in mails and the check of where forms come from.
    pub base_url: Option<String>,
    /// A file for SQLite, or `postgres://…`; the environment's `DATABASE_URL` goes first, as it may hold a password.
    pub database_url: Option<String>,
    #[serde(default = "default_connections")]
    pub database_connections: u32,
    /// A file with 32 random characters or more; or the environment's `XENBETA_SECRET`.
    pub secret_file: Option<PathBuf>,
    #[serde(default)]
    pub trusted_proxies: Vec<IpAddr>,
    pub tls: Option<Tls>,
    #[serde(default)]
    pub mail: Mail,
    #[serde(default = "default_name")]
    pub programme_name: String,
    /// Who gets the audit trail's head by mail, once a day.
    #[serde(default)]
    pub audit_head_to: Vec<String>,
    /// Do staff have to have a second factor?
    #[serde(default = "default_second_factor")]
    pub second_factor: Policy,
    /// Whoever showed longer ago who they are is asked again, before what changes members' servers or who gets in.
    #[serde(default = "default_ask_again")]
    pub ask_again_min: u32,
    #[serde(default)]
    pub log: log::Format,
}

/// The certificate chain and its key, as PEM files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(tag = "transport", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mail {
    /// Mail stays in the outbox.
    #[default]
    None,
    /// One `.eml` file a mail.
    Folder { folder: PathBuf, from: String },
    Smtp {
        host: String,
        port: Option<u16>,
        security: SmtpSecurity,
        from: String,
        username: Option<String>,
        /// Or the environment's `XENBETA_SMTP_PASSWORD`.
        password_file: Option<PathBuf>,
        root_certificate: Option<PathBuf>,
    },
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn default_connections() -> u32 {
    8
}

fn default_second_factor() -> Policy {
    Policy::Required
}

fn default_ask_again() -> u32 {
    60
}

fn default_name() -> String {
    "Xen Public Beta".to_owned()
}

/// Secrets, and only they, come from the environment.
#[allow(clippy::disallowed_methods, reason = "this is the environment's home")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::File(path.to_owned(), error))
}

/// Whatever this program writes is its user's alone, unless it is said otherwise where it is written.
pub fn keep_private() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// A file with a secret in it is not everybody's to read; a group's it may be, as packages do it.
fn check_private(path: &Path) -> Result<(), ConfigError> {
    let meta =
        std::fs::metadata(path).map_err(|error| ConfigError::File(path.to_owned(), error))?;
    if meta.is_file() && meta.permissions().mode() & 0o007 != 0 {
        let path = path.display();
        return wrong(format!(
            "{path} holds a secret and can be read by everybody: chmod o= {path}"
        ));
    }
    Ok(())
}

fn read_secret(path: &Path) -> Result<String, ConfigError> {
    check_private(path)?;
    read(path)
}

/// The host of a base URL, without its port.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or(inner),
        None => rest.split(':').next().unwrap_or(rest),
    }
}

/// May anybody between here and there be a stranger? Not on this machine, nor where addresses or names are of one's own
/// network.
fn is_public(host: &str) -> bool {
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => {
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_documentation())
        }
        Ok(IpAddr::V6(ip)) => {
            !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
        Err(_) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            let own = ["localhost", "local", "internal", "lan", "test", "home.arpa"];
            host.contains('.')
                && !own.iter().any(|tail| {
                    host.strip_suffix(tail)
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                })
        }
    }
}

/// Any text, for `crate::fuzz`.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(config) = toml::from_str::<Config>(&String::from_utf8_lossy(bytes))
        && config.check().is_ok()
    {
        assert!(config.base_url().starts_with("http"));
        assert!(config.mail_from().contains('@') && !config.mail_domain().contains('@'));
    }
}

impl Config {
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(&read(path)?)
            .map_err(|error| ConfigError::Syntax(path.to_owned(), error.to_string()))?;
        config.check()?;
        let url = config.database_url.as_deref();
        if url.is_some_and(|url| without_password(url).1.is_some()) {
            check_private(path)?;
        }
        if let Some(tls) = &config.tls
            && tls.key.exists()
        {
            check_private(&tls.key)?;
        }
        Ok(config)
    }

    /// With nothing but the environment: enough for commands that only need the database.
    #[must_use]
    pub fn bare() -> Self {
        Self {
            listen: default_listen(),
            base_url: None,
            database_url: None,
            database_connections: 2,
            secret_file: None,
            trusted_proxies: Vec::new(),
            tls: None,
            mail: Mail::None,
            programme_name: default_name(),
            audit_head_to: Vec::new(),
            second_factor: default_second_factor(),
            ask_again_min: default_ask_again(),
            log: log::Format::default(),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        if let Some(url) = &self.base_url {
            let rest = url
                .strip_prefix("https://")
                .or_else(|| url.strip_prefix("http://"));
            if rest.is_none_or(|rest| rest.is_empty() || rest.contains('/')) {
                return wrong(format!(
                    "base_url: {url:?} must be a scheme and a host, like https://lpm.example.net"
                ));
            }
            let host = host_of(url);
            if url.starts_with("http://") && is_public(host) {
                return wrong(format!(
                    "base_url: {url:?} is not encrypted, and {host} is a public name: passwords and session cookies could be read on their way. Serve it by [tls] or behind a proxy with TLS, and write https://{host}"
                ));
            }
        } else if !self.listen.ip().is_loopback() {
            return wrong("base_url is needed unless the portal listens on loopback only");
        }
        if !(1..=500).contains(&self.database_connections) {
            return wrong("database_connections: 1 to 500");
        }
        if !(5..=1440).contains(&self.ask_again_min) {
            return wrong("ask_again_min: 5 to 1440");
        }
        for address in &self.audit_head_to {
            if Email::parse(address).is_err() {
                return wrong(format!(
                    "audit_head_to: {address:?} is not an e-mail address"
                ));
            }
        }
        Ok(())
    }

    pub fn database_url(&self) -> Result<String, ConfigError> {
        environment("DATABASE_URL").or_else(|| self.database_url.clone()).map_or_else(
            || wrong("no database: set DATABASE_URL, or database_url in the configuration (a file, or postgres://…)"),
            Ok,
        )
    }

    /// An SQLite database is one portal's, and nobody else's while it is put back: held as long as the file lives. Several
    /// portals may share a PostgreSQL, which needs none.
    pub fn lock_database(&self) -> Result<Option<std::fs::File>, ConfigError> {
        let url = self.database_url()?;
        let Ok(Target::Sqlite(path)) = Target::parse(&url) else {
            return Ok(None);
        };
        let lock = format!("{path}.lock");
        let named = |error: std::io::Error| ConfigError::Wrong(format!("{lock}: {error}"));
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock)
            .map_err(named)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => {
                wrong(format!("a portal serves {path} already: stop it first"))
            }
            Err(std::fs::TryLockError::Error(error)) => Err(named(error)),
        }
    }

    pub fn secret(&self) -> Result<Secret, ConfigError> {
        let text = match (environment("XENBETA_SECRET"), &self.secret_file) {
            (Some(text), _) => text,
            (None, Some(file)) => read_secret(file)?,
            (None, None) => {
                return wrong("no secret: set secret_file in the configuration, or XENBETA_SECRET");
            }
        };
        Secret::from_text(&text).map_err(|error| ConfigError::Wrong(error.to_string()))
    }

    #[must_use]
    pub fn base_url(&self) -> String {
        self.base_url
            .clone()
            .unwrap_or_else(|| format!("http://{}", self.listen))
    }

    /// The use cases over this configuration's database.
    pub fn app(&self, secret: Secret) -> Result<App, ConfigError> {
        let database =
            crate::store::schema_migrations::open(&self.database_url()?, self.database_connections);
        self.app_over(database.map_err(|error| fault(&error))?, secret)
    }

    /// What is in an SQLite database is nobody else's to read. Those of before were made as the process's umask had it.
    pub fn close_database(&self) -> Result<(), ConfigError> {
        let url = self.database_url()?;
        let Ok(Target::Sqlite(path)) = Target::parse(&url) else {
            return Ok(());
        };
        for path in ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{path}{end}"))) {
            let Ok(meta) = std::fs::metadata(&path) else {
                continue;
            };
            if meta.permissions().mode() & 0o077 != 0 {
                std::fs::set_permissions(&path, Permissions::from_mode(0o600))
                    .map_err(|error| ConfigError::File(path.clone(), error))?;
                tracing::info!(path = %path.display(), "others could read it: closed to them");
            }
        }
        Ok(())
    }

    /// The same over another database, which is to take this one's place.
    pub fn app_over(&self, db: Database, secret: Secret) -> Result<App, ConfigError> {
        let app = App {
            db,
            clock: Clock::System.of_servers(),
            watch: crate::app::clock::Watch::default(),
            secret: Arc::new(secret),
            settings: Arc::new(Settings {
                base_url: self.base_url(),
                programme_name: self.programme_name.clone(),
                mail_from: self.mail_from(),
                audit_head_to: self.audit_head_to.clone(),
                second_factor: self.second_factor,
                proof_s: i64::from(self.ask_again_min) * 60,
                ..Settings::default()
            }),
            hasher: Arc::new(Hasher::new().map_err(|error| fault(&error))?),
            doors: Arc::new(Doors::new(&Clock::System)),
        };
        app.keep_servers_time().map_err(|error| fault(&error))?;
        Ok(app)
    }

    /// The way mail leaves; `None` if it does not.
    pub fn mail_transport(&self) -> Result<Option<Box<dyn Transport>>, ConfigError> {
        let setup = |error: &dyn std::fmt::Display| ConfigError::Wrong(format!("mail: {error}"));
        Ok(match &self.mail {
            Mail::None => None,
            Mail::Folder { folder, from } => Some(Box::new(
                FolderTransport::new(folder, from).map_err(|error| setup(&error))?,
            )),
            Mail::Smtp {
                host,
                port,
                security,
                from,
                username,
                password_file,
                root_certificate,
            } => {
                let password = match (environment("XENBETA_SMTP_PASSWORD"), password_file) {
                    (Some(password), _) => Some(password),
                    (None, Some(file)) => Some(read_secret(file)?.trim_end().to_owned()),
                    (None, None) => None,
                };
                let settings = SmtpSettings {
                    host: host.clone(),
                    port: *port,
                    security: *security,
                    username: username.clone(),
                    password,
                    root_certificate: root_certificate
                        .as_deref()
                        .map(|path| read(path).map(String::into_bytes))
                        .transpose()?,
                    timeout: Duration::from_secs(20),
                    from: from.clone(),
                    hello_name: None,
                };
                Some(Box::new(
                    SmtpTransport::new(&settings).map_err(|error| setup(&error))?,
                ))
            }
        })
    }

    /// The sender's bare address; of a portal that sends no mail, one that does not exist.
    fn mail_from(&self) -> String {
        let from = match &self.mail {
            Mail::None => "",
            Mail::Folder { from, .. } | Mail::Smtp { from, .. } => from.as_str(),
        };
        let bare = from.rsplit('<').next().unwrap_or("");
        match bare.trim_end_matches('>').trim() {
            bare if bare.contains('@') && !bare.ends_with('@') => bare.to_owned(),
            _ => "portal@localhost".to_owned(),
        }
    }

    /// The part of the sender's address after the `@`, for Message-IDs.
    #[must_use]
    pub fn mail_domain(&self) -> String {
        let from = self.mail_from();
        from.rsplit('@').next().unwrap_or("localhost").to_owned()
    }
}
