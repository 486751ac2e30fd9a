//! Which peers are this machine itself, so that nothing crosses a network.

use std::net::IpAddr;

/// Whether the host is named in a way that never leaves it.
pub(super) fn is_loopback(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.trim_matches(['[', ']']).parse();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_itself_is_trusted_without_a_check() {
        for here in [
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.8.9.1",
            "::1",
            "[::1]",
        ] {
            assert!(is_loopback(here), "{here}");
        }
        // What a resolver may lead elsewhere, and addresses of this machine that others have too.
        for elsewhere in [
            "db.example.com",
            "localhost.example.com",
            "db.localhost",
            "192.0.2.2",
            "10.0.0.1",
            "0.0.0.0",
            "fe80::1",
            "::ffff:192.0.2.2",
            "",
        ] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
