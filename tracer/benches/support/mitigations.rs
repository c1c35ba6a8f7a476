//! What the kernel does about flaws of the CPU, and whether that makes calls and returns dear.

use std::{collections::BTreeMap, fs};

use serde::Serialize;

const FOLDER: &str = "/sys/devices/system/cpu/vulnerabilities";
/// The flaw whose mitigation says how indirect calls are made.
const INDIRECT_CALLS: &str = "spectre_v2";

/// As it stands in the JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Mitigations {
    /// Whether an indirect call goes by a detour: every call of an eBPF program, and every tail call, is one.
    retpolines: bool,
    /// Whether returns do.
    return_thunks: bool,
    /// What the kernel does about each flaw, as `/sys/devices/system/cpu/vulnerabilities` says. Flaws the CPU does not have are left out.
    #[serde(rename = "mitigations")]
    by_flaw: BTreeMap<String, String>,
}

impl Mitigations {
    /// Those of this machine.
    pub(crate) fn read() -> Self {
        let files = fs::read_dir(FOLDER).into_iter().flatten().flatten();
        Self::of(files.filter_map(|file| {
            let state = fs::read_to_string(file.path()).ok()?;
            Some((file.file_name().to_string_lossy().into_owned(), state))
        }))
    }

    /// Those of which the kernel says this: the flaw's name, and its state.
    pub(crate) fn of(states: impl Iterator<Item = (String, String)>) -> Self {
        let by_flaw: BTreeMap<String, String> = states
            .map(|(flaw, state)| (flaw, state.trim().to_owned()))
            .filter(|(_, state)| state != "Not affected")
            .collect();
        // What stands behind the first part is about branch history, other threads, and guests.
        let calls = by_flaw.get(INDIRECT_CALLS).and_then(|state| state.split(';').next());
        let is_thunk = |state: &String| {
            let state = state.to_lowercase();
            state.contains("return thunk") || state.contains("safe ret")
        };
        Self {
            retpolines: calls.is_some_and(|calls| calls.to_lowercase().contains("retpoline")),
            return_thunks: by_flaw.values().any(|state| is_thunk(state) || has_both_thunks(state)),
            by_flaw,
        }
    }

    /// In a few words.
    pub(crate) fn in_short(&self) -> String {
        let calls = if self.retpolines { "retpolines" } else { "no retpolines" };
        let returns = if self.return_thunks { "return thunks" } else { "no return thunks" };
        let open = self.by_flaw.iter().filter(|(_, state)| state.starts_with("Vulnerable"));
        let open: Vec<&str> = open.map(|(flaw, _)| flaw.as_str()).collect();
        if open.is_empty() {
            format!("{calls}, {returns}")
        } else {
            format!("{calls}, {returns}; vulnerable: {}", open.join(", "))
        }
    }
}

/// As the kernel says it of indirect target selection: "Aligned branch/return thunks".
fn has_both_thunks(state: &str) -> bool {
    state.contains("branch/return thunks")
}
