//! Which peers may say on whose behalf they speak.

use std::net::IpAddr;

use ipnet::IpNet;

/// The reverse proxies in front of this server.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// An address or a network.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()
}

impl TrustedProxies {
    pub(super) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client, given the peer of the connection and the values of
    /// `X-Forwarded-For` in the order received.
    ///
    /// Each proxy appends the address it was called from, and a client can send anything before
    /// that: so the header is read from its end, and the first address that is not one of our
    /// proxies counts. What cannot be read ends the walk: nothing left of it can be believed.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        for text in forwarded_for.rev().flat_map(|value| value.rsplit(',')) {
            if !self.contains(client) {
                break;
            }
            let Ok(address) = text.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let proxies =
            ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"].iter().map(|text| network(text).unwrap());
        TrustedProxies::new(proxies.collect())
            .client(peer.parse().unwrap(), forwarded.iter().copied())
            .to_string()
    }

    #[test]
    fn a_stranger_cannot_claim_another_address() {
        assert_eq!(client("198.51.100.9", &["8.8.8.8"]), "198.51.100.9");
    }

    #[test]
    fn a_proxy_names_the_client() {
        assert_eq!(client("10.1.2.3", &["8.8.8.8"]), "8.8.8.8");
        assert_eq!(client("::ffff:10.1.2.3", &["8.8.8.8"]), "8.8.8.8");
        assert_eq!(client("2001:db8::1", &["::ffff:8.8.8.8"]), "8.8.8.8");
    }

    #[test]
    fn what_the_client_wrote_before_the_proxies_is_ignored() {
        assert_eq!(client("10.1.2.3", &["1.1.1.1, 8.8.8.8, 192.0.2.7"]), "8.8.8.8");
        assert_eq!(client("10.1.2.3", &["1.1.1.1", "8.8.8.8", "10.9.9.9"]), "8.8.8.8");
    }

    #[test]
    fn an_unreadable_entry_ends_the_walk() {
        assert_eq!(client("10.1.2.3", &["1.1.1.1, garbage"]), "10.1.2.3");
        assert_eq!(client("10.1.2.3", &["1.1.1.1, x, 10.9.9.9"]), "10.9.9.9");
        assert_eq!(client("10.1.2.3", &[]), "10.1.2.3");
    }
}
