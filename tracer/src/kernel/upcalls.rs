//! What the tracepoint of Open vSwitch's kernel datapath for upcalls gives, from the module's own description.

use btf_rs::{Btf, Type};
use hoptrace_common::upcalls::UpcallConfig;

use super::{
    BtfError,
    btf::{Structure, module_btf, parameters},
};

const MODULE: &str = "openvswitch";
const TRACEPOINT: &str = "ovs_dp_upcall";
const PACKET: &str = "sk_buff";
const INFO: &str = "dp_upcall_info";
const KIND: &str = "cmd";

/// What the tracepoint `ovs_dp_upcall` gives (from 5.14 on). What the path decides is left at 0.
///
/// # Errors
/// When the module is not there, does not describe itself, or has no such tracepoint.
pub fn upcall_config(kernel: &Btf) -> Result<UpcallConfig, BtfError> {
    // Built in, it is described with the kernel.
    match module_btf(MODULE, kernel)? {
        Some(module) => of(&module),
        None => of(kernel),
    }
}

fn of(btf: &Btf) -> Result<UpcallConfig, BtfError> {
    let structures: Vec<_> = parameters(btf, TRACEPOINT)?
        .iter()
        .map(|parameter| pointee(btf, parameter).unwrap_or_default())
        .collect();
    // The kernel refuses programs that read more arguments than there are.
    let are_enough = structures.len() >= UpcallConfig::ARGUMENTS as usize;
    let place = |structure: &'static str| {
        (0..UpcallConfig::ARGUMENTS)
            .zip(&structures)
            .find(|(_, name)| are_enough && *name == structure)
            .map(|(place, _)| place)
            .ok_or(BtfError::Missing { structure: TRACEPOINT, field: structure })
    };
    Ok(UpcallConfig {
        after: 0,
        packet_argument: place(PACKET)?,
        info_argument: place(INFO)?,
        kind_offset: Structure::find(btf, INFO)?.offset(KIND)?,
    })
}

/// The name of the structure that an argument points to.
fn pointee(btf: &Btf, parameter: &btf_rs::Parameter) -> Option<String> {
    let mut kind = btf.resolve_chained_type(parameter).ok()?;
    // A pointer, perhaps to something constant.
    for _ in 0..4 {
        kind = match &kind {
            Type::Struct(body) => return btf.resolve_name(body).ok(),
            other => btf.resolve_chained_type(other.as_btf_type()?).ok()?,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KERNEL_BTF, kernel_btf};

    /// With a tracepoint that every kernel has, and whose arguments are of the same kind.
    #[test]
    fn arguments_are_told_by_what_they_point_to() {
        let btf = kernel_btf(KERNEL_BTF).expect("this test needs a kernel with BTF");
        let names: Vec<_> =
            parameters(&btf, "net_dev_start_xmit").unwrap().iter().map(|it| pointee(&btf, it)).collect();
        assert_eq!(names, [Some("sk_buff".to_owned()), Some("net_device".to_owned())]);
        // The place in the kernel is no structure's.
        assert_eq!(pointee(&btf, &parameters(&btf, "kfree_skb").unwrap()[1]), None);
    }

    #[test]
    fn a_kernel_without_the_module_is_told_so() {
        let btf = kernel_btf(KERNEL_BTF).unwrap();
        if std::path::Path::new("/sys/module/openvswitch").exists() {
            let config = upcall_config(&btf).unwrap();
            assert_ne!(config.packet_argument, config.info_argument);
        } else {
            let error = upcall_config(&btf).unwrap_err().to_string();
            assert!(error.contains("ovs_dp_upcall"), "{error}");
        }
    }
}
