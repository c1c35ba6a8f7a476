//! Compilers and tools that come from rustup and cargo. No toolchain is ever downloaded.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;

/// Name under which rustup knows Debian's compiler.
pub(super) const DEBIAN_TOOLCHAIN: &str = "debian";
pub(super) const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
pub(super) const BPF_LINKER_COMMAND: &str = "LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --version 0.13.0 \
                                             --no-default-features --features llvm-22";

/// A compiler that can build the eBPF programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EbpfToolchain {
    /// Name to give to rustup.
    pub(crate) name: String,
    /// Its folder.
    pub(crate) root: PathBuf,
}

impl EbpfToolchain {
    /// Whether this toolchain brings a clippy of its own.
    pub(crate) fn has_clippy(&self) -> bool {
        self.root.join("bin/cargo-clippy").exists()
    }
}

impl fmt::Display for EbpfToolchain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "rustup toolchain {}", self.name)
    }
}

/// A nightly with its library source, else Debian's compiler linked into rustup.
pub(crate) fn find_ebpf_toolchain() -> Result<EbpfToolchain, String> {
    let toolchains = rustup_home().join("toolchains");
    let mut names: Vec<String> = std::fs::read_dir(&toolchains)
        .map_err(|error| format!("no rustup toolchains: {error}"))?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("nightly") || name == DEBIAN_TOOLCHAIN)
        .collect();
    // The undated nightly sorts before dated ones when reversed by length; Debian's compiler comes last.
    names.sort_by_key(|name| (name == DEBIAN_TOOLCHAIN, name.len()));
    names
        .into_iter()
        .map(|name| EbpfToolchain { root: toolchains.join(&name), name })
        .find(|toolchain| toolchain.root.join("lib/rustlib/src/rust/library/core/src/lib.rs").exists())
        .ok_or_else(|| "no nightly with rust-src, no Debian compiler linked to rustup".to_owned())
}

fn rustup_home() -> PathBuf {
    std::env::var_os("RUSTUP_HOME").map_or_else(|| home().join(".rustup"), PathBuf::from)
}

fn cargo_bin() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from).join("bin")
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from)
}

/// Makes Debian's compiler, installed in `/usr`, a rustup toolchain.
pub(super) fn link_debian() -> Result<()> {
    process::run(Command::new("rustup").args(["toolchain", "link", DEBIAN_TOOLCHAIN, "/usr"]))
}

pub(super) fn install_bpf_linker() -> Result<()> {
    process::run(
        Command::new("cargo")
            .args(["install", "bpf-linker", "--version", "0.13.0"])
            .args(["--no-default-features", "--features", "llvm-22"])
            .env("LLVM_PREFIX", LLVM_PREFIX)
            // Installed programs are built once; our target folder is not theirs.
            .env_remove("CARGO_TARGET_DIR"),
    )
    .context("install bpf-linker")
}

pub(super) fn add_component(component: &str) -> Result<()> {
    process::run(Command::new("rustup").args(["component", "add", component]))
}

/// bpf-linker, wherever the shell or cargo would find it.
pub(super) fn bpf_linker() -> Result<String, String> {
    find_program("bpf-linker").map(|_| "bpf-linker".to_owned()).ok_or_else(|| "not in PATH".to_owned())
}

/// A cargo subcommand of the toolchain that runs us. rustup puts a proxy for it everywhere, so look into the toolchain.
pub(super) fn component(program: &str) -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").map(PathBuf::from);
    let beside =
        cargo.as_deref().and_then(Path::parent).map(|dir| dir.join(program)).filter(|path| path.exists());
    beside.map(|_| program.to_owned()).ok_or_else(|| format!("{program} not in this toolchain"))
}

pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([cargo_bin()]).map(|dir| dir.join(name)).find(|path| path.exists())
}
