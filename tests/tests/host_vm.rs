//! Test VMs: what happens in one is told to the host.

use hoptrace_tests::lab::Folders;
use hoptrace_tests::prelude::*;
use hoptrace_tests::vm::{Job, KernelChoice, Machine, Series, Verdict};

const LIMIT: Duration = Duration::from_mins(2);

/// Boots and runs a shell script.
fn run(script: &str, limit: Duration) -> Result<Verdict> {
    let machine = Machine::new(&Folders::find()?, &KernelChoice::Debian(Series::V6_12), &|_| {})?;
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    Ok(machine.run(&Job { command, environment: Vec::new() }, &[], limit)?.verdict)
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn the_exit_code_of_the_command_is_the_verdict() -> Result<()> {
    let verdict = run("exit 7", LIMIT)?;
    ensure!(verdict == Verdict::Exited(7), "{verdict}");
    Ok(())
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_panic_is_a_verdict() -> Result<()> {
    let verdict = run("echo c > /proc/sysrq-trigger; sleep 60", LIMIT)?;
    ensure!(matches!(verdict, Verdict::Panic(_)), "{verdict}");
    Ok(())
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_task_that_is_stuck_is_a_lockup() -> Result<()> {
    // Whoever writes to a frozen file system waits where no signal reaches it.
    let script = "echo 3 > /proc/sys/kernel/hung_task_timeout_secs
        fsfreeze --freeze /payload && touch /payload/never; sleep 60";
    let verdict = run(script, LIMIT)?;
    ensure!(matches!(&verdict, Verdict::Lockup(words) if words.contains("hung_task")), "{verdict}");
    Ok(())
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_vm_with_nothing_to_say_hangs() -> Result<()> {
    // A VM is up after five seconds.
    let limit = Duration::from_secs(10);
    let verdict = run("sleep 1000", limit)?;
    ensure!(matches!(verdict, Verdict::Hang(after, _) if after == limit), "{verdict}");
    Ok(())
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_command_that_is_not_there_is_told_apart_from_one_that_fails() -> Result<()> {
    let machine = Machine::new(&Folders::find()?, &KernelChoice::Debian(Series::V6_12), &|_| {})?;
    let job = Job { command: vec!["no-such-program".to_owned()], environment: Vec::new() };
    let verdict = machine.run(&job, &[], LIMIT)?.verdict;
    ensure!(matches!(&verdict, Verdict::Broken(why) if why.contains("no-such-program")), "{verdict}");
    Ok(())
}
