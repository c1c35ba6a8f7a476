//! Compiles the eBPF programs and hands the object to the crate.
//!
//! They need a compiler with its library source for `-Z build-std=core`: a rustup nightly with the component
//! `rust-src`, else Debian's packages linked as the rustup toolchain `debian`. Nothing is downloaded here.

use std::{env, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain};

fn main() -> Result<()> {
    let manifest = env::var("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&manifest).join("../tracer-ebpf");
    let common = Path::new(&manifest).join("../tracer-common/src");
    println!("cargo:rerun-if-changed={}", common.display());
    let root = root.to_str().context("the path of tracer-ebpf is not UTF-8")?;
    let package = Package { name: "hoptrace-ebpf", root_dir: root, ..Package::default() };
    let toolchain = if has_library_source("nightly") {
        Toolchain::Nightly
    } else if has_library_source("debian") {
        // A stable compiler: unstable features are unlocked for this build alone.
        // SAFETY: no other thread runs yet.
        unsafe { env::set_var("RUSTC_BOOTSTRAP", "1") };
        Toolchain::Custom("debian")
    } else {
        bail!(
            "no compiler for eBPF: neither a nightly toolchain with rust-src nor Debian's rustc-web with rust-web-src \
             linked as `debian`; `cargo xtask setup` installs what is missing"
        );
    };
    // Atomic compare-exchange and 32-bit jumps (kernels from 5.12 on). aya-build sets the usual flags itself and
    // leaves no room for more, so this one goes through the profile. Only the inner build inherits it.
    // SAFETY: no other thread runs yet.
    unsafe {
        env::set_var("CARGO_UNSTABLE_PROFILE_RUSTFLAGS", "true");
        env::set_var("CARGO_PROFILE_RELEASE_RUSTFLAGS", "-Ctarget-cpu=v3");
        env::set_var("CARGO_PROFILE_RELEASE_BUILD_OVERRIDE_RUSTFLAGS", "--cap-lints=allow");
    }
    aya_build::build_ebpf([package], toolchain)
}

/// Whether rustup knows `toolchain` and its standard library's source is there.
fn has_library_source(toolchain: &str) -> bool {
    let Ok(output) = Command::new("rustup").args(["run", toolchain, "rustc", "--print", "sysroot"]).output()
    else {
        return false;
    };
    let sysroot = String::from_utf8_lossy(&output.stdout);
    output.status.success()
        && Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs").exists()
}
