//! The addresses of this machine that players can be told.
//!
//! Only asks the system; keeps nothing.

use std::io;
use std::net::IpAddr;

/// All addresses of this machine, IPv4 first, each once. Link-local IPv6 addresses are left out: without the name of
/// an interface on the other machine they reach nobody.
pub fn local_addresses() -> io::Result<Vec<IpAddr>> {
    let all = if_addrs::get_if_addrs()?;
    let mut addresses: Vec<IpAddr> =
        all.iter().filter(|i| i.ip().is_ipv4() || !i.is_link_local()).map(if_addrs::Interface::ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn the_loopback_address_is_among_them() {
        let addresses = local_addresses().unwrap();
        assert!(addresses.contains(&IpAddr::from(Ipv4Addr::LOCALHOST)));
        let first_wide = addresses.iter().position(IpAddr::is_ipv6).unwrap_or(addresses.len());
        assert!(addresses[first_wide..].iter().all(IpAddr::is_ipv6), "IPv4 first");
    }
}
