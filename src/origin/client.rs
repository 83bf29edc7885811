//! Whose request it is, as far as that can be known: what held requests are counted by.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An IPv4 address, or the first 64 bits of an IPv6 address: one of those is a household.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Client(pub(super) IpAddr);

impl Client {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let household = u128::from(address) >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from(household))
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// The networks whose `Forwarded` (RFC 7239) and `X-Forwarded-For` are believed.
#[derive(Debug, Default)]
pub(super) struct Proxies(pub(super) Vec<(IpAddr, u8)>);

impl Proxies {
    /// Who asks. A trusted proxy is not counted itself: whom it names last, and what is no such
    /// proxy, is the client. `None` if it names nobody, as a cache that asks for many at once; and
    /// for what runs on this machine, which is the operator's.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Client> {
        if !self.trust(peer) {
            return (!peer.to_canonical().is_loopback()).then(|| Client::of(peer));
        }
        let named = if headers.contains_key(FORWARDED) {
            self.last(headers.get_all(FORWARDED).iter(), forwarded_for)
        } else {
            self.last(headers.get_all(X_FORWARDED_FOR).iter(), address)
        };
        named.map(Client::of)
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|&(network, bits)| within(address.to_canonical(), network, bits))
    }

    /// The last of a list that is no trusted proxy; none beyond an entry that cannot be read.
    fn last<'a>(
        &self,
        values: impl DoubleEndedIterator<Item = &'a HeaderValue>,
        read: impl Fn(&str) -> Option<IpAddr>,
    ) -> Option<IpAddr> {
        values
            .rev()
            .flat_map(|value| value.to_str().unwrap_or_default().rsplit(','))
            .map(|entry| read(entry.trim()))
            .find(|address| address.is_none_or(|address| !self.trust(address)))
            .flatten()
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let differ = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(u32::from(a) ^ u32::from(b)) << 96,
        (IpAddr::V6(a), IpAddr::V6(b)) => u128::from(a) ^ u128::from(b),
        _ => return false,
    };
    differ.leading_zeros() >= u32::from(bits)
}

/// The `for` of one element of a `Forwarded` header.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    address(value.trim_matches('"'))
}

/// An address, with or without brackets and a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &[&str], peer: &str, headers: &[(&str, &str)]) -> Option<String> {
        let proxies = proxies.iter().map(|network| {
            let (network, bits) = network.split_once('/').unwrap();
            (network.parse().unwrap(), bits.parse().unwrap())
        });
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let client = Proxies(proxies.collect()).client(peer.parse().unwrap(), &map);
        client.map(|client| client.0.to_string())
    }

    #[test]
    fn a_client_is_its_address_whatever_it_says_of_itself() {
        let lie = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
        for (peer, known_as) in [
            ("198.51.100.7", Some("198.51.100.7")),
            ("::ffff:198.51.100.7", Some("198.51.100.7")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::")),
            ("127.0.0.1", None),
            ("::1", None),
        ] {
            assert_eq!(client(&["10.0.0.0/8"], peer, &lie).as_deref(), known_as, "{peer}");
        }
    }

    #[test]
    fn a_trusted_proxy_says_for_whom_it_asks() {
        let proxies = ["10.0.0.0/8", "127.0.0.1/32", "2001:db8:ffff::/48"];
        for (peer, headers, known_as) in [
            ("10.1.2.3", &[("x-forwarded-for", "192.0.2.1")][..], Some("192.0.2.1")),
            ("127.0.0.1", &[("x-forwarded-for", "192.0.2.1")], Some("192.0.2.1")),
            // Whatever stands before the last stranger may be invented by that stranger.
            ("10.1.2.3", &[("x-forwarded-for", "1.1.1.1, 192.0.2.1, 10.9.9.9")], Some("192.0.2.1")),
            (
                "10.1.2.3",
                &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1:4000")],
                Some("192.0.2.1"),
            ),
            (
                "2001:db8:ffff::1",
                &[("forwarded", "for=1.1.1.1, For=\"[2001:db8::5]:80\";proto=https")],
                Some("2001:db8::"),
            ),
            (
                "10.1.2.3",
                &[("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "1.1.1.1")],
                Some("192.0.2.1"),
            ),
            ("10.1.2.3", &[("forwarded", "for=_hidden, for=unknown")], None),
            ("10.1.2.3", &[("x-forwarded-for", "192.0.2.1, nonsense")], None),
            ("10.1.2.3", &[("x-forwarded-for", "10.0.0.1")], None),
            ("10.1.2.3", &[], None),
        ] {
            assert_eq!(client(&proxies, peer, headers).as_deref(), known_as, "{peer} {headers:?}");
        }
    }
}
