//! One caller's connection: HTTP/1.1, kept open, one request at a time, and of an answer only what the bench needs.
//!
//! Not a client for anybody else. It is written by hand because a pooled client used more of the CPU than the three services together
//! (its pool opens a new connection whenever the last one is not back yet), and so measured itself.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than the outcome is waited for.
const SILENCE: Duration = Duration::from_secs(40);
const ANSWER_MAX: usize = 1 << 20;

/// A connection to one service.
#[derive(Debug)]
pub(super) struct Wire {
    address: String,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Wire {
    /// To `http://HOST:PORT`; opened when it is first used, and again after an error.
    pub(super) fn to(url: &str) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        Self {
            address,
            stream: None,
            buffer: Vec::with_capacity(4096),
        }
    }

    /// Posts JSON, waits for the answer, and gives its status and its body.
    pub(super) async fn post(&mut self, path: &str, json: &str) -> Result<(u16, &[u8]), String> {
        let address = &self.address;
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nprefer: wait=30\r\ncontent-length: {}\r\n\r\n{json}",
            json.len()
        );
        let answered = tokio::time::timeout(SILENCE, self.exchange(&request)).await;
        match answered {
            Ok(Ok((status, body))) => Ok((status, self.buffer.get(body).unwrap_or_default())),
            Ok(Err(error)) => {
                self.stream = None;
                Err(error.to_string())
            }
            Err(_) => {
                self.stream = None;
                Err(String::from("no answer"))
            }
        }
    }

    async fn exchange(&mut self, request: &str) -> std::io::Result<(u16, std::ops::Range<usize>)> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address).await?;
                stream.set_nodelay(true)?;
                self.stream.insert(stream)
            }
        };
        stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if let Some(head) = Head::read(&self.buffer)? {
                let all = head.length + head.content;
                if self.buffer.len() >= all {
                    return Ok((head.status, head.length..all));
                }
            }
            if self.buffer.len() > ANSWER_MAX {
                return Err(std::io::Error::other("the answer is too long"));
            }
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::Error::other("the connection was closed"));
            }
        }
    }
}

/// What an answer begins with.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Bytes up to the body.
    length: usize,
    /// Bytes of the body.
    content: usize,
}

impl Head {
    /// None while it is not all there.
    fn read(bytes: &[u8]) -> std::io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let content = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok());
        match (status, content) {
            (Some(status), Some(content)) => Ok(Some(Self {
                status,
                length: end + 4,
                content,
            })),
            _ => Err(std::io::Error::other("an answer without status or length")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn a_head_is_read_once_it_is_there() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        let head = Head::read(answer).ok().flatten();
        let expected = Head {
            status: 202,
            length: answer.len() - 2,
            content: 2,
        };
        assert_eq!(head, Some(expected));
        assert!(Head::read(&answer[..40]).is_ok_and(|head| head.is_none()));
        assert!(Head::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Head::read(b"nonsense\r\n\r\n").is_err());
    }
}
