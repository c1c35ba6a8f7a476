//! tcpdump on several interfaces: the second witness of every figure.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use hoptrace_common::packet::{Frame, PROTOCOL_UDP, SliceReader, parse};
use pcap_file::pcap::PcapReader;
use rustix::process::{Pid, Signal, kill_process};

/// A packet as tcpdump saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When, in nanoseconds since 1970.
    pub time_ns: u64,
    /// The identity, computed from its bytes; `None` when it has none.
    pub identity: Option<u64>,
    /// Source and destination of the frame.
    pub macs: Option<([u8; 6], [u8; 6])>,
    /// Source and destination port, if it is a UDP datagram or its first fragment.
    pub udp_ports: Option<(u16, u16)>,
}

/// What tcpdump saw on one interface.
#[derive(Debug, Default)]
pub struct Capture {
    /// Every packet, in order.
    pub packets: Vec<Seen>,
}

impl Capture {
    /// When each packet with an identity was seen first.
    #[must_use]
    pub fn by_identity(&self) -> HashMap<u64, u64> {
        let mut times = HashMap::new();
        for packet in &self.packets {
            if let Some(identity) = packet.identity {
                times.entry(identity).or_insert(packet.time_ns);
            }
        }
        times
    }

    /// UDP datagrams to `port`.
    #[must_use]
    pub fn udp_to(&self, port: u16) -> usize {
        self.packets.iter().filter(|packet| packet.udp_ports.is_some_and(|(_, to)| to == port)).count()
    }
}

/// tcpdump at work on some interfaces of the lab.
#[derive(Debug)]
pub struct Captures {
    running: Vec<Listener>,
}

/// One tcpdump; it ends with this, whatever happens, and its file is gone.
#[derive(Debug)]
struct Listener {
    child: Child,
    stderr: BufReader<ChildStderr>,
    file: PathBuf,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // All do nothing where it has ended in peace.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_file(&self.file));
    }
}

/// Bytes of a packet that are kept: no packet of a capture may be larger.
const SNAP_BYTES: &str = "2048";

impl Captures {
    /// Starts tcpdump on each interface and waits until it listens. Files go to `folder`.
    ///
    /// # Errors
    /// When tcpdump does not start.
    pub fn start(interfaces: &[&str], folder: &Path) -> Result<Self> {
        let mut running = Vec::new();
        for interface in interfaces {
            let file = folder.join(format!("{interface}-{}.pcap", std::process::id()));
            let mut child = Command::new("tcpdump")
                .args([
                    "-i",
                    interface,
                    "-n",
                    "-s",
                    SNAP_BYTES,
                    "-B",
                    "65536",
                    "--time-stamp-precision=nano",
                    "-w",
                ])
                .arg(&file)
                .stdin(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .context("run tcpdump")?;
            let stderr = BufReader::new(child.stderr.take().context("no stderr")?);
            let mut listener = Listener { child, stderr, file };
            let mut line = String::new();
            while !line.contains("listening on") {
                line.clear();
                let read = listener.stderr.read_line(&mut line)?;
                ensure!(read > 0, "tcpdump on {interface} ended before it listened");
            }
            running.push(listener);
        }
        Ok(Self { running })
    }

    /// Ends all of them and gives what each saw, in the order of the interfaces.
    ///
    /// # Errors
    /// When one lost packets, so that it is no witness, or its file cannot be read.
    pub fn finish(self) -> Result<Vec<Capture>> {
        let mut captures = Vec::new();
        for mut listener in self.running {
            let pid =
                i32::try_from(listener.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
            // What waits in the kernel's buffer when tcpdump ends is gone: ask until it has read everything.
            while !has_read_everything(pid, &mut listener.stderr)? {}
            kill_process(pid, Signal::INT).context("end tcpdump")?;
            let mut words = String::new();
            listener.stderr.read_to_string(&mut words)?;
            listener.child.wait()?;
            ensure!(words.contains("\n0 packets dropped by kernel"), "tcpdump is no witness: {words}");
            captures.push(read(&listener.file)?);
        }
        Ok(captures)
    }
}

/// Whether tcpdump has captured what its socket received, by its own words.
fn has_read_everything(pid: Pid, stderr: &mut BufReader<ChildStderr>) -> Result<bool> {
    kill_process(pid, Signal::USR1).context("ask tcpdump")?;
    let mut words = String::new();
    // "tcpdump: 12 packets captured, 12 packets received by filter, 0 packets dropped by kernel"
    while !words.contains("dropped by kernel") {
        ensure!(stderr.read_line(&mut words)? > 0, "tcpdump ended: {words}");
    }
    let numbers: Vec<u64> = words.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [captured, received, dropped] = numbers[..] else { bail!("tcpdump says {words:?}") };
    ensure!(dropped == 0, "tcpdump is no witness: {words}");
    Ok(captured == received)
}

fn read(file: &Path) -> Result<Capture> {
    let mut reader = PcapReader::new(File::open(file)?)?;
    let mut capture = Capture::default();
    while let Some(packet) = reader.next_packet() {
        let packet = packet?;
        let bytes = SliceReader(&packet.data);
        let parsed = Frame::read(&bytes).and_then(|frame| parse(&bytes, &frame).ok());
        let udp_ports =
            parsed.filter(|it| it.protocol == PROTOCOL_UDP && it.fragment_tail == 0).and_then(|it| {
                let start = usize::try_from(it.l4_offset).ok()?;
                let ports = packet.data.get(start..)?.first_chunk::<4>()?;
                let [a, b, c, d] = *ports;
                Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
            });
        capture.packets.push(Seen {
            time_ns: u64::try_from(packet.timestamp.as_nanos()).unwrap_or(u64::MAX),
            identity: parsed.map(|parsed| parsed.identity),
            macs: macs(&packet.data),
            udp_ports,
        });
    }
    Ok(capture)
}

/// Source and destination of a frame.
fn macs(frame: &[u8]) -> Option<([u8; 6], [u8; 6])> {
    let (destination, rest) = frame.split_first_chunk()?;
    Some((*rest.first_chunk()?, *destination))
}
