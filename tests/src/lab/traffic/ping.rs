//! Pings from the wire.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::lab::{Guest, Lab};

impl Lab {
    /// Pings the guest from the wire so many times, one every `pace`.
    ///
    /// # Errors
    /// Where ping says that it failed: no reply came.
    pub fn wire_ping(&self, guest: &Guest, count: u64, pace: Duration) -> Result<()> {
        let (count, pace) = (count.to_string(), pace.as_secs_f64().to_string());
        let args = ["-q", "-c", &count, "-i", &pace, &guest.ipv4.to_string()];
        let ping = self.wire("ping", args).output()?;
        let (said, complained) =
            (String::from_utf8_lossy(&ping.stdout), String::from_utf8_lossy(&ping.stderr));
        ensure!(ping.status.success(), "{said}{complained}");
        Ok(())
    }
}
