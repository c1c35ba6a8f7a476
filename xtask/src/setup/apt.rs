//! Installing Debian packages without starting what they bring.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::progress::step;

const POLICY: &str = "/usr/sbin/policy-rc.d";

pub(super) fn is_available() -> bool {
    Path::new("/usr/bin/apt-get").exists()
}

pub(super) fn install(packages: &[&str]) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("run as root, or: apt-get install --no-install-recommends {}", packages.join(" "));
    }
    step(&format!("apt-get install {}", packages.join(" ")));
    let _policy = NoServices::begin()?;
    process::run(&mut apt(&["update"])).context("apt-get update")?;
    let mut install = apt(&["install", "--yes", "--no-install-recommends"]);
    process::run(install.args(packages)).context("apt-get install")
}

fn apt(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.arg("--quiet=2").args(args).env("DEBIAN_FRONTEND", "noninteractive");
    // Standard output carries results only.
    command.stdout(std::io::stderr());
    command
}

/// While it lives, packages do not start services. An administrator's own policy stays as it is.
struct NoServices {
    is_ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self> {
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY) {
            Ok(mut file) => {
                let guard = Self { is_ours: true };
                file.write_all(b"#!/bin/sh\nexit 101\n").context("write policy-rc.d")?;
                Ok(guard)
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Self { is_ours: false }),
            Err(error) => Err(error).with_context(|| format!("create {POLICY}")),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.is_ours {
            // Nothing more can be done in a destructor; the file is harmless and named in the documentation of dpkg.
            drop(fs::remove_file(POLICY));
        }
    }
}
