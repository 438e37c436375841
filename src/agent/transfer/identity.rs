//! An agent's key and self-signed certificate. Nobody signs it: the portal tells each end the other's fingerprint.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{Certificate, CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::ring as provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Certificate (DER) and key (PKCS #8 DER) in one file, so that they cannot be of two ages.
const FILE: &str = "transfer.identity";
/// A certificate and a P-256 key are under a kilobyte together.
const MAX: u64 = 64 * 1024;

pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    fingerprint: String,
}

impl Identity {
    /// The identity kept in `state_dir` (mode 0600), made on the first run.
    pub fn load_or_create(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(FILE);
        match std::fs::File::open(&path) {
            Ok(file) => Self::parse(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::create(state_dir),
            Err(e) => Err(e),
        }
    }

    /// SHA-256 of the certificate's DER, 64 lower-case hex digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    fn create(state_dir: &Path) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(io::Error::other)?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "xenbeta agent");
        params.distinguished_name = name;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let this = Self::of(&certificate, &key);
        let mut text = Vec::new();
        for part in [this.certificate.as_ref(), this.key.secret_der()] {
            let len = u32::try_from(part.len()).map_err(io::Error::other)?;
            text.extend_from_slice(&len.to_be_bytes());
            text.extend_from_slice(part);
        }
        let fresh = state_dir.join(format!("{FILE}.new"));
        let _ = std::fs::remove_file(&fresh);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&fresh, state_dir.join(FILE))?;
        std::fs::File::open(state_dir)?.sync_all()?;
        Ok(this)
    }

    pub(super) fn of(certificate: &Certificate, key: &KeyPair) -> Self {
        Self::new(
            certificate.der().clone(),
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
    }

    fn new(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Self {
        Self {
            fingerprint: self::fingerprint(&certificate),
            certificate,
            key,
        }
    }

    pub(super) fn parse(from: impl Read) -> io::Result<Self> {
        let mut from = from.take(MAX);
        let mut part = || -> io::Result<Vec<u8>> {
            let mut len = [0; 4];
            from.read_exact(&mut len)?;
            let mut part = vec![
                0;
                usize::try_from(u32::from_be_bytes(len))
                    .unwrap_or(0)
                    .min(64 * 1024)
            ];
            from.read_exact(&mut part)?;
            Ok(part)
        };
        let certificate = CertificateDer::from(part()?);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(part()?));
        Ok(Self::new(certificate, key))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// SHA-256 of a certificate's DER, 64 lower-case hex digits.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let suite = provider::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let digest = suite
        .tls13()
        .map(|tls13| tls13.common.hash_provider.hash(certificate));
    digest
        .map(|digest| data_encoding::HEXLOWER.encode(digest.as_ref()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let one = Identity::load_or_create(dir.path()).unwrap();
        let again = Identity::load_or_create(dir.path()).unwrap();
        assert_eq!(one.fingerprint(), again.fingerprint());
        assert_eq!(one.fingerprint().len(), 64);
        let bits = std::fs::metadata(dir.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(bits & 0o777, 0o600);
        assert!(!format!("{one:?}").contains("key"));
    }
}
