//! Pings from the wire.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::lab::{Guest, Lab};

/// How late the last reply may be.
const REPLY_LIMIT: Duration = Duration::from_secs(5);

impl Lab {
    /// Pings the guest from the wire so many times, one every `pace`.
    ///
    /// # Errors
    /// Where not every reply comes.
    pub fn wire_ping(&self, guest: &Guest, count: u64, pace: Duration) -> Result<()> {
        self.wire_ping_to(guest.ipv4.into(), count, &["-i", &pace.as_secs_f64().to_string()])
    }

    /// Pings an address from the wire so many times, with more words for `ping`.
    ///
    /// # Errors
    /// Where not every reply comes.
    pub fn wire_ping_to(&self, to: IpAddr, count: u64, words: &[&str]) -> Result<()> {
        // The first one alone: while user space decides about it others would wait for that, to come at once on several CPUs, and of the first
        // packets of a connection that come at once connection tracking drops all but one.
        let (first, others) = (count.min(1), count.saturating_sub(1));
        for part in [first, others].into_iter().filter(|part| *part > 0) {
            self.ping_part(to, part, words)?;
        }
        Ok(())
    }

    fn ping_part(&self, to: IpAddr, count: u64, words: &[&str]) -> Result<()> {
        let wanted = self.in_wire(|| echo_replies(to))? + count;
        let (count, address) = (count.to_string(), to.to_string());
        let args = [&["-q", "-n", "-c", &count], words, &[&address]].concat();
        let ping = self.wire("ping", args).output()?;
        let (said, complained) =
            (String::from_utf8_lossy(&ping.stdout), String::from_utf8_lossy(&ping.stderr));
        ensure!(ping.status.success(), "{said}{complained}");
        // It gives the last replies two round trips, and on a busy machine that is not enough.
        self.in_wire(|| all_replied(to, wanted))
    }

    /// Pings the guest from the wire so many times, where it may be that nobody answers: gives how many replies came, which is none or all.
    ///
    /// # Errors
    /// Where some come and others do not.
    pub fn wire_ping_or_none(&self, guest: &Guest, count: u64, pace: Duration) -> Result<u64> {
        let to = IpAddr::from(guest.ipv4);
        let before = self.in_wire(|| echo_replies(to))?;
        let (number, pace) = (count.to_string(), pace.as_secs_f64().to_string());
        let args = ["-q", "-c", &number, "-i", &pace, "-W", "1", &to.to_string()];
        self.wire("ping", args).output().context("run ping")?;
        if self.in_wire(|| echo_replies(to))? == before {
            return Ok(0);
        }
        self.in_wire(|| all_replied(to, before + count))?;
        Ok(count)
    }
}

/// Waits until the network namespace has got so many echo replies of the address's IP version. There is no event but the counter itself.
fn all_replied(to: IpAddr, wanted: u64) -> Result<()> {
    let end = Instant::now() + REPLY_LIMIT;
    loop {
        let replies = echo_replies(to)?;
        if replies >= wanted {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{} echo replies are missing", wanted - replies);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Echo replies of the address's IP version that the thread's network namespace has got so far.
fn echo_replies(to: IpAddr) -> Result<u64> {
    let read = |file: &str| {
        std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).context("read the ICMP counters")
    };
    let found = if to.is_ipv4() {
        let text = read("snmp")?;
        let mut icmp = text.lines().filter_map(|line| line.strip_prefix("Icmp: "));
        let (names, values) = icmp.next().zip(icmp.next()).context("no ICMP counters")?;
        let found = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "InEchoReps");
        found.map(|(_, count)| count.to_owned())
    } else {
        let text = read("snmp6")?;
        let found = text.lines().find_map(|line| line.strip_prefix("Icmp6InEchoReplies"));
        found.map(|count| count.trim().to_owned())
    };
    found.context("no counter of echo replies")?.parse().context("no number of echo replies")
}
