//! The portal's program itself, for tests and benches that look at it from outside.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::browser::Site;
use crate::support::port::free_address;
use crate::support::{SECRET, TestApp, memory_kib};

/// Until it is dropped.
pub struct Served {
    child: Child,
    pub address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Served {
    /// `more`: of the configuration.
    pub fn start(app: &TestApp, more: &str) -> Self {
        Self::program(env!("CARGO_BIN_EXE_xenbeta"), &app.url, more)
    }

    /// Another build of it.
    pub fn program(program: &str, database: &str, more: &str) -> Self {
        Self::by(|folder, address| {
            let mut command = Command::new(program);
            command
                .args(["serve", "--config"])
                .arg(config(folder, address, more));
            command.env("DATABASE_URL", database);
            command
        })
    }

    /// By a command that becomes the program, told of a folder of its own and of where to listen.
    pub fn by(command: impl FnOnce(&Path, SocketAddr) -> Command) -> Self {
        let (address, folder) = (free_address(), tempfile::tempdir().unwrap());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = command(folder.path(), address)
            .env("XENBETA_SECRET", SECRET)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let served = Self {
            child,
            address,
            folder,
        };
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < until, "{}", served.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        served
    }

    pub fn site(&self) -> Site {
        Site {
            base: format!("http://{}", self.address),
            serves: None,
        }
    }

    /// In KiB: what it has, and the most that it ever had.
    pub fn memory(&self) -> [u64; 2] {
        memory_kib(self.pid()).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From one of this machine's addresses.
pub fn connect_from(from: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::from((from, 0)))?;
    connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

/// A file with it.
pub fn config(folder: &Path, address: SocketAddr, more: &str) -> PathBuf {
    let config = folder.join("portal.toml");
    std::fs::write(&config, format!("listen = \"{address}\"\n{more}\n")).unwrap();
    config
}

/// What its own TLS listener needs, and those who connect to it.
#[cfg(feature = "agent")]
pub mod tls {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    pub struct Certificate {
        certificate: CertificateDer<'static>,
        folder: tempfile::TempDir,
    }

    impl Certificate {
        pub fn of_localhost() -> Self {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("crt"), certificate.pem()).unwrap();
            let pem = folder.path().join("key");
            std::fs::write(&pem, key.serialize_pem()).unwrap();
            std::fs::set_permissions(&pem, std::fs::Permissions::from_mode(0o600)).unwrap();
            Self {
                certificate: certificate.der().clone(),
                folder,
            }
        }

        /// Of the portal's configuration.
        pub fn config(&self) -> String {
            let at = |name| self.folder.path().join(name);
            format!(
                "base_url = \"https://localhost\"\n[tls]\ncertificate = {:?}\nkey = {:?}",
                at("crt"),
                at("key")
            )
        }

        /// Somebody who connects, by one of these protocols.
        pub fn client(&self, alpn: &[&str]) -> ClientConnection {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.clone()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
            let name = ServerName::try_from("localhost").unwrap();
            ClientConnection::new(Arc::new(config), name).unwrap()
        }
    }
}
