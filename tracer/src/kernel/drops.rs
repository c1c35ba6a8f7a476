//! What the kernel tells when it frees a packet without delivering it.

use btf_rs::Btf;
use hoptrace_common::drops::DropConfig;

use super::{BtfError, btf::arguments, reasons};

/// What the tracepoint `kfree_skb` gives. What the path decides is left at 0.
///
/// # Errors
/// When there is no such tracepoint.
pub fn drop_config(btf: &Btf) -> Result<DropConfig, BtfError> {
    let arguments = arguments(btf, "kfree_skb")?;
    Ok(DropConfig {
        has_reason: u32::from(arguments > REASON_ARGUMENT),
        has_socket: u32::from(arguments > SOCKET_ARGUMENT),
        meanings: reasons::meanings(btf),
        ..DropConfig::default()
    })
}

/// Packet, place, reason, receiving socket.
const REASON_ARGUMENT: usize = 2;
const SOCKET_ARGUMENT: usize = 3;

#[cfg(test)]
mod tests {
    use super::{
        super::{KERNEL_BTF, kernel_btf},
        drop_config,
    };

    #[test]
    fn the_running_kernel_s_tracepoint_gives_a_reason() {
        let btf = kernel_btf(KERNEL_BTF).unwrap();
        let config = drop_config(&btf).unwrap();
        assert_eq!(config.has_reason, 1);
        assert!(config.meanings.iter().filter(|meaning| **meaning != 0).count() > 10, "{config:?}");
    }
}
