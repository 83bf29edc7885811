//! The server with a certificate: how it is configured, shown, renewed and looked after.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::harness::{Server, nowcast, open_stream, signal, until};

/// Makes a certificate for `localhost` and writes it and its key.
fn renew(dir: &Path) -> CertificateDer<'static> {
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

/// The status of a GET over TLS that trusts this certificate alone.
fn get(server: &Server, trusted: &CertificateDer<'static>, path: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap());
    let mut stream = StreamOwned::new(connection.unwrap(), TcpStream::connect(server.http)?);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.get(9..12).unwrap_or_default().to_owned())
}

#[test]
fn a_certificate_is_checked_shown_and_renewed_without_a_restart_and_a_bad_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let first = renew(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let tls = format!("tls = {{ cert = {:?}, key = {:?} }}\n", file("cert.pem"), file("key.pem"));
    let keys = tls + &open_stream("a", "");
    let server = Server::start(&keys);
    assert_eq!(get(&server, &first, "/live/a/index.m3u8").unwrap(), "503");

    let config = server.config_file();
    let (status, json, err) = nowcast(&["--config", &config, "check", "--json"]);
    assert_eq!(status, 0, "{err}");
    let check: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(check["http"]["tls"]["expires"], "4096-01-01T00:00:00Z");
    let (_, json, _) = nowcast(&["--config", &config, "url", "a", "--json"]);
    let urls: Value = serde_json::from_str(&json).unwrap();
    assert!(urls["playlist"].as_str().unwrap().starts_with("https://"), "{urls}");
    let (_, json, _) = nowcast(&["--config", &config, "doctor", "--json"]);
    let findings: Value = serde_json::from_str(&json).unwrap();
    let finding = findings.as_array().unwrap().iter().find(|it| it["what"] == "TLS certificate");
    assert_eq!(finding.expect("doctor looks at the certificate")["ok"], true);

    let second = renew(dir.path());
    signal(server.pid(), "HUP");
    until("the second certificate", 10, || get(&server, &second, "/").ok());
    assert!(get(&server, &first, "/").is_err());

    std::fs::write(dir.path().join("cert.pem"), "nonsense").unwrap();
    server.reconfigure(&keys);
    server.await_log("cert.pem holds no certificate", "the new configuration is not taken");
    let (status, _, err) = nowcast(&["--config", &config, "check"]);
    assert_eq!(status, 78);
    assert!(
        err.contains("nowcast.toml:") && err.contains("cert.pem holds no certificate"),
        "{err}"
    );
    get(&server, &second, "/").unwrap();

    // Nobody tells the server: it looks by itself.
    let third = renew(dir.path());
    until("the third certificate", 30, || get(&server, &third, "/").ok());
}
