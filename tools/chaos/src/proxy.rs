//! A TCP proxy that can be cut, slow, or dead in one direction: what lies between a service and what it connects to.
//!
//! What a dead direction is given it keeps and hands over once it is alive again, as TCP itself would; nothing is ever lost from the middle
//! of a connection. It knows no protocol.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longer than a connection to a port of this machine ever takes.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// More connections than any service opens.
const CONNECTIONS_MAX: usize = 256;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// As if it were not there.
    Open,
    /// Nobody is connected, and nobody gets through.
    Cut,
    /// Whatever it is given it hands on that much later.
    Slow(Duration),
    /// Nothing gets from the one who connected to the other end.
    Mute,
    /// Nothing gets back.
    Deaf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    There,
    Back,
}

impl Mode {
    fn lets_through(self, direction: Direction) -> bool {
        match self {
            Self::Open | Self::Slow(_) => true,
            Self::Cut => false,
            Self::Mute => direction == Direction::Back,
            Self::Deaf => direction == Direction::There,
        }
    }
}

/// A port on 127.0.0.1 that leads to another. Dropped, it is gone with all its connections.
#[derive(Debug)]
pub(super) struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    /// Dropped, it ends.
    _task: JoinSet<()>,
}

impl Proxy {
    /// A way to this port of this machine.
    pub(super) async fn to(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("cannot listen on 127.0.0.1")?;
        let (mode, watched) = watch::channel(Mode::Open);
        let own = listener.local_addr()?.port();
        let mut task = JoinSet::new();
        task.spawn(accept(
            listener,
            (Ipv4Addr::LOCALHOST, port).into(),
            watched,
        ));
        Ok(Self {
            port: own,
            mode,
            _task: task,
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, mode: watch::Receiver<Mode>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((from, _)) = accepted else {
                    // Out of file descriptors, most likely: somebody has to close one first.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                if *mode.borrow() != Mode::Cut && connections.len() < CONNECTIONS_MAX {
                    connections.spawn(carry(from, to, mode.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(from: TcpStream, to: SocketAddr, mode: watch::Receiver<Mode>) {
    let Ok(Ok(to)) = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(to)).await else {
        return;
    };
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let (mut from_reads, mut from_writes) = from.into_split();
    let (mut to_reads, mut to_writes) = to.into_split();
    let mut until = mode.clone();
    let cut = until.wait_for(|mode| *mode == Mode::Cut);
    // Whichever ends first takes the other with it.
    tokio::select! {
        _ = pump(&mut from_reads, &mut to_writes, Direction::There, mode.clone()) => {}
        _ = pump(&mut to_reads, &mut from_writes, Direction::Back, mode) => {}
        _ = cut => {}
    }
}

async fn pump(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    direction: Direction,
    mut mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        let now = mode.wait_for(|mode| mode.lets_through(direction)).await;
        let now = now.map_or(Mode::Cut, |mode| *mode);
        if let Mode::Slow(by) = now {
            tokio::time::sleep(by).await;
        }
        to.write_all(chunk.get(..read).unwrap_or_default()).await?;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::time::Instant;

    use super::*;

    /// Says back whatever it is told.
    async fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reads, mut writes) = stream.split();
                    tokio::io::copy(&mut reads, &mut writes).await
                });
            }
        });
        port
    }

    async fn ask(stream: &mut TcpStream, word: &[u8; 4], within_ms: u64) -> Option<[u8; 4]> {
        stream.write_all(word).await.unwrap();
        hear(stream, within_ms).await
    }

    async fn hear(stream: &mut TcpStream, within_ms: u64) -> Option<[u8; 4]> {
        let mut heard = [0; 4];
        let hearing = stream.read_exact(&mut heard);
        let within = Duration::from_millis(within_ms);
        tokio::time::timeout(within, hearing).await.ok()?.ok()?;
        Some(heard)
    }

    #[tokio::test]
    async fn what_was_kept_back_arrives_and_what_is_cut_is_gone() {
        let proxy = Proxy::to(echo().await).await.unwrap();
        let at = (Ipv4Addr::LOCALHOST, proxy.port());
        let mut stream = TcpStream::connect(at).await.unwrap();
        assert_eq!(ask(&mut stream, b"open", 5_000).await, Some(*b"open"));
        for mode in [Mode::Mute, Mode::Deaf] {
            proxy.set(mode);
            assert_eq!(ask(&mut stream, b"kept", 100).await, None);
            proxy.set(Mode::Open);
            assert_eq!(hear(&mut stream, 5_000).await, Some(*b"kept"));
        }
        proxy.set(Mode::Slow(Duration::from_millis(60)));
        let asked = Instant::now();
        assert_eq!(ask(&mut stream, b"late", 5_000).await, Some(*b"late"));
        assert!(asked.elapsed() >= Duration::from_millis(120));
        proxy.set(Mode::Cut);
        assert_eq!(hear(&mut stream, 5_000).await, None);
        let mut refused = TcpStream::connect(at).await.unwrap();
        assert_eq!(hear(&mut refused, 5_000).await, None);
        proxy.set(Mode::Open);
        let mut again = TcpStream::connect(at).await.unwrap();
        assert_eq!(ask(&mut again, b"back", 5_000).await, Some(*b"back"));
    }
}
