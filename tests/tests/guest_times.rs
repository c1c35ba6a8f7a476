//! The guest's own times: what its programs take stands apart from what its kernel takes.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

use anyhow::anyhow;
use hoptrace_tests::prelude::*;
use hoptrace_tests::report::LatencyNs;

/// The guest's port that thinks before it answers, and the one that only listens.
const THINK_PORT: u16 = 11;
const DISCARD_PORT: u16 = 9;
const ROUNDS: u64 = 10;
const THINKS: Duration = Duration::from_millis(200);

fn connect(guest: &Guest, port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((guest.ipv4, port)).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// A question that the guest thinks about, `bytes` long.
fn question(bytes: usize) -> Vec<u8> {
    let mut question = format!("{} ", THINKS.as_millis()).into_bytes();
    question.resize(bytes.saturating_sub(1), b'x');
    question.push(b'\n');
    question
}

/// Asks one question after the other; gives the longest time an answer took here.
fn ask(stream: &TcpStream, bytes: usize, rounds: u64) -> Result<Duration> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut longest = Duration::ZERO;
    for _ in 0..rounds {
        let asked = Instant::now();
        (&mut &*stream).write_all(&question(bytes))?;
        let mut line = Vec::new();
        lines.read_until(b'\n', &mut line)?;
        longest = longest.max(asked.elapsed());
        ensure!(line.len() == bytes, "{} of {bytes} bytes came back", line.len());
    }
    Ok(longest)
}

fn ns(times: Option<LatencyNs>) -> Result<LatencyNs> {
    times.context("no times")
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_program_that_thinks_is_told_apart_from_the_kernel_that_acknowledges() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "tcp", "--json"])?;
    // Small ones, and such as take several segments.
    let longest = lab.in_wire(|| {
        let stream = connect(guest, THINK_PORT)?;
        Ok(ask(&stream, 40, ROUNDS)?.max(ask(&stream, 10_000, ROUNDS)?))
    })?;
    let report = tracer.finish()?;
    let answers = &report.guest.application;
    ensure!(answers.count == 2 * ROUNDS && answers.unclear == 0, "{}", report.guest);
    let times = ns(answers.latency_ns)?;
    ensure!(u128::from(times.min) >= THINKS.as_nanos(), "{answers}");
    ensure!(u128::from(times.max) <= longest.as_nanos(), "longest here {longest:?}: {answers}");
    // The kernel acknowledged before that, and took the connection.
    let acknowledgements = report.guest.acknowledgements;
    let times = ns(acknowledgements.latency_ns)?;
    ensure!(u128::from(times.p50) < THINKS.as_nanos(), "{acknowledgements}");
    ensure!(report.guest.count == 1, "{}", report.guest);
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_stream_that_goes_one_way_has_no_answers() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "tcp", "--json"])?;
    lab.in_wire(|| {
        let mut stream = connect(guest, DISCARD_PORT)?;
        for _ in 0..100 {
            stream.write_all(&[0x55; 100])?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    })?;
    let report = tracer.finish()?;
    let answers = &report.guest.application;
    ensure!(answers.count == 0 && answers.unclear == 0, "{}", report.guest);
    ensure!(report.guest.acknowledgements.count > 0, "{}", report.guest);
    ensure!(report.evidence.iter().all(|it| it.source != "tap"), "{:?}", report.evidence);
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn questions_asked_before_the_answer_are_left_out_and_said() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let tracer = Tracer::start(&["trace", &guest.port_id, "tcp", "--json"])?;
    lab.in_wire(|| {
        let mut stream = connect(guest, THINK_PORT)?;
        let mut lines = BufReader::new(stream.try_clone()?);
        for _ in 0..3 {
            stream.write_all(&question(40))?;
            thread::sleep(Duration::from_millis(5));
        }
        for _ in 0..3 {
            lines.read_until(b'\n', &mut Vec::new())?;
        }
        // Nothing is owed any more.
        thread::sleep(Duration::from_millis(700));
        ask(&stream, 40, 1).map(drop)
    })?;
    let report = tracer.finish()?;
    let answers = &report.guest.application;
    ensure!(answers.count == 1 && answers.unclear == 1, "{}", report.guest);
    ensure!(u128::from(ns(answers.latency_ns)?.min) >= THINKS.as_nanos(), "{answers}");
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_guest_that_asks_answers_nothing() -> Result<()> {
    const BYTES: u64 = 100_000;
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let listener = lab.in_wire(|| Ok(TcpListener::bind((lab.wire.ipv4, 0))?))?;
    let port = listener.local_addr()?.port();
    let tracer = Tracer::start(&["trace", &guest.port_id, "tcp", "--json"])?;
    let echo = thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let length = stream.read(&mut buffer)?;
            match buffer.get(..length) {
                Some(read) if length > 0 => stream.write_all(read)?,
                _ => return Ok(()),
            }
        }
    });
    let sent = guest.send_tcp((IpAddr::V4(lab.wire.ipv4), port), BYTES)?;
    echo.join().map_err(|_| anyhow!("the echo panicked"))??;
    let report = tracer.finish()?;
    ensure!(sent.received == BYTES, "{sent:?}");
    let answers = &report.guest.application;
    ensure!(answers.count == 0 && answers.unclear == 0, "{}", report.guest);
    Ok(())
}
