//! Which addresses a source may lead to: with `--deny-private-sources`, only public ones.
//!
//! A tenant who may write a `ChartRepository` chooses where the operator connects to, and so does every redirect. The
//! address that a name stands for is judged where the connection is made, so that a second answer of the name's
//! server changes nothing. What a proxy connects to is the proxy's concern.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

/// An address that is not public.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a public address")]
pub(super) struct Private(IpAddr);

/// Resolves names, but to public addresses only.
#[derive(Debug)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                check(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Refuses an address that stands in a URL: no resolver is asked for that.
pub(super) fn check_host(url: &Url) -> Result<(), Private> {
    match url.host() {
        Some(Host::Ipv4(address)) => check(address.into()),
        Some(Host::Ipv6(address)) => check(address.into()),
        Some(Host::Domain(_)) | None => Ok(()),
    }
}

fn check(address: IpAddr) -> Result<(), Private> {
    let private = match address {
        IpAddr::V4(address) => is_private(address),
        IpAddr::V6(address) => is_private_v6(address),
    };
    if private { Err(Private(address)) } else { Ok(()) }
}

fn is_private(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        // This network, carriers' networks, protocol assignments, benchmarks, and what is reserved.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let [first, second, .., high, low] = address.segments();
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    // IPv4 in IPv6: mapped, or behind a translator.
    let inner =
        address.to_ipv4_mapped().or((first == 0x64 && second == 0xFF9B).then_some(Ipv4Addr::new(a, b, c, d)));
    inner.is_some_and(is_private)
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_reached() {
        for (url, public) in [
            ("http://1.1.1.1", true),
            ("http://[2606:4700::1111]", true),
            ("http://charts.example.com", true),
            ("http://127.0.0.1", false),
            ("http://2130706433", false),
            ("http://0x7f.1", false),
            ("http://0.0.0.0", false),
            ("http://10.1.2.3", false),
            ("http://172.31.0.1", false),
            ("http://192.168.0.1", false),
            ("http://169.254.169.254/latest", false),
            ("http://100.64.0.1", false),
            ("http://255.255.255.255", false),
            ("http://[::1]", false),
            ("http://[::]", false),
            ("http://[::ffff:10.0.0.1]", false),
            ("http://[64:ff9b::a9fe:a9fe]", false),
            ("http://[fd00::1]", false),
            ("http://[fe80::1]", false),
        ] {
            assert_eq!(check_host(&Url::parse(url).unwrap()).is_ok(), public, "{url}");
        }
    }
}
