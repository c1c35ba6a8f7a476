//! The commands. A new one is a file with `Args` and `run`, and a line in each place below.

use super::{CliError, CommonArgs, Exit, clean, drops, list, packets, path, schema, top, trace};
use crate::attach::guardian;

/// Live per-hop latency and drops on the packet path of a virtual machine.
#[derive(Debug, clap::Parser)]
#[command(name = "hoptrace", version, about, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the instances and ports this host can trace
    List(list::Args),
    /// Draw the packet path of a VM's port, and name what is wrong on it
    Path(path::Args),
    /// Trace the packets of VMs hop by hop: latency per segment, losses, and where every packet went
    Trace(trace::Args),
    /// Tell which packets of VMs die, where and why; of every VM where none is named
    Drops(drops::Args),
    /// The host's ports, a line for each, worst first, again and again
    Top(top::Args),
    /// Print each packet's way: the time it took from hook to hook
    Packets(packets::Args),
    /// Remove what a killed hoptrace has left on interfaces: on kernels before 6.6, where its guardian was killed, too
    Clean(clean::Args),
    /// Print the JSON schema of what a command prints as JSON
    Schema(schema::Args),
    /// Started by the commands that trace themselves
    #[command(name = guardian::COMMAND, hide = true)]
    Guardian,
}

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// What the command could not do.
    pub async fn run(&self, common: &CommonArgs) -> Result<Exit, CliError> {
        match self {
            Self::List(args) => list::run(common, args).await,
            Self::Path(args) => path::run(common, args).await,
            Self::Trace(args) => trace::run(common, args).await,
            Self::Drops(args) => drops::run(common, args).await,
            Self::Top(args) => top::run(common, args).await,
            Self::Packets(args) => packets::run(common, args).await,
            Self::Clean(args) => clean::run(args).await,
            Self::Schema(args) => schema::run(args),
            Self::Guardian => Err(CliError::new("the guardian needs a process of its own")),
        }
    }
}
