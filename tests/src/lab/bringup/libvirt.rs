//! libvirt's daemons and the two domains.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::domain_xml::domain_xml;
use crate::exec::{daemon, run};
use crate::lab::{GuestImage, Lab, Progress, control, spec};

const URI: &str = "qemu:///system";
const BOOT_TIMEOUT: Duration = Duration::from_secs(90);

/// Writes a private configuration and starts `virtlogd`, then `libvirtd`. Both go into the background when they listen.
pub(super) fn start_daemons(log_dir: &Path) -> Result<()> {
    let log = |name: &str| format!("log_outputs = \"2:file:{}\"\n", log_dir.join(name).display());
    write("/etc/libvirt/virtlogd.conf", &log("virtlogd.log"))?;
    let libvirtd = "auth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n".to_owned() + &log("libvirtd.log");
    write("/etc/libvirt/libvirtd.conf", &libvirtd)?;
    // Guests run as root and unconfined: their files lie in a build folder that no other user may be able to read.
    write(
        "/etc/libvirt/qemu.conf",
        "user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\nnamespaces = []\nremember_owner = 0\n",
    )?;
    daemon("virtlogd", &["--daemon"])?;
    daemon("libvirtd", &["--daemon"])
}

fn write(path: &str, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {path}"))
}

/// Defines and boots all guests at once and waits until each has reported that it is ready.
pub(super) fn boot_guests(lab: &Lab, image: &GuestImage, progress: Progress<'_>) -> Result<()> {
    let mut booting = Vec::new();
    for guest in &lab.guests {
        let file = Path::new(spec::LAB_RUN_DIR).join(format!("{}.xml", guest.domain));
        fs::write(&file, domain_xml(lab, guest, image))?;
        virsh(&["define", &file.to_string_lossy()])?;
        // Paused first: the agent's READY goes nowhere when nobody is connected yet.
        virsh(&["start", "--paused", &guest.domain])?;
        let stream = control::connect(&guest.control_socket)?;
        virsh(&["resume", &guest.domain])?;
        booting.push((guest, stream));
    }
    progress("guests are booting");
    std::thread::scope(|scope| {
        let waits: Vec<_> = booting
            .into_iter()
            .map(|(guest, stream)| (guest, scope.spawn(move || control::wait_ready(stream, BOOT_TIMEOUT))))
            .collect();
        for (guest, wait) in waits {
            let ready = wait.join().map_err(|_| anyhow!("waiting for {} panicked", guest.domain))?;
            ready.with_context(|| {
                format!(
                    "{} did not boot; its console is {}.console.log in {}",
                    guest.domain,
                    guest.domain,
                    lab.log_dir.display()
                )
            })?;
            progress(&format!("{} ({}) is ready", guest.domain, guest.display_name));
        }
        Ok(())
    })
}

fn virsh(args: &[&str]) -> Result<String> {
    run("virsh", &[&["--quiet", "--connect", URI], args].concat())
}
