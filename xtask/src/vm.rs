//! `cargo xtask vm`: a command in a test VM.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use hoptrace_tests::BINARY_ENV;
use hoptrace_tests::lab::Folders;
use hoptrace_tests::vm::{Job, KernelChoice, Machine, PAYLOAD_DIR, STAGE_COMMAND, Series, VETHS, Verdict};

use crate::build;
use crate::progress::step;

/// A Debian series by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SeriesName {
    /// Debian 12's own kernel.
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13's own kernel.
    #[value(name = "6.12")]
    V6_12,
}

impl From<SeriesName> for Series {
    fn from(name: SeriesName) -> Self {
        match name {
            SeriesName::V6_1 => Self::V6_1,
            SeriesName::V6_12 => Self::V6_12,
        }
    }
}

#[derive(Args)]
pub(crate) struct VmArgs {
    /// Debian's kernel of this series.
    #[arg(long, value_name = "SERIES", default_value = "6.12", conflicts_with = "kernel")]
    series: SeriesName,
    /// Another kernel's image.
    #[arg(long, value_name = "PATH", requires = "modules")]
    kernel: Option<PathBuf>,
    /// Its modules: the folder that is named after its release, as below /lib/modules.
    #[arg(long, value_name = "DIR", requires = "kernel")]
    modules: Option<PathBuf>,
    /// First bring up the path of a compute node; `HOPTRACE_LAB` describes it.
    #[arg(long)]
    lab: bool,
    /// Likewise, but the guest is behind a veth pair: nothing but the kernel carries its packets, and it has no agent.
    #[arg(long, conflicts_with = "lab")]
    veths: bool,
    /// Two more NICs of this model of QEMU's, on a wire of their own; two of vmxnet3 and of virtio-net-pci are there always.
    #[arg(long, value_name = "MODEL")]
    nic: Vec<String>,
    /// A file to take along; it lies in the folder in which the command runs.
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Seconds until the VM is taken for hanging.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    time_limit: u64,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: VmArgs) -> Result<ExitCode> {
    let folders = Folders::find()?;
    let choice = match (args.kernel, args.modules) {
        (Some(image), Some(modules_dir)) => KernelChoice::Own { image, modules_dir },
        _ => KernelChoice::Debian(args.series.into()),
    };
    let hoptrace = build::release(&folders)?;
    let machine = Machine::new(&folders, &choice, &step)?.with_nics(args.nic);
    let limit = Duration::from_secs(args.time_limit);
    let path = if args.veths { Some(PathKind::Veths) } else { args.lab.then_some(PathKind::Guests) };
    let verdict = in_vm(&machine, &folders, &hoptrace, path, args.command, &args.file, limit)?;
    Ok(ExitCode::from(verdict.exit_code()))
}

/// The path of a compute node in a VM, by what its guests are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathKind {
    /// Namespaces with a NIC and an agent each.
    Guests,
    /// One namespace behind a veth pair.
    Veths,
}

impl PathKind {
    /// What brings the path up before the command that follows.
    fn words(self) -> Vec<String> {
        let mut words = vec![format!("{PAYLOAD_DIR}/xtask"), STAGE_COMMAND.to_owned()];
        if self == Self::Veths {
            words.push(VETHS.to_owned());
        }
        words
    }
}

/// Runs a command in the VM, with `hoptrace`, this program, the guests' agent and `files` beside it. Says what happened
/// unless the command simply ended.
pub(crate) fn in_vm(
    machine: &Machine,
    folders: &Folders,
    hoptrace: &Path,
    path: Option<PathKind>,
    command: Vec<String>,
    files: &[PathBuf],
    limit: Duration,
) -> Result<Verdict> {
    let mut carried = vec![hoptrace.to_owned(), std::env::current_exe()?, machine.guest_agent(folders)?];
    carried.extend_from_slice(files);
    let inside = |name: &str| format!("{PAYLOAD_DIR}/{name}");
    let job = Job {
        command: path.map_or_else(Vec::new, PathKind::words).into_iter().chain(command).collect(),
        environment: vec![(BINARY_ENV.to_owned(), inside("hoptrace"))],
    };
    let ended = machine.run(&job, &carried, limit)?;
    if !matches!(ended.verdict, Verdict::Exited(_)) {
        step(&format!("{} (console: {})", ended.verdict, ended.console.display()));
    }
    Ok(ended.verdict)
}
