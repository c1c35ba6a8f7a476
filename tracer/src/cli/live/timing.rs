//! Options of the commands that tell how long packets take.

use super::units::{parse_cost_ppm, parse_sample};
use crate::model::Timing;

/// Which packets are timed. Without any of these: all, up to some 50,000 a second of all ports together, and of more a share.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub(in crate::cli) struct TimingArgs {
    /// Time every packet, however many there are; without it one of 2, 4, 8 … is timed where more than some 50,000 come in a second. All
    /// are counted and followed either way
    #[arg(long)]
    exact: bool,
    /// Time one packet of N, chosen by their identity
    #[arg(long, value_name = "1:N", value_parser = parse_sample)]
    timed: Option<u32>,
    /// Time as many packets as keep what tracing costs below this share of one CPU, as 1%
    #[arg(long, value_name = "SHARE", value_parser = parse_cost_ppm)]
    cost: Option<u32>,
}

impl TimingArgs {
    /// As the trace has it.
    pub(in crate::cli) fn timing(&self) -> Timing {
        match (self.exact, self.timed, self.cost) {
            (true, ..) | (_, Some(1), _) => Timing::Exact,
            (_, Some(one_of), _) => Timing::OneOf(one_of),
            (_, _, Some(ppm)) => Timing::Cost(ppm),
            _ => Timing::Auto,
        }
    }
}
