//! `cargo xtask setup`: finds what is missing, says so, and installs it where apt and cargo can.

mod apt;
mod items;
mod toolchain;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::progress::{heading, step, table};
pub(crate) use toolchain::{find_ebpf_toolchain, find_program};

use items::{Item, Remedy};

#[derive(Args, Default)]
pub(crate) struct SetupArgs {
    /// Only say what is missing; exit code 1 where something required is.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &SetupArgs) -> Result<ExitCode> {
    heading("setup");
    let items = items::inspect();
    table(&items.iter().map(Item::row).collect::<Vec<_>>());
    let missing: Vec<&Item> = items.iter().filter(|item| item.is_missing()).collect();
    if missing.is_empty() {
        step("nothing to install");
        return Ok(ExitCode::SUCCESS);
    }
    if args.check {
        return Ok(ExitCode::FAILURE);
    }
    if !apt::is_available() {
        bail!("{}", instructions(&missing));
    }
    install(&missing)?;
    let left: Vec<Item> = items::inspect().into_iter().filter(Item::is_missing).collect();
    if !left.is_empty() {
        bail!("still missing after the installation:\n{}", instructions(&left.iter().collect::<Vec<_>>()));
    }
    step("everything is installed");
    Ok(ExitCode::SUCCESS)
}

/// Set-up as the first part of another task.
pub(crate) fn ensure() -> Result<()> {
    run(&SetupArgs::default()).map(drop)
}

/// Packages first: the rest is built with them.
fn install(missing: &[&Item]) -> Result<()> {
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|item| match &item.remedy {
            Remedy::Packages(packages) | Remedy::PackagesAndLink(packages) => packages.as_slice(),
            Remedy::BpfLinker | Remedy::Rustup(_) => &[],
        })
        .copied()
        .collect();
    if !packages.is_empty() {
        apt::install(&packages)?;
    }
    for item in missing {
        match &item.remedy {
            Remedy::Packages(_) => {}
            Remedy::PackagesAndLink(_) => toolchain::link_debian()?,
            Remedy::BpfLinker => toolchain::install_bpf_linker()?,
            Remedy::Rustup(component) => toolchain::add_component(component)?,
        }
    }
    Ok(())
}

fn instructions(missing: &[&Item]) -> String {
    let lines = missing.iter().map(|item| format!("  {}: {}", item.name, item.remedy.instruction()));
    format!("install by hand, then run this again:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
