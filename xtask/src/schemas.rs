//! `cargo xtask schemas`: the JSON schemas of hoptrace's outputs, as files. They are made of the types that are written;
//! `cargo xtask lint` fails when the files say something else.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use hoptrace_tests::lab::Folders;

use crate::process::cargo;
use crate::progress::step;

const FOLDER: &str = "tracer/schema";
const ENDING: &str = ".schema.json";

/// Writes them.
pub(crate) fn run() -> Result<ExitCode> {
    let folders = Folders::find()?;
    let (now, before) = (generated(&folders)?, written(&folders)?);
    let folder = folders.workspace_root.join(FOLDER);
    for name in before.keys().filter(|name| !now.contains_key(*name)) {
        fs::remove_file(folder.join(name)).with_context(|| format!("remove {name}"))?;
    }
    for (name, text) in &now {
        fs::write(folder.join(name), text).with_context(|| format!("write {name}"))?;
        step(&format!("{FOLDER}/{name}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails when a file is stale, missing or left over.
pub(crate) fn check(folders: &Folders) -> Result<()> {
    let (now, before) = (generated(folders)?, written(folders)?);
    let names = now.keys().chain(before.keys());
    let stale: Vec<_> = names.filter(|name| now.get(*name) != before.get(*name)).collect();
    if let Some(name) = stale.first() {
        bail!("{FOLDER}/{name} is stale: cargo xtask schemas writes it anew");
    }
    Ok(())
}

/// What the program says, by the names of the files.
fn generated(folders: &Folders) -> Result<BTreeMap<String, String>> {
    let mut build = cargo(&["build", "--quiet", "--package", "hoptrace"]);
    crate::process::run(build.current_dir(&folders.workspace_root))?;
    let hoptrace = folders.target_dir.join("debug/hoptrace");
    let ask = |args: &[&str]| {
        let output = Command::new(&hoptrace).arg("schema").args(args).output().context("run hoptrace")?;
        ensure!(output.status.success(), "hoptrace schema: {}", String::from_utf8_lossy(&output.stderr));
        anyhow::Ok(String::from_utf8(output.stdout)?)
    };
    let mut schemas = BTreeMap::new();
    for line in ask(&[])?.lines() {
        let (name, version) = line.split_once(' ').context("not a name and a version")?;
        schemas.insert(format!("{}{ENDING}", version.trim().replace('/', "-")), ask(&[name])?);
    }
    Ok(schemas)
}

/// What is in the files.
fn written(folders: &Folders) -> Result<BTreeMap<String, String>> {
    let files = fs::read_dir(folders.workspace_root.join(FOLDER)).context("list the schemas")?;
    let paths = files.map(|file| Ok(file?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let read = |path: PathBuf| {
        let name = path.file_name()?.to_str().filter(|name| name.ends_with(ENDING))?.to_owned();
        Some(fs::read_to_string(&path).map(|text| (name, text)))
    };
    Ok(paths.into_iter().filter_map(read).collect::<Result<_, _>>()?)
}
