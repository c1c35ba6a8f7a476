//! Latency truth: a delay on one segment at a time must appear there, and nowhere else.
//!
//! `netem` delays packets between two hooks: at an interface's queueing discipline, which is behind its hook, or, where
//! there is none between the hooks, behind a detour over an `ifb` device on the way into the interface. An emulated
//! machine's timers are late, so what was asked of netem is not what packets get: the truth is what tcpdump saw of each
//! packet at both ends. One trace sees all delays of a place in turn, several rounds of them, and no delay among them; so
//! what drifts meanwhile is in all of them.
//!
//! On the path that is all in the kernel, on this machine's own timers, whoever holds packets knows for how long
//! (`kernel_path`).

mod held;
mod kernel_path;
mod site;
mod traced;
mod verdict;

pub use verdict::{Delayed, delay_table};

use anyhow::Result;

use super::runner::{guarded, prepare};
use super::{Hooks, Scene};
use crate::lab::Lab;
use site::{DELAYS, SITES};
use traced::traced;
use verdict::{failed, judged};

/// Delays every segment in turn; `each` hears of each result.
///
/// # Errors
/// Where the lab does not let itself be prepared. What goes wrong with a delay is its result's.
pub fn delay_all(lab: &Lab, each: &mut dyn FnMut(&Delayed)) -> Result<Vec<Delayed>> {
    if lab.datapath == "bridge" {
        return kernel_path::delay_all(lab, each);
    }
    let scene = Scene::new(lab, Hooks::All)?;
    if !scene.platform.has_kernel_datapath {
        return Ok(Vec::new());
    }
    let _quiet = prepare(&scene)?;
    let mut results = Vec::new();
    for row in SITES {
        let found = guarded(|| traced(&scene, row));
        for site in row {
            for (number, delay) in DELAYS.iter().enumerate() {
                let result = match &found {
                    Ok(found) => judged(site, delay, found, number),
                    Err(error) => failed(site, delay, format!("{error:#}")),
                };
                each(&result);
                results.push(result);
            }
        }
    }
    Ok(results)
}
