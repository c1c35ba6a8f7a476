//! The object of programs to compare with.

use anyhow::{Context as _, Result};
use aya::{Ebpf, EbpfLoader, programs::SchedClassifier};

/// Built beside the one that `hoptrace` embeds.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/hoptrace-bench"));

/// Loads the object and its programs `names`; `vm_mac` is what the reference implementation takes for the VM's.
pub(crate) fn load(vm_mac: u64, names: &[&str]) -> Result<Ebpf> {
    let mut ebpf = EbpfLoader::new()
        .override_global("VM_MAC", &vm_mac, true)
        .load(OBJECT)
        .context("load the object of programs to compare with")?;
    for name in names {
        classifier_mut(&mut ebpf, name)?.load().with_context(|| format!("load program {name}"))?;
    }
    Ok(ebpf)
}

pub(crate) fn classifier<'e>(ebpf: &'e Ebpf, name: &str) -> Result<&'e SchedClassifier> {
    let program = ebpf.program(name).with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}

pub(crate) fn classifier_mut<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut SchedClassifier> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}
