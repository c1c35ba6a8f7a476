//! The program as a user meets it: output, errors and exit codes, against libvirt's own test driver. Needs no root.
#![cfg(feature = "libvirt")]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::process::{Command, Output, Stdio};

fn hoptrace(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hoptrace"));
    command
        .args(["--libvirt-uri", "test:///default", "--ovsdb", "unix:/nonexistent/db.sock"])
        .args(arguments);
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = hoptrace(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn results_go_to_stdout_and_notes_to_stderr() {
    let (code, stdout, stderr) = run(&["list", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["schema"], "hoptrace.list/1");
    let port = json["ports"].as_array().unwrap().iter().find(|port| port["name"] == "test").unwrap();
    assert_eq!((port["mac"].as_str(), port["traceable"].as_str()), (Some("aa:bb:cc:dd:ee:ff"), Some("no")));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("/nonexistent/db.sock"), "{stderr}");
}

#[test]
fn every_format_of_a_path_comes_out() {
    for (format, start) in [("text", "test"), ("json", "{"), ("dot", "digraph"), ("mermaid", "flowchart")] {
        let (code, stdout, stderr) = run(&["path", "aa:bb:cc:dd:ee:ff", "--format", format]);
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.starts_with(start) && stdout.ends_with('\n') && !stdout.contains('\x1b'), "{stdout}");
    }
}

#[test]
fn errors_are_one_line_and_the_contracts_exit_code() {
    let (code, stdout, stderr) = run(&["path", "tset\x1b[2J"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let error = stderr.lines().last().unwrap();
    assert!(error.starts_with("hoptrace: no VM or port is called tset\\u{1b}"), "{stderr}");
    assert_eq!(run(&["path", ""]).0, 2);
    assert_eq!(run(&["path"]).0, 2);
    assert_eq!(run(&["path", "test", "--format", "png"]).0, 2);
    let (code, _, stderr) = run(&["trace", "test", "-d", "-1"]);
    assert!(code == 2 && stderr.contains("must be 0 or more") && !stderr.contains("-- -1"), "{stderr}");
    assert_eq!(run(&["--help"]).0, 0);
    let nothing = Command::new(env!("CARGO_BIN_EXE_hoptrace"))
        .args([
            "--libvirt-uri",
            "qemu+unix:///system?socket=/nonexistent",
            "--ovsdb",
            "unix:/nonexistent",
            "list",
        ])
        .output()
        .unwrap();
    let stderr = String::from_utf8(nothing.stderr).unwrap();
    assert_eq!((nothing.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("run as root"), "{stderr}");
}

#[test]
fn a_packet_that_no_switch_can_be_asked_about_is_an_error_of_one_line() {
    let ask = |words, format| run(&["path", "aa:bb:cc:dd:ee:ff", "--flow", words, "--format", format]);
    let (code, stdout, stderr) = ask("icmp and dst host 10.0.0.1", "text");
    assert_eq!((code, stdout.as_str()), (1, ""));
    let error = stderr.lines().last().unwrap();
    assert!(error.starts_with("hoptrace: no ") && error.contains("Open vSwitch"), "{stderr}");
    for (words, format, said) in [
        ("icmp or udp", "text", "not supported yet: `or`"),
        ("dst 10.0.0.1", "json", "write `dst host 10.0.0.1`"),
        ("icmp", "json", "add `dst host ADDRESS`"),
        ("icmp and dst host 10.0.0.1", "dot", "--format json"),
        ("icmp and dst host 10.0.0.1", "mermaid", "--format json"),
    ] {
        let (code, stdout, stderr) = ask(words, format);
        assert_eq!((code, stdout.as_str()), (2, ""), "{words}: {stderr}");
        assert!(stderr.lines().last().unwrap().contains(said), "{words}: {stderr}");
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = hoptrace(&["list"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("hoptrace:"), "{stderr}");
}
