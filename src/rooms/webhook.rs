//! A message to a server elsewhere: signed as Standard Webhooks has it, and sent only to an address that
//! was looked at first, so that nobody reaches what is behind this server through it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::{Position, Url};

/// The longest answer.
const MOST_BYTES: usize = 4 << 10;

/// An address prefix and its length.
pub(super) type Network = (IpAddr, u8);

/// Where messages go.
pub(super) struct Webhook {
    url: Url,
    host: String,
    secret: Vec<u8>,
    /// Networks that may be reached although they are not public; these alone without TLS.
    networks: Vec<Network>,
    tls: TlsConnector,
}

impl Webhook {
    /// Sends to `url`, signed with `secret`.
    ///
    /// # Errors
    /// The address names no host.
    pub(super) fn new(url: &str, secret: &[u8], networks: &[Network]) -> Result<Self> {
        let url = Url::parse(url).context("the moderator's address")?;
        let host = url.host_str().context("the moderator's address names no host")?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (secret, networks) = (secret.to_vec(), networks.to_vec());
        Ok(Self { url, host, secret, networks, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Sends one message, named `id`, at `now` (Unix seconds); answers what came back. A redirect is a
    /// failure like any other: what it leads to was not looked at.
    pub(super) async fn send(&self, id: &str, now: u64, body: String) -> Result<Bytes> {
        let port = self.url.port_or_known_default().unwrap_or(443);
        let secure = self.url.scheme() == "https";
        let found = lookup_host((self.host.as_str(), port)).await.context("its name")?;
        let address = self.choose(found, secure)?;
        let request = Request::post(&self.url[Position::BeforePath..Position::AfterQuery])
            .header(HOST, &self.url[Position::BeforeHost..Position::AfterPort])
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature(&self.secret, id, now, &body))
            .body(Full::new(Bytes::from(body)))?;
        // To this very address: a name may stand for another one a moment later.
        let stream = TcpStream::connect(address).await.context("no connection")?;
        stream.set_nodelay(true)?;
        if secure {
            let name = ServerName::try_from(self.host.clone())?;
            exchange(self.tls.connect(name, stream).await.context("TLS")?, request).await
        } else {
            exchange(stream, request).await
        }
    }

    fn choose(
        &self,
        mut found: impl Iterator<Item = SocketAddr>,
        secure: bool,
    ) -> Result<SocketAddr> {
        let listed = |ip| self.networks.iter().any(|network| holds(*network, ip));
        let allowed =
            |address: &SocketAddr| listed(address.ip()) || (secure && is_public(address.ip()));
        found.find(allowed).ok_or_else(|| {
            let host = &self.host;
            anyhow!("{host} has no public address; list its network in [http] webhook_networks")
        })
    }
}

async fn exchange<S>(io: S, request: Request<Full<Bytes>>) -> Result<Bytes>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    // It ends with the sender, or when whoever waits for it stops waiting.
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        if status != StatusCode::OK {
            bail!("it answered {status}");
        }
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        Ok(body.map_err(|_| anyhow!("its answer is too long, or was cut off"))?.to_bytes())
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

/// Standard Webhooks, symmetric: `v1,` and HMAC-SHA256 of `ID.TIMESTAMP.BODY`.
fn signature(secret: &[u8], id: &str, now: u64, body: &str) -> String {
    let signed = Hmac::<Sha256>::new_from_slice(secret).map(|mut mac| {
        mac.update(format!("{id}.{now}.{body}").as_bytes());
        mac.finalize().into_bytes()
    });
    // A key of any length is one.
    signed.map(|signed| format!("v1,{}", STANDARD.encode(signed))).unwrap_or_default()
}

/// Whether a network has this address in it.
fn holds((prefix, bits): Network, ip: IpAddr) -> bool {
    let same = |a: u128, b: u128, all: u32| {
        let rest = all.saturating_sub(u32::from(bits));
        a.checked_shr(rest).unwrap_or(0) == b.checked_shr(rest).unwrap_or(0)
    };
    match (prefix, ip) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

/// Whether an address is one of the public Internet (IANA's registries of special-purpose addresses): not
/// of this machine, of a local network, of a cloud's metadata, nor one that stands for another.
fn is_public(ip: IpAddr) -> bool {
    let v4 = |a, b, c, d, bits| (IpAddr::from(Ipv4Addr::new(a, b, c, d)), bits);
    match ip {
        IpAddr::V4(_) => ![
            v4(0, 0, 0, 0, 8),
            v4(10, 0, 0, 0, 8),
            v4(100, 64, 0, 0, 10),
            v4(127, 0, 0, 0, 8),
            v4(169, 254, 0, 0, 16),
            v4(172, 16, 0, 0, 12),
            v4(192, 0, 0, 0, 24),
            v4(192, 0, 2, 0, 24),
            v4(192, 88, 99, 0, 24),
            v4(192, 168, 0, 0, 16),
            v4(198, 18, 0, 0, 15),
            v4(198, 51, 100, 0, 24),
            v4(203, 0, 113, 0, 24),
            v4(224, 0, 0, 0, 3),
        ]
        .into_iter()
        .any(|network| holds(network, ip)),
        // Only 2000::/3 is given out; of it 2001::/23, 2001:db8::/32 and 2002::/16 are not hosts.
        IpAddr::V6(_) => {
            let v6 = |a, b, bits| (IpAddr::from(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), bits);
            holds(v6(0x2000, 0, 3), ip)
                && ![v6(0x2001, 0, 23), v6(0x2001, 0xdb8, 32), v6(0x2002, 0, 16), v6(0x3fff, 0, 20)]
                    .into_iter()
                    .any(|network| holds(network, ip))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for ip in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.192",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn the_address_that_is_taken_is_one_that_may_be_reached() {
        let addresses = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|ip| ip.parse().unwrap()).collect()
        };
        let hook = Webhook::new("https://a.example/x", b"s", &[]).unwrap();
        assert!(hook.choose(addresses(&["127.0.0.1:1", "10.0.0.1:1"]).into_iter(), true).is_err());
        let mixed = ["127.0.0.1:1", "8.8.8.8:1"];
        assert_eq!(
            hook.choose(addresses(&mixed).into_iter(), true).unwrap().to_string(),
            "8.8.8.8:1"
        );
        assert!(
            hook.choose(addresses(&mixed).into_iter(), false).is_err(),
            "in the clear over the Internet"
        );
        let listed = [("127.0.0.0".parse().unwrap(), 8)];
        let hook = Webhook::new("http://a.example/x", b"s", &listed).unwrap();
        assert_eq!(
            hook.choose(addresses(&mixed).into_iter(), false).unwrap().to_string(),
            "127.0.0.1:1"
        );
    }

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn it_is_signed_as_standard_webhooks_has_it() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signature(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
