//! A load generator: connections that send the same request one after another.
//!
//! A general HTTP client costs more than the server under test; this one writes prepared
//! bytes and reads a length. For loopback only.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

/// The longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A request, sent over and over.
#[derive(Debug, Clone)]
pub struct Load {
    address: SocketAddr,
    request: Vec<u8>,
}

/// What one run saw.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Answers with another status than 200.
    pub refused: u64,
    /// How long the run lasted.
    pub lasted: Duration,
    /// Microseconds of each answer with status 200, ascending.
    micros: Vec<u32>,
}

impl Sample {
    /// Answers with status 200, each second.
    pub fn per_second(&self) -> f64 {
        self.micros.len() as f64 / self.lasted.as_secs_f64()
    }

    /// Milliseconds that this share of them took at most.
    pub fn percentile_ms(&self, share: f64) -> f64 {
        let last = self.micros.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.micros.get(index).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    }
}

impl Load {
    /// A POST of JSON.
    pub fn post(address: SocketAddr, path: &str, headers: &[&str], body: &str) -> Self {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             {headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { address, request: request.into_bytes() }
    }

    /// A GET.
    pub fn get(address: SocketAddr, path: &str, headers: &[&str]) -> Self {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
        Self { address, request: request.into_bytes() }
    }

    /// Sends once, and answers the body.
    ///
    /// # Errors
    /// When there is none with status 200.
    pub fn once(&self) -> anyhow::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(&self.request)?;
        let mut buffer = Vec::new();
        anyhow::ensure!(read_answer(&mut stream, &mut buffer)?, "the answer is another");
        let head = buffer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(0);
        Ok(buffer.split_off(head + 4))
    }

    /// Sends over `connections` for `time`.
    ///
    /// # Errors
    /// When a connection cannot be made or breaks.
    pub fn run(&self, connections: usize, time: Duration) -> anyhow::Result<Sample> {
        let started = Instant::now();
        let until = started + time;
        let results: Vec<anyhow::Result<Sample>> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..connections).map(|_| scope.spawn(|| self.connection(until))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a connection panicked")))
            };
            threads.into_iter().map(join).collect()
        });
        let mut all = Sample { lasted: started.elapsed(), ..Sample::default() };
        for result in results {
            let sample = result.context("a connection of the load generator failed")?;
            all.refused += sample.refused;
            all.micros.extend(sample.micros);
        }
        all.micros.sort_unstable();
        Ok(all)
    }

    fn connection(&self, until: Instant) -> anyhow::Result<Sample> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let (mut sample, mut buffer) = (Sample::default(), Vec::with_capacity(4096));
        while Instant::now() < until {
            let sent = Instant::now();
            stream.write_all(&self.request)?;
            let ok = read_answer(&mut stream, &mut buffer)?;
            let micros = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
            if ok { sample.micros.push(micros) } else { sample.refused += 1 }
        }
        Ok(sample)
    }
}

/// Reads one answer to its end and tells whether its status was 200.
fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.clear();
    let broken = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    loop {
        let mut chunk = [0u8; 4096];
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(broken("the server closed the connection"));
        }
        buffer.extend_from_slice(&chunk[..read]);
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = std::str::from_utf8(&buffer[..head]).map_err(|_| broken("a strange head"))?;
        let length = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok())
            .ok_or_else(|| broken("an answer without a length"))?;
        if buffer.len() >= head + 4 + length {
            return Ok(text.starts_with("HTTP/1.1 200"));
        }
    }
}
