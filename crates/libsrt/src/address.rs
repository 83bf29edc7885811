//! Socket addresses between Rust and C.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{AF_INET, AF_INET6, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6};

/// An address in C's form.
pub(crate) enum CAddress {
    V4(sockaddr_in),
    V6(sockaddr_in6),
}

#[expect(clippy::cast_possible_truncation, reason = "AF_INET and AF_INET6 are small numbers")]
impl From<SocketAddr> for CAddress {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => Self::V4(sockaddr_in {
                sin_family: AF_INET as sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                sin_zero: [0; 8],
            }),
            SocketAddr::V6(address) => Self::V6(sockaddr_in6 {
                sin6_family: AF_INET6 as sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            }),
        }
    }
}

impl CAddress {
    /// Room for any address.
    pub(crate) fn empty() -> Self {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::V4(_) => size_of::<sockaddr_in>(),
            Self::V6(_) => size_of::<sockaddr_in6>(),
        }
    }

    pub(crate) fn as_ptr(&self) -> *const sockaddr {
        match self {
            Self::V4(address) => (&raw const *address).cast(),
            Self::V6(address) => (&raw const *address).cast(),
        }
    }

    /// Where C may write [`Self::len`] bytes of an address.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut sockaddr {
        match self {
            Self::V4(address) => (&raw mut *address).cast(),
            Self::V6(address) => (&raw mut *address).cast(),
        }
    }

    /// What is stored now, whichever family was written.
    pub(crate) fn get(&self) -> Option<SocketAddr> {
        // SAFETY: `as_ptr` points to an initialised address of `len` bytes. Only the room made by
        // `empty`, which holds the larger family, is ever written to by C.
        unsafe { read(self.as_ptr()) }
    }
}

/// Reads an address that C hands over; an IPv4 address mapped into IPv6 becomes IPv4 again.
///
/// # Safety
/// `address` is null, or points to a `sockaddr` that is as long as its family says.
pub(crate) unsafe fn read(address: *const sockaddr) -> Option<SocketAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: not null; on Linux every `sockaddr` begins with its family.
    let family = unsafe { address.cast::<sa_family_t>().read_unaligned() };
    match i32::from(family) {
        AF_INET => {
            // SAFETY: the family says that this is a `sockaddr_in`.
            let address = unsafe { address.cast::<sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into())
        }
        AF_INET6 => {
            // SAFETY: the family says that this is a `sockaddr_in6`.
            let address = unsafe { address.cast::<sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            let port = u16::from_be(address.sin6_port);
            Some(match ip.to_ipv4_mapped() {
                Some(ip) => SocketAddrV4::new(ip, port).into(),
                None => {
                    SocketAddrV6::new(ip, port, address.sin6_flowinfo, address.sin6_scope_id).into()
                }
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_way_through_c() {
        for text in ["127.0.0.1:9000", "[::1]:9000", "[fe80::1%3]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(CAddress::from(address).get(), Some(address));
        }
    }

    #[test]
    fn an_ipv4_caller_of_an_ipv6_socket_has_an_ipv4_address() {
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:9000".parse().unwrap();
        assert_eq!(CAddress::from(mapped).get(), "192.0.2.7:9000".parse().ok());
    }
}
