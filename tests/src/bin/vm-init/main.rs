//! First process of a test VM: mounts the disks, runs the job, writes its exit code to the kernel's log, powers off.

mod boot;
mod job;
mod log;
mod userland;

use rustix::system::{RebootCommand, reboot};

fn main() {
    let outcome = boot::reach_disks().and_then(|()| userland::enter()).and_then(|()| {
        log::say("up");
        job::run()
    });
    match outcome {
        Ok(code) => log::verdict_exit(code),
        Err(error) => log::verdict_failed(&error),
    }
    rustix::fs::sync();
    // Only an error comes back; the kernel then panics because its first process ends, which is a verdict as well.
    let _ = reboot(RebootCommand::PowerOff);
}
