//! TLS 1.2 and 1.3 by rustls: HTTP/2 or HTTP/1.1 as ALPN says, the certificate exchanged at run time.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::rustls::crypto::ring::{Ticketer, default_provider};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, ServerConfig};

use crate::certificate::Certificate;

/// What makes connections secure. Every cipher suite of it has forward secrecy.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

#[derive(Debug)]
struct Shown(ArcSwap<Certificate>);

impl Tls {
    /// Shows this certificate, for now.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(certificate: Certificate) -> Result<Self, Error> {
        let shown = Arc::new(Shown(ArcSwap::from_pointee(certificate)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Players come back by the thousand: what a session needs is kept by them, not here.
        config.ticketer = Ticketer::new()?;
        Ok(Self { config: Arc::new(config), shown })
    }

    /// The certificate that is shown.
    #[must_use]
    pub fn certificate(&self) -> Arc<Certificate> {
        self.shown.0.load_full()
    }

    /// Shows another certificate from now on; connections that are there stay.
    pub fn show(&self, certificate: Certificate) {
        self.shown.0.store(Arc::new(certificate));
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }
}
