//! Runs the filters' own programs to list their rules.

use std::{io, path::Path, process::Stdio, time::Duration};

use tokio::{io::AsyncReadExt as _, process::Command};

use super::{legacy, nft, rules::Chain};

/// How long one program may take.
const TIME_LIMIT: Duration = Duration::from_secs(3);
/// How much it may print.
const MAX_BYTES: u64 = 64 << 20;
/// Where the programs are; a user's own path may lack some of it.
const PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// All rules of the host's packet filters.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    chains: Vec<Chain>,
    /// What could not be read, a line each.
    pub unread: Vec<String>,
}

impl Filters {
    pub(super) fn chains(&self) -> &[Chain] {
        &self.chains
    }

    fn take(&mut self, what: &str, found: io::Result<Vec<Chain>>) {
        match found {
            Ok(chains) => self.chains.extend(chains),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.unread.push(format!("{what} can not be listed: their program is not installed"));
            }
            Err(error) => self.unread.push(format!("{what} can not be listed: {error}")),
        }
    }
}

/// Lists all rules that there are. Filters that the kernel has not loaded are not asked about: asking would load them.
pub async fn look() -> Filters {
    let mut filters = Filters::default();
    let is_missing = |found: &io::Result<Vec<Chain>>| {
        found.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    if has_nftables() {
        let rules = nftables().await;
        if is_missing(&rules) {
            // What others made through it can be read all the same.
            let (ip, ip6, bridge) = tokio::join!(
                saved("iptables", "ip", "iptables-nft-save"),
                saved("ip6tables", "ip6", "ip6tables-nft-save"),
                saved("ebtables", "bridge", "ebtables-nft-save"),
            );
            for (program, found) in [("iptables", ip), ("ip6tables", ip6), ("ebtables", bridge)] {
                filters.take(&format!("the rules of {program}"), found.or_else(none_where_missing));
            }
        }
        filters.take("the rules of nftables", rules);
    }
    for (family, names, [legacy, plain]) in [
        ("ip", "/proc/net/ip_tables_names", ["iptables-legacy", "iptables"]),
        ("ip6", "/proc/net/ip6_tables_names", ["ip6tables-legacy", "ip6tables"]),
    ] {
        if std::fs::read_to_string(names).is_ok_and(|names| !names.trim().is_empty()) {
            let mut found = saved(legacy, family, &format!("{legacy}-save")).await;
            if is_missing(&found) {
                found = saved(plain, family, &format!("{plain}-save")).await;
            }
            filters.take(&format!("the rules of {plain}"), found);
        }
    }
    if is_loaded("ebtable_filter") || is_loaded("ebtable_nat") || is_loaded("ebtable_broute") {
        let found = saved("ebtables-legacy", "bridge", "ebtables-legacy-save").await;
        filters.take("the rules of ebtables", found);
    }
    filters
}

fn none_where_missing(error: io::Error) -> io::Result<Vec<Chain>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}

async fn nftables() -> io::Result<Vec<Chain>> {
    let text = run("nft", &["-j", "list", "ruleset"]).await?;
    nft::parse(&text).ok_or_else(|| io::Error::other("nft's answer is not understood"))
}

async fn saved(program: &'static str, family: &str, command: &str) -> io::Result<Vec<Chain>> {
    // ebtables has no option for its counters.
    let options: &[&str] = if program.starts_with("ebtables") { &[] } else { &["-c"] };
    Ok(legacy::parse(program, family, &run(command, options).await?))
}

/// What a program prints.
async fn run(program: &str, arguments: &[&str]) -> io::Result<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .env("EBTABLES_SAVE_COUNTER", "yes")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdout = child.stdout.take().ok_or_else(|| io::Error::other("no output"))?.take(MAX_BYTES);
    let asking = async {
        let mut text = Vec::new();
        stdout.read_to_end(&mut text).await?;
        let status = child.wait().await?;
        if status.success() { Ok(text) } else { Err(io::Error::other(format!("{program}: {status}"))) }
    };
    let slow = |_| io::Error::other(format!("{program}: no answer within {} s", TIME_LIMIT.as_secs()));
    let text = tokio::time::timeout(TIME_LIMIT, asking).await.map_err(slow)??;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Whether the kernel has nftables now; a kernel without modules has what it has.
fn has_nftables() -> bool {
    is_loaded("nf_tables") || !Path::new("/proc/modules").exists() || is_built_in("nf_tables")
}

fn is_loaded(module: &str) -> bool {
    Path::new("/sys/module").join(module).exists()
}

fn is_built_in(module: &str) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let list = Path::new("/lib/modules").join(release.trim()).join("modules.builtin");
    std::fs::read_to_string(list).is_ok_and(|list| list.contains(&format!("/{module}.ko")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_program_s_words_are_read_and_one_that_is_missing_is_an_error() {
        assert_eq!(run("echo", &["two", "words"]).await.unwrap(), "two words\n");
        assert_eq!(run("no-such-program", &[]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(run("false", &[]).await.unwrap_err().to_string().starts_with("false: "));
    }
}
