//! What programs read: each command's JSON against its schema, and the library's example.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use hoptrace_tests::BINARY_ENV;
use hoptrace_tests::prelude::*;
use jsonschema::Validator;
use serde_json::Value;

/// The schemas, by what an output's member `schema` says.
const SCHEMAS: [(&str, &str); 7] = [
    ("hoptrace.list/1", include_str!("../../tracer/schema/hoptrace.list-1.schema.json")),
    ("hoptrace.path/2", include_str!("../../tracer/schema/hoptrace.path-2.schema.json")),
    ("hoptrace.trace/2", include_str!("../../tracer/schema/hoptrace.trace-2.schema.json")),
    ("hoptrace.drops/2", include_str!("../../tracer/schema/hoptrace.drops-2.schema.json")),
    ("hoptrace.top/1", include_str!("../../tracer/schema/hoptrace.top-1.schema.json")),
    ("hoptrace.packet/1", include_str!("../../tracer/schema/hoptrace.packet-1.schema.json")),
    ("hoptrace.clean/1", include_str!("../../tracer/schema/hoptrace.clean-1.schema.json")),
];
const PINGS: usize = 20;

fn validator(version: &str) -> Result<Validator> {
    let (_, schema) = SCHEMAS.iter().find(|(name, _)| *name == version).context("no such schema")?;
    let schema: Value = serde_json::from_str(schema)?;
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(&schema).map_err(|error| anyhow::anyhow!("{version}: {error}"))
}

/// Each line is an object that says this version and keeps to its schema. Gives them.
fn checked(printed: &[u8], version: &str) -> Result<Vec<Value>> {
    let validator = validator(version)?;
    let mut objects = Vec::new();
    for line in std::str::from_utf8(printed)?.lines() {
        let object: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        ensure!(object.get("schema").and_then(Value::as_str) == Some(version), "{object}");
        let errors = validator.iter_errors(&object);
        let errors: Vec<_> = errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
        ensure!(errors.is_empty(), "{version}: {errors:#?}");
        objects.push(object);
    }
    ensure!(!objects.is_empty(), "{version}: nothing was printed");
    Ok(objects)
}

fn ping(lab: &Lab, guest: &Guest) -> Result<()> {
    lab.wire_ping(guest, PINGS as u64, Duration::from_millis(10))
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn all_json_keeps_to_its_schema() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = &lab.guests[0];
    let still = |args: &[&str]| -> Result<Vec<u8>> { Ok(hoptrace(args)?.output()?.stdout) };
    let ports = checked(&still(&["list", "--json"])?, "hoptrace.list/1")?;
    ensure!(ports[0]["ports"].as_array().is_some_and(|ports| ports.len() == lab.guests.len()), "{ports:?}");
    let path = checked(&still(&["path", &guest.port_id, "--format", "json"])?, "hoptrace.path/2")?;
    ensure!(path[0]["traceable"] == "fully" && path[0]["prediction"].is_null(), "{path:?}");
    let words = format!("icmp and dst host {}", lab.wire.ipv4);
    let asked = ["path", &guest.port_id, "--format", "json", "--flow", &words];
    let path = checked(&still(&asked)?, "hoptrace.path/2")?;
    ensure!(path[0]["prediction"]["explain"]["rules"].is_array(), "{path:?}");
    checked(&still(&["clean", "--json"])?, "hoptrace.clean/1")?;

    // One that dies, so that there are drops, with an example and what the switch says of it.
    let doomed = "priority=1000,icmp,icmp_type=8,nw_tos=32";
    let _rule = Trap::flow(&lab.integration_bridge, doomed, "drop")?;
    let ping_doomed = || -> Result<()> {
        let args = ["-q", "-n", "-Q", "32", "-W", "1", "-c", "1", &guest.ipv4.to_string()];
        lab.wire("ping", args).output()?;
        Ok(())
    };
    for (command, version) in [("trace", "hoptrace.trace/2"), ("drops", "hoptrace.drops/2")] {
        let more: &[&str] = if command == "trace" { &["--slowest", "3"] } else { &[] };
        let args = [&[command, &guest.port_id, "icmp", "--explain", "--json"], more].concat();
        let tracer = Tracer::start(&args)?;
        ping(&lab, guest)?;
        ping_doomed()?;
        tracer.signal(Signal::INT)?;
        let report = checked(&tracer.wait()?.stdout, version)?.remove(0);
        let ingress = &report["ports"][0]["directions"]["ingress"];
        ensure!(ingress["ledger"]["entered"] == PINGS + 1, "{ingress}");
        ensure!(ingress["drops"][0]["explain"]["rules"].is_array(), "{ingress}");
        ensure!(report["findings"][0]["severity"] == "critical", "{}", report["findings"]);
    }
    let tracer = Tracer::start(&["top", &guest.port_id, "icmp", "--interval", "100ms", "--json"])?;
    ping(&lab, guest)?;
    tracer.signal(Signal::INT)?;
    let tables = checked(&tracer.wait()?.stdout, "hoptrace.top/1")?;
    let (last, live) = tables.split_last().context("no line")?;
    ensure!(!live.is_empty() && live.iter().all(|table| table["live"] == true), "{live:?}");
    ensure!(last["live"] == false && last["ports"][0]["egress"]["packets"] == PINGS, "{last}");
    ensure!(last["ports"][0]["instance"]["port_id"] == guest.port_id.as_str(), "{last}");
    let tracer = Tracer::start(&["packets", &guest.port_id, "icmp", "--jsonl"])?;
    ping(&lab, guest)?;
    tracer.signal(Signal::INT)?;
    let packets = checked(&tracer.wait()?.stdout, "hoptrace.packet/1")?;
    ensure!(packets.len() == 2 * PINGS, "{} packets", packets.len());
    Ok(())
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_library_s_example_traces_a_port() -> Result<()> {
    let lab = Lab::from_env()?;
    let guest = &lab.guests[0];
    let program = PathBuf::from(env::var_os(BINARY_ENV).context("which binary")?);
    let example = program.with_file_name("examples").join("trace_port");
    let mut child = Command::new(&example)
        .args([&guest.display_name, "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {}", example.display()))?;
    let mut said = BufReader::new(child.stderr.take().context("no stderr")?).lines();
    // It says this when packets are admitted.
    said.find(|line| line.as_ref().is_ok_and(|line| line.ends_with(" hooks")))
        .context("it does not begin")??;
    ping(&lab, guest)?;
    let mut text = String::new();
    child.stdout.take().context("no stdout")?.read_to_string(&mut text)?;
    ensure!(child.wait()?.success(), "{text}");
    ensure!(text.starts_with("✔ nothing died: "), "{text}");
    let ledgers = text.lines().filter(|line| line.contains("ledger  entered ") && line.ends_with("balanced"));
    ensure!(ledgers.count() == 2, "{text}");
    Ok(())
}
