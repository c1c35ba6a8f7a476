//! Reading the verdict from a VM's console.

use std::fmt;
use std::time::Duration;

use super::contract::{EXIT, FAILED, TAG};

/// How a VM's run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The command ended with this code.
    Exited(u8),
    /// The kernel panicked; its words.
    Panic(String),
    /// A CPU or a task was stuck for so long that the kernel gave up; its words.
    Lockup(String),
    /// The time limit passed; the last words on the console.
    Hang(Duration, String),
    /// `vm-init` could not run the command, or QEMU ended early; why.
    Broken(String),
}

/// What the kernel says when its watchdogs panic.
const LOCKUPS: [&str; 5] = ["softlockup", "LOCKUP", "hung_task", "RCU Stall", "rcu stall"];
const PANIC: &str = "Kernel panic - not syncing: ";

impl Verdict {
    /// Judges what is on the console of a VM that has ended: by itself, or because `limit` had passed.
    pub(super) fn read(console: &str, timed_out: Option<Duration>, qemu: &str) -> Self {
        let lines = || console.lines().map(without_time);
        // First of all: an exit code that came before a panic is worth nothing.
        if let Some(words) = lines().find_map(|line| line.split_once(PANIC).map(|(_, words)| words)) {
            let is_lockup = LOCKUPS.iter().any(|lockup| words.contains(lockup));
            let words = words.trim().to_owned();
            return if is_lockup { Self::Lockup(words) } else { Self::Panic(words) };
        }
        let mut said = lines().filter_map(|line| line.strip_prefix(TAG)).map(str::trim);
        if let Some(verdict) = said.find_map(judge) {
            return verdict;
        }
        let last = lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing").trim().to_owned();
        match timed_out {
            Some(limit) => Self::Hang(limit, last),
            None => Self::Broken(format!(
                "QEMU ended ({qemu}) without a verdict; the console's last words: {last}"
            )),
        }
    }

    /// The exit code for a shell: the command's own, or one that tells what happened to the VM.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Exited(code) => *code,
            Self::Broken(_) => 120,
            Self::Panic(_) => 121,
            Self::Lockup(_) => 122,
            // What timeout(1) says.
            Self::Hang(..) => 124,
        }
    }
}

/// One line of `vm-init`.
fn judge(line: &str) -> Option<Verdict> {
    if let Some(code) = line.strip_prefix(EXIT) {
        return code.trim().parse().ok().map(Verdict::Exited);
    }
    line.strip_prefix(FAILED).map(|why| Verdict::Broken(why.trim().to_owned()))
}

/// `[    2.345678] words` without the time.
fn without_time(line: &str) -> &str {
    let stamped = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("] "));
    stamped
        .filter(|(time, _)| time.chars().all(|letter| letter.is_ascii_digit() || " .".contains(letter)))
        .map_or(line, |(_, words)| words)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "the command ended with exit code {code}"),
            Self::Panic(words) => write!(f, "the kernel panicked: {words}"),
            Self::Lockup(words) => write!(f, "the kernel locked up: {words}"),
            Self::Hang(limit, last) => {
                write!(f, "no verdict after {} s; the console's last words: {last}", limit.as_secs())
            }
            Self::Broken(why) => write!(f, "the VM did not run the command: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(console: &str) -> Verdict {
        Verdict::read(console, None, "exit status: 0")
    }

    #[test]
    fn the_commands_exit_code_is_the_verdict() {
        assert_eq!(
            read("[    2.1] hoptrace-vm: up\r\n[    5.9] hoptrace-vm: exit 3\r\n"),
            Verdict::Exited(3)
        );
        assert_eq!(Verdict::Exited(3).exit_code(), 3);
    }

    #[test]
    fn a_command_that_prints_a_verdict_does_not_make_one() {
        assert!(matches!(read("it says hoptrace-vm: exit 0\n"), Verdict::Broken(_)));
    }

    #[test]
    fn a_panic_outranks_an_exit_code() {
        let text = "[ 5.1] hoptrace-vm: exit 0\n[ 5.2] Kernel panic - not syncing: Fatal exception\n";
        assert_eq!(read(text), Verdict::Panic("Fatal exception".to_owned()));
    }

    #[test]
    fn watchdogs_are_lockups() {
        for words in ["softlockup: hung tasks", "RCU Stall", "hung_task: blocked tasks", "Hard LOCKUP"] {
            let text = format!("[   93.1] Kernel panic - not syncing: {words}\n");
            assert_eq!(read(&text), Verdict::Lockup(words.to_owned()));
        }
    }

    #[test]
    fn silence_until_the_time_is_over_is_a_hang() {
        let limit = Duration::from_mins(1);
        let verdict = Verdict::read("[    1.0] Run /init as init process\n\n", Some(limit), "signal: 9");
        assert_eq!(verdict, Verdict::Hang(limit, "Run /init as init process".to_owned()));
        assert_eq!(verdict.exit_code(), 124);
    }

    #[test]
    fn a_vm_that_never_ran_the_command_says_why() {
        let verdict = read("[    1.0] hoptrace-vm: failed: mount /dev/vda: No such device\n");
        assert_eq!(verdict, Verdict::Broken("mount /dev/vda: No such device".to_owned()));
        assert!(matches!(read(""), Verdict::Broken(_)));
    }
}
