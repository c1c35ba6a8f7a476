//! Faults set on purpose in the host side of the lab.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Guest, Lab};

/// A fault; dropping it takes it away again, whatever happens.
#[derive(Debug)]
pub struct Trap {
    program: &'static str,
    /// `None` once it is taken away.
    remove: Option<Vec<String>>,
}

impl Trap {
    /// Runs `program` with the words `set`, and with the words `remove` when the trap is dropped.
    ///
    /// # Errors
    /// When it does not succeed; what it had set until then is taken away as far as that goes.
    pub fn set(program: &'static str, set: &[&str], remove: &[&str]) -> Result<Self> {
        if let Err(error) = run(program, set) {
            // What was not set cannot be removed: that it fails says nothing.
            drop(run(program, remove));
            return Err(error);
        }
        Ok(Self { program, remove: Some(remove.iter().map(|word| (*word).to_owned()).collect()) })
    }

    /// An `OpenFlow` rule of `bridge`: `matches`, with its priority, as `ovs-ofctl` writes it.
    ///
    /// # Errors
    /// When the bridge does not take it.
    pub fn flow(bridge: &str, matches: &str, actions: &str) -> Result<Self> {
        let rule = format!("{matches},actions={actions}");
        Self::set("ovs-ofctl", &["add-flow", bridge, &rule], &["--strict", "del-flows", bridge, matches])
    }

    /// Lets the kernel's datapath keep flows that no packet hits; else `ovs-vswitchd` takes them away after ten seconds.
    ///
    /// # Errors
    /// When Open vSwitch does not take the setting.
    pub fn lasting_flows() -> Result<Self> {
        Self::set(
            "ovs-vsctl",
            &["set", "Open_vSwitch", ".", "other_config:max-idle=600000"],
            &["remove", "Open_vSwitch", ".", "other_config", "max-idle"],
        )
    }

    /// Takes it away; dropping it does the same, but has to panic where it cannot.
    ///
    /// # Errors
    /// When that does not succeed.
    pub fn take_away(mut self) -> Result<()> {
        self.remove_now()
    }

    fn remove_now(&mut self) -> Result<()> {
        let Some(words) = self.remove.take() else { return Ok(()) };
        run(self.program, &words.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

impl Lab {
    /// The outside world learns the guest's MAC address anew: it must not ask for it while the guest is frozen.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn introduce(&self, guest: &Guest) -> Result<()> {
        let ping = self.wire("ping", ["-q", "-c", "1", "-W", "5", &guest.ipv4.to_string()]).output()?;
        ensure!(ping.status.success(), "{} does not answer", guest.domain);
        Ok(())
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

    /// What the guest sends comes to its tap on this CPU, until the trap is dropped.
    ///
    /// # Errors
    /// When that can not be arranged.
    pub fn pin(&self, cpu: usize) -> Result<Trap> {
        let last = std::thread::available_parallelism().context("count CPUs")?.get() - 1;
        let (cpu, all) = (cpu.to_string(), format!("0-{last}"));
        if let Some(pid) = self.nic_pid.map(|pid| pid.to_string()) {
            return Trap::set("taskset", &["-a", "-c", "-p", &cpu, &pid], &["-a", "-c", "-p", &all, &pid]);
        }
        let words = |cpus| ["-q", "emulatorpin", self.domain.as_str(), cpus, "--live"];
        Trap::set("virsh", &words(cpu.as_str()), &words(all.as_str()))
    }
}

impl Drop for Trap {
    #[allow(
        clippy::expect_used,
        reason = "a fault that stays would fail other tests for no reason of theirs"
    )]
    fn drop(&mut self) {
        let removed = self.remove_now();
        // A second panic would end the whole program.
        if !std::thread::panicking() {
            removed.expect("the trap can be taken away");
        }
    }
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    let output = Command::new(program).args(args).output().with_context(|| format!("run {program}"))?;
    ensure!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
