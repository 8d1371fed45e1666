//! Free ports on 127.0.0.1. Not a reservation: somebody else may take the port before its server does, so who starts a server tries again
//! with another one.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// Below the range from which systems give ports to outgoing connections (Linux from 32768, macOS from 49152): a server that is down for
/// a while finds its port still free, and a client that retries cannot meet itself on it.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// A port that nobody listens on at this moment.
///
/// # Errors
/// When a hundred ports in a row were taken.
pub fn free() -> Result<u16> {
    for _ in 0..100 {
        let port = fastrand::u16(RANGE);
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!(
        "found no free port between {} and {}",
        RANGE.start,
        RANGE.end
    )
}

/// Whether a server could listen on 127.0.0.1 at this port now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
