//! The addresses that are not public unicast addresses, each with the document that says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::Reason;

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(start: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = start;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// The first match counts, so single addresses stand before the networks around them.
const V4: [(Ipv4Net, Reason); 22] = [
    (v4(169, 254, 169, 254, 32), Reason::Metadata), // most clouds
    (v4(169, 254, 170, 0, 24), Reason::Metadata),   // container credentials
    (v4(100, 100, 100, 200, 32), Reason::Metadata), // Alibaba Cloud
    (v4(192, 0, 0, 192, 32), Reason::Metadata),     // Oracle Cloud
    (v4(168, 63, 129, 16, 32), Reason::Metadata),   // Azure: a public address, but never routed
    (v4(0, 0, 0, 0, 8), Reason::Reserved),          // "this network", RFC 791
    (v4(10, 0, 0, 0, 8), Reason::Private),          // RFC 1918
    (v4(100, 64, 0, 0, 10), Reason::Reserved),      // shared with the carrier (CGNAT), RFC 6598
    (v4(127, 0, 0, 0, 8), Reason::Loopback),        // RFC 1122
    (v4(169, 254, 0, 0, 16), Reason::LinkLocal),    // RFC 3927
    (v4(172, 16, 0, 0, 12), Reason::Private),       // RFC 1918
    (v4(192, 0, 0, 0, 24), Reason::Reserved),       // protocol assignments, RFC 6890
    (v4(192, 0, 2, 0, 24), Reason::Documentation),  // RFC 5737
    (v4(192, 88, 99, 0, 24), Reason::Translated),   // 6to4 relays, withdrawn, RFC 7526
    (v4(192, 168, 0, 0, 16), Reason::Private),      // RFC 1918
    (v4(198, 18, 0, 0, 15), Reason::Documentation), // benchmarking, RFC 2544
    (v4(198, 51, 100, 0, 24), Reason::Documentation), // RFC 5737
    (v4(203, 0, 113, 0, 24), Reason::Documentation), // RFC 5737
    (v4(233, 252, 0, 0, 24), Reason::Documentation), // multicast examples, RFC 6676
    (v4(224, 0, 0, 0, 4), Reason::Multicast),       // RFC 5771
    (v4(255, 255, 255, 255, 32), Reason::Multicast), // broadcast, RFC 919
    (v4(240, 0, 0, 0, 4), Reason::Reserved),        // "future use", RFC 1112
];

/// As for IPv4. Forms that carry an IPv4 address are refused whatever they carry: a public
/// service has no need of them, and a gateway that unpacks them may stand on our network.
const V6: [(Ipv6Net, Reason); 23] = [
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), Reason::Metadata), // AWS
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), Reason::Metadata),  // Google Cloud
    (v6([0; 8], 128), Reason::Reserved),                                // unspecified, RFC 4291
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Reason::Loopback),              // RFC 4291
    (v6([0; 8], 96), Reason::Translated), // IPv4-compatible, withdrawn, RFC 4291
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), Reason::Translated), // IPv4-mapped, RFC 4291
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), Reason::Translated), // IPv4-translated, RFC 2765
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), Reason::Translated), // NAT64, RFC 6052
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), Reason::Translated), // local NAT64, RFC 8215
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), Reason::Reserved), // discard, RFC 6666
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), Reason::Reserved), // dummy prefix, RFC 9780
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), Reason::Translated), // Teredo, RFC 4380
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), Reason::Documentation), // benchmarking, RFC 5180
    // Protocol assignments, RFC 2928; with ORCHID (RFC 4843), ORCHIDv2 (RFC 7343) and DRIP
    // (RFC 9374). Its few reachable anycast addresses answer no HTTP.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Reason::Reserved),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Reason::Documentation), // RFC 3849
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Reason::Documentation),     // RFC 9637
    (v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16), Reason::Reserved), // 6bone, given back, RFC 3701
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), Reason::Translated), // 6to4, RFC 3056
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), Reason::Reserved), // SRv6 segments, RFC 9602
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Reason::Private),   // unique local, RFC 4193
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Reason::LinkLocal), // RFC 4291
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Reason::LinkLocal), // site-local, RFC 3879
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Reason::Multicast), // RFC 4291
];

/// All that has been given out as global unicast, RFC 4291 and the IANA registry; the rest of
/// IPv6 is refused without being named.
const V6_GLOBAL: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Why an address may not be called; nothing for a public unicast address.
pub fn refuse(ip: IpAddr) -> Option<Reason> {
    match ip {
        IpAddr::V4(ip) => {
            V4.iter().find(|(network, _)| network.contains(&ip)).map(|(_, reason)| *reason)
        }
        IpAddr::V6(ip) => {
            let named = V6.iter().find(|(network, _)| network.contains(&ip));
            match named {
                Some((_, reason)) => Some(*reason),
                None if is_isatap(ip) => Some(Reason::Translated),
                None if !V6_GLOBAL.contains(&ip) => Some(Reason::Reserved),
                None => None,
            }
        }
    }
}

/// ISATAP, RFC 5214: an IPv4 address in the interface part, below any prefix.
fn is_isatap(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // Bit 0x0200 only says whether the IPv4 address is meant to be unique.
    segments[4] & !0x0200 == 0 && segments[5] == 0x5efe
}
