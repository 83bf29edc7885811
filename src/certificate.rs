//! The public listener's certificate and key: read from files, checked before anything shows them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys};
use x509_cert::der::Decode;
use x509_cert::time::{Time, Validity};

/// A certificate that can be shown: its key is the one that belongs to it, and today it is valid.
#[derive(Clone)]
pub struct Certificate {
    /// PEM: the server's certificate first, then those between it and a root.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    pub(crate) certified: Arc<CertifiedKey>,
    validity: Validity,
    stamp: Stamp,
}

/// When both files were last written, as far as they are there.
pub type Stamp = [Option<SystemTime>; 2];

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// What is wrong with which file, and what to do.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, String> {
        let stamp = stamp(cert, key);
        let unreadable = |path: &Path, what: &str, error: pem::Error| {
            let path = path.display();
            match error {
                pem::Error::Io(error) => {
                    format!("{path} cannot be read ({error}); check the path and who may read it")
                }
                pem::Error::NoItemsFound => format!("{path} holds no {what}; it has to be PEM"),
                error => format!("{path} is no PEM ({error}); write the {what} again"),
            }
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect)
            .map_err(|error| unreadable(cert, "certificate", error))?;
        let own = chain
            .first()
            .ok_or_else(|| unreadable(cert, "certificate", pem::Error::NoItemsFound))?;
        let validity = x509_cert::Certificate::from_der(own)
            .map_err(|error| format!("{} is no certificate ({error})", cert.display()))?
            .tbs_certificate
            .validity;
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| unreadable(key, "private key", error))?;
        let certified = CertifiedKey::from_der(chain, private, &ring::default_provider());
        let certified = certified.map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                "{} is not the key of {}; name two files that belong together",
                key.display(),
                cert.display()
            ),
            error => format!(
                "{} and {} cannot be used ({error}); TLS wants an RSA, ECDSA P-256 or P-384, or Ed25519 key",
                cert.display(),
                key.display()
            ),
        })?;
        let now = SystemTime::now();
        if instant(validity.not_after) < now {
            return Err(format!("{} expired at {}; renew it", cert.display(), validity.not_after));
        }
        if instant(validity.not_before) > now {
            return Err(format!(
                "{} is not valid before {}; check this machine's clock",
                cert.display(),
                validity.not_before
            ));
        }
        let certified = Arc::new(certified);
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), certified, validity, stamp })
    }

    /// Reads both files again if they were written since; `seen` is when they were last looked at.
    pub fn renewed(&self, seen: &mut Option<Stamp>) -> Option<Result<Self, String>> {
        let now = stamp(&self.cert, &self.key);
        let known = seen.replace(now).unwrap_or(self.stamp);
        (now != known && now != self.stamp).then(|| Self::load(&self.cert, &self.key))
    }

    /// The server's own certificate, as DER.
    #[must_use]
    pub fn end_entity(&self) -> &[u8] {
        self.certified.cert.first().map_or(&[], |own| own)
    }

    /// The last instant at which it is valid.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        instant(self.validity.not_after)
    }

    /// The same as RFC 3339 has it.
    #[must_use]
    pub fn expires_text(&self) -> String {
        self.validity.not_after.to_string()
    }
}

fn stamp(cert: &Path, key: &Path) -> Stamp {
    [cert, key].map(|path| path.metadata().and_then(|file| file.modified()).ok())
}

fn instant(time: Time) -> SystemTime {
    UNIX_EPOCH + time.to_unix_duration()
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert", &self.cert).finish_non_exhaustive()
    }
}
