//! What nearly every test uses: `use hoptrace_tests::prelude::*;`.

pub use std::time::Duration;

pub use anyhow::{Context as _, Result, bail, ensure};
pub use rustix::process::Signal;

pub use crate::lab::{Guest, InterfaceCounts, Lab, Trap};
pub use crate::report::Direction::{self, Egress, Ingress};
pub use crate::report::{DropsReport, Ledger, Report};
pub use crate::{Tracer, hoptrace, kernel_version, run};
