//! Faults set on purpose in the host side of the lab.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Guest;

/// A fault; dropping it takes it away again, whatever happens.
#[derive(Debug)]
pub struct Trap {
    program: &'static str,
    remove: Vec<String>,
}

impl Trap {
    /// Runs `program` with the words `set`, and with the words `remove` when the trap is dropped.
    ///
    /// # Errors
    /// When it does not succeed.
    pub fn set(program: &'static str, set: &[&str], remove: &[&str]) -> Result<Self> {
        run(program, set)?;
        Ok(Self { program, remove: remove.iter().map(|word| (*word).to_owned()).collect() })
    }
}

impl Guest {
    /// The guest takes no frames from its tap any more, and sends none, until the trap is dropped.
    ///
    /// # Errors
    /// When it can not be stopped.
    pub fn freeze(&self) -> Result<Trap> {
        match self.nic_pid {
            Some(pid) => {
                let pid = pid.to_string();
                Trap::set("kill", &["-STOP", &pid], &["-CONT", &pid])
            }
            None => Trap::set("virsh", &["-q", "suspend", &self.domain], &["-q", "resume", &self.domain]),
        }
    }
}

impl Drop for Trap {
    #[allow(
        clippy::expect_used,
        reason = "a fault that stays would fail other tests for no reason of theirs"
    )]
    fn drop(&mut self) {
        let words: Vec<_> = self.remove.iter().map(String::as_str).collect();
        run(self.program, &words).expect("the trap can be taken away");
    }
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    let output = Command::new(program).args(args).output().with_context(|| format!("run {program}"))?;
    ensure!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
