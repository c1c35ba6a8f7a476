//! Ports of DHCP, which is followed more closely than other datagrams.

/// The client's, over IPv4.
pub const DHCP_CLIENT: u16 = 68;
/// The server's, over IPv4.
pub const DHCP_SERVER: u16 = 67;
/// The client's, over IPv6.
pub const DHCPV6_CLIENT: u16 = 546;
/// The server's, over IPv6.
pub const DHCPV6_SERVER: u16 = 547;

/// Whether a datagram to this port may be of DHCP.
#[inline(always)]
pub(super) const fn is_of_dhcp(port: u16) -> bool {
    // Most ports are larger than all of these.
    port <= DHCPV6_SERVER && (port.wrapping_sub(DHCP_SERVER) < 2 || port.wrapping_sub(DHCPV6_CLIENT) < 2)
}
