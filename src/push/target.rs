//! `srt://HOST:PORT?streamid=…` addresses.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Where to call, and how to be let in.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The listener.
    pub address: SocketAddr,
    /// What the caller says it wants.
    pub streamid: Option<String>,
    /// Encryption.
    pub passphrase: Option<String>,
    /// Length of the encryption key: 16, 24 or 32 bytes.
    pub key_bytes: u16,
    /// The caller's latency.
    pub latency: Option<Duration>,
}

impl Target {
    /// Reads an address as ffmpeg and OBS write it: `latency` in microseconds, values percent-encoded.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn parse(url: &str) -> Result<Self> {
        let rest = url.strip_prefix("srt://").context("an SRT address begins with srt://")?;
        let (host, query) = rest.split_once('?').unwrap_or((rest, ""));
        let host = host.trim_end_matches('/');
        let address = host
            .to_socket_addrs()
            .with_context(|| format!("\"{host}\" is no HOST:PORT that can be found"))?
            .next()
            .with_context(|| format!("\"{host}\" has no address"))?;
        let mut target =
            Self { address, streamid: None, passphrase: None, key_bytes: 16, latency: None };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value =
                percent_decode(value).with_context(|| format!("\"{value}\" is not UTF-8"))?;
            match key {
                "streamid" => target.streamid = Some(value),
                "passphrase" if (10..=79).contains(&value.len()) => target.passphrase = Some(value),
                "passphrase" => bail!("a passphrase has 10 to 79 characters"),
                "pbkeylen" => match value.parse() {
                    Ok(length @ (16 | 24 | 32)) => target.key_bytes = length,
                    _ => bail!("pbkeylen is 16, 24 or 32"),
                },
                "latency" => {
                    let micros = value.parse().context("latency is a number of microseconds")?;
                    target.latency = Some(Duration::from_micros(micros));
                }
                "mode" if value != "caller" => {
                    bail!("mode={value}: this side can only be the caller")
                }
                // Options of other senders (pkt_size, transtype, …) do no harm.
                _ => {}
            }
        }
        Ok(target)
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = (first == b'%').then(|| tail.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = tail.get(byte.map_or(0, |_| 2)..).unwrap_or_default();
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ffmpeg_is_understood() {
        let url = "srt://127.0.0.1:9000?mode=caller&streamid=%23!::r=cam%2Cm=publish&passphrase=ten%20letters&pbkeylen=32&latency=120000&pkt_size=1316";
        let target = Target::parse(url).unwrap();
        assert_eq!(target.streamid.as_deref(), Some("#!::r=cam,m=publish"));
        assert_eq!(target.passphrase.as_deref(), Some("ten letters"));
        assert_eq!((target.key_bytes, target.latency), (32, Some(Duration::from_millis(120))));
    }

    #[test]
    fn what_cannot_be_called_is_said() {
        for wrong in [
            "http://a",
            "srt://",
            "srt://127.0.0.1",
            "srt://127.0.0.1:1?mode=listener",
            "srt://127.0.0.1:1?passphrase=short",
            "srt://127.0.0.1:1?latency=%",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
