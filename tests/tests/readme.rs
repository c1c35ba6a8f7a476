//! Every `hoptrace` command of the README, run as it stands there.

use hoptrace_tests::prelude::*;

/// The VM of the README.
const VM: &str = "web-1";

/// The commands in its code blocks, in words, without their comments.
fn commands() -> Vec<Vec<&'static str>> {
    let lines = include_str!("../../README.md").lines().map(|line| line.trim_start_matches("$ "));
    let lines = lines.filter_map(|line| line.strip_prefix("hoptrace "));
    lines.map(|line| line.split('#').next().unwrap_or_default().split_whitespace().collect()).collect()
}

/// Pings, and TCP connections to port 443, which nobody listens at: two packets each.
fn traffic(lab: &Lab, guest: &Guest) -> Result<()> {
    lab.wire_ping(guest, 20, Duration::from_millis(10))?;
    let connect = format!("for i in $(seq 20); do : </dev/tcp/{}/443; done 2>/dev/null; true", guest.ipv4);
    let connected = lab.wire("bash", ["-c", &connect]).output()?;
    ensure!(connected.status.success(), "{}", String::from_utf8_lossy(&connected.stderr));
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn every_command_of_the_readme_works() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = lab.guest("yjwang-test-1")?;
    let commands = commands();
    ensure!(commands.len() >= 6, "the README has {} commands", commands.len());
    for words in commands {
        let args: Vec<_> =
            words.iter().map(|word| if *word == VM { guest.display_name.as_str() } else { word }).collect();
        let command = *args.first().context("an empty command")?;
        if ["list", "path"].contains(&command) {
            let output = hoptrace(&args)?.output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            ensure!(output.status.success() && text.contains(&guest.mac), "{words:?}: {text}");
            continue;
        }
        let tracer = Tracer::start(&args)?;
        traffic(&lab, guest)?;
        if !["-d", "-c"].iter().any(|end| args.contains(end)) {
            tracer.signal(Signal::INT)?;
        }
        let ended = tracer.wait()?;
        let text = String::from_utf8_lossy(&ended.stdout);
        ensure!(ended.status.success(), "{words:?}: {}: {}", ended.status, ended.stderr);
        if command == "packets" {
            ensure!(text.lines().count() == 20 && text.lines().all(|line| line.contains(":443 ")), "{text}");
        } else if command == "top" {
            let mut rows = text.lines().filter(|line| line.starts_with(&guest.display_name));
            // The userspace datapath may be faster than a hook: no packet is in doubt by that.
            let may_skew = lab.datapath == "netdev";
            let is_fine = |line: &str| line.ends_with(" -") || (may_skew && line.ends_with(" clock skew"));
            ensure!(rows.next_back().is_some_and(is_fine), "{words:?}: {text}");
        } else {
            ensure!(text.starts_with("✔ nothing died: "), "{words:?}: {text}");
        }
    }
    Ok(())
}
