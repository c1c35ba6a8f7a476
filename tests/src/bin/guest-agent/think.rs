//! Programs that answer late or never: TCP ports 11 (thinks first) and 9 (only listens).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

const THINK_PORT: u16 = 11;
const DISCARD_PORT: u16 = 9;

/// Starts both; when it returns, they are bound.
pub(crate) fn start() -> Result<()> {
    serve(THINK_PORT, think)?;
    serve(DISCARD_PORT, discard)
}

/// Gives each connection to `port` a thread.
fn serve(port: u16, converse: fn(TcpStream) -> std::io::Result<()>) -> Result<()> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .with_context(|| format!("listen on TCP port {port}"))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                if let Err(error) = converse(stream) {
                    crate::report(&format!("tcp port {port}: {error}"));
                }
            });
        }
    });
    Ok(())
}

/// Sends each line back after as many milliseconds as its first word says.
fn think(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        let words = line.split_whitespace().next().and_then(|word| word.parse().ok());
        thread::sleep(Duration::from_millis(words.unwrap_or(0)));
        stream.write_all(line.as_bytes())?;
        line.clear();
    }
    Ok(())
}

/// Takes what comes and says nothing.
fn discard(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}
