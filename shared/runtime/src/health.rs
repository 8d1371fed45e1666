//! `SERVICE health`: the check that an image's `HEALTHCHECK` runs, since a small image has no other program to ask with.
//!
//! It asks the service on this machine's own `LISTEN` port whether it is ready, over plain TCP. It looks at nothing itself.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

const WITHIN: Duration = Duration::from_secs(3);

/// Whether the service that listens here is ready.
///
/// # Errors
/// With what it answered, or why it did not answer.
pub fn ask(listen: SocketAddr) -> Result<(), anyhow::Error> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen.port());
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)
        .with_context(|| format!("nothing answers at {address}"))?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    if !answer.starts_with("HTTP/1.1 200 ") {
        bail!("{}", answer.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::ask;

    fn answering(answer: &'static str) -> std::io::Result<std::net::SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr();
        std::thread::spawn(move || {
            let mut stream = listener.accept()?.0;
            let _ = stream.read(&mut [0; 1024])?;
            stream.write_all(answer.as_bytes())
        });
        address
    }

    #[test]
    fn only_a_200_is_healthy() -> Result<(), anyhow::Error> {
        assert!(ask(answering("HTTP/1.1 200 OK\r\n\r\n")?).is_ok());
        let why = ask(answering(
            "HTTP/1.1 503 Service Unavailable\r\n\r\nit is draining",
        )?);
        assert!(why.is_err_and(|why| why.to_string().ends_with("it is draining")));
        assert!(ask(answering("")?).is_err());
        let gone = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        assert!(ask(gone).is_err());
        Ok(())
    }
}
