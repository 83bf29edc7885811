//! A client that shows every byte: HTTP/1.1 over a plain socket.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection, kept alive.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

/// An answer, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends a request: method, target, and further header lines.
    pub(crate) async fn send(&mut self, method: &str, target: &str, headers: &[&str]) {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
        for header in headers {
            text += header;
            text += "\r\n";
        }
        text += "\r\n";
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer; `None` if the connection ends first.
    pub(crate) async fn receive(&mut self, with_body: bool) -> Option<Reply> {
        let end = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let status = head.get(9..12).unwrap().parse().unwrap();
        let reply = Reply { status, head, body: Vec::new() };
        if with_body && reply.header("transfer-encoding") == Some("chunked") {
            return Some(Reply { body: self.chunks().await?, ..reply });
        }
        let length = match reply.header("content-length") {
            Some(length) if with_body && status != 304 => length.parse().unwrap(),
            _ => 0,
        };
        let body = self.take(length).await?;
        Some(Reply { body, ..reply })
    }

    pub(crate) async fn get(&mut self, target: &str) -> Reply {
        self.ask("GET", target, &[]).await
    }

    pub(crate) async fn ask(&mut self, method: &str, target: &str, headers: &[&str]) -> Reply {
        self.send(method, target, headers).await;
        let with_body = method != "HEAD";
        let reply = self.receive(with_body).await.expect("the server closed the connection");
        assert!(self.read.is_empty(), "{method} {target}: more than one answer came");
        reply
    }

    /// What came beyond the last answer.
    #[allow(dead_code, reason = "not every test listens to an answer that lasts")]
    pub(crate) fn left(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.read)
    }

    /// A chunked body, as caches send it when they unpack.
    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = find(&self.read, b"\r\n") {
                    break end + 2;
                }
                self.more().await?;
            };
            let line = String::from_utf8(self.take(end).await?).unwrap();
            let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
            let mut chunk = self.take(length + 2).await?;
            if length == 0 {
                return Some(body);
            }
            chunk.truncate(length);
            body.append(&mut chunk);
        }
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.read.len() < length {
            self.more().await?;
        }
        Some(self.read.drain(..length).collect())
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.read).await.ok()?;
        (read > 0).then_some(())
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
