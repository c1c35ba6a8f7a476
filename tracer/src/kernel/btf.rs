//! Where the running kernel keeps the fields of its structures, from its own description of them (BTF).

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
};

use btf_rs::{Backend, Btf, Parameter, Struct, Type};
use hoptrace_common::skb::{MAX_BLOCK, SkbLayout};
use rustix::fs::{MemfdFlags, memfd_create};

/// Where the kernel has it, if it was built with `CONFIG_DEBUG_INFO_BTF`.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";
/// Where the modules' descriptions are, beside the kernel's own.
pub(super) const MODULE_BTF: &str = "/sys/kernel/btf";
/// The network namespace of this process.
const OWN_NETNS: &str = "/proc/thread-self/ns/net";
/// Anonymous members inside of each other at most.
const MAX_DEPTH: u32 = 8;
/// The block is read in whole words, and its fields are aligned in it.
const WORD: u32 = 8;

/// Why it is not known where fields are.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The description could not be read.
    #[error("reading {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It could not be understood.
    #[error("the kernel's BTF: {0}")]
    Format(#[from] btf_rs::Error),
    /// There is no such field in it.
    #[error("the kernel's BTF has no field {field} in struct {structure}")]
    Missing {
        /// The structure.
        structure: &'static str,
        /// The field.
        field: &'static str,
    },
    /// The fields of `struct sk_buff` are too far apart.
    #[error("the fields of struct sk_buff are {0} bytes apart, more than is read at once")]
    TooFarApart(u32),
}

/// Opens the description at `path`, without parsing it as a whole.
///
/// A file in sysfs can be mapped into memory from kernel 6.16 on only; so what is mapped is a copy.
///
/// # Errors
/// When it is not there, or no BTF.
pub fn kernel_btf(path: &str) -> Result<Btf, BtfError> {
    let failed = |source: io::Error| BtfError::Read { path: path.to_owned(), source };
    let mut copy =
        File::from(memfd_create("btf", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?);
    let bytes = fs::read(path).map_err(failed)?;
    copy.write_all(&bytes).map_err(failed)?;
    let copy_path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    Ok(Btf::from_file_with_backend(copy_path, Backend::Mmap)?)
}

/// The description of `module`, together with the kernel's. `None`: it has none of its own, because it is not loaded or is built
/// in.
///
/// # Errors
/// When it can not be read or understood.
pub(super) fn module_btf(module: &str, kernel: &Btf) -> Result<Option<Btf>, BtfError> {
    let path = format!("{MODULE_BTF}/{module}");
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(Btf::from_split_bytes(&bytes, kernel)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BtfError::Read { path, source }),
    }
}

/// Where the programs at tracepoints find what they read of a packet.
///
/// # Errors
/// When the kernel keeps it elsewhere than in `struct sk_buff` and `struct net_device`, or too far apart; or when it is
/// not known which network namespace this is.
pub fn skb_layout(btf: &Btf) -> Result<SkbLayout, BtfError> {
    let skb = Structure::find(btf, "sk_buff")?;
    let device = Structure::find(btf, "net_device")?;
    let net_ns = Structure::find(btf, "net")?.offset("ns")?;
    let [len, data_len] = [skb.offset("len")?, skb.offset("data_len")?];
    let [protocol, network_header, mac_header] =
        [skb.offset("protocol")?, skb.offset("network_header")?, skb.offset("mac_header")?];
    let [head, data] = [skb.offset("head")?, skb.offset("data")?];
    let end = skb.offset("end")?;
    let [vlan_proto, vlan_tci] = [skb.offset("vlan_proto")?, skb.offset("vlan_tci")?];
    // Gone with 6.2; in a byte with others.
    let present_bits = skb.offset_bits("vlan_present").ok();
    let present = present_bits.map_or(vlan_tci, |bits| bits / 8);
    // Not there where the kernel has no traffic control.
    let shared = Structure::find(btf, "skb_shared_info")?;
    let skip_bits = skb.offset_bits("tc_skip_classify").ok();
    let all =
        [len, data_len, protocol, network_header, mac_header, head, data, end, vlan_proto, vlan_tci, present];
    let first = all.into_iter().min().unwrap_or(0) / WORD * WORD;
    // No field is longer than a word.
    let last = all.into_iter().max().unwrap_or(0) / WORD * WORD + WORD;
    let block_len = last - first;
    let summed_bits = skb.offset_bits("ip_summed")?;
    if block_len > MAX_BLOCK {
        return Err(BtfError::TooFarApart(block_len));
    }
    Ok(SkbLayout {
        dev: skb.offset("dev")?,
        ifindex: device.offset("ifindex")?,
        net: device.offset("nd_net")?,
        net_inum: net_ns + Structure::find(btf, "ns_common")?.offset("inum")?,
        here_inum: own_netns()?,
        block: first,
        block_len,
        len: len - first,
        data_len: data_len - first,
        protocol: protocol - first,
        network_header: network_header - first,
        mac_header: mac_header - first,
        head: head - first,
        data: data - first,
        ip_summed: summed_bits / 8,
        ip_summed_shift: summed_bits % 8,
        end: end - first,
        vlan_proto: vlan_proto - first,
        vlan_tci: vlan_tci - first,
        vlan_present: present - first,
        vlan_present_bit: present_bits.map_or(0, |bits| 1 << (bits % 8)),
        gso_size: shared.offset("gso_size")?,
        skip_classify: skip_bits.map_or(0, |bits| bits / 8),
        skip_classify_bit: skip_bits.map_or(0, |bits| 1 << (bits % 8)),
        nr_frags: shared.offset("nr_frags")?,
        frags: shared.offset("frags")?,
        page_bytes: u32::try_from(Structure::find(btf, "page")?.body.size()).unwrap_or(0),
    })
}

/// The number of this process's network namespace, as the kernel counts them.
fn own_netns() -> Result<u32, BtfError> {
    let failed = |source| BtfError::Read { path: OWN_NETNS.to_owned(), source };
    let inode = fs::metadata(OWN_NETNS).map_err(failed)?.ino();
    u32::try_from(inode).map_err(|_| failed(io::Error::other("not a namespace")))
}

/// How many arguments a tracepoint has: from 5.17 on `kfree_skb` has a third one, from 6.11 on a fourth.
pub(super) fn arguments(btf: &Btf, tracepoint: &'static str) -> Result<usize, BtfError> {
    Ok(parameters(btf, tracepoint)?.len())
}

/// The arguments of a tracepoint.
pub(super) fn parameters(btf: &Btf, tracepoint: &'static str) -> Result<Vec<Parameter>, BtfError> {
    let missing = || BtfError::Missing { structure: "tracepoint", field: tracepoint };
    let types = btf.resolve_types_by_name(&format!("btf_trace_{tracepoint}"))?;
    // A type definition of a pointer to a function, whose first argument is not the tracepoint's.
    types
        .iter()
        .filter_map(|kind| btf.resolve_chained_type(kind.as_btf_type()?).ok())
        .filter_map(|kind| btf.resolve_chained_type(kind.as_btf_type()?).ok())
        .find_map(|kind| match kind {
            Type::FuncProto(function) => Some(function.parameters.into_iter().skip(1).collect()),
            _ => None,
        })
        .ok_or_else(missing)
}

/// A structure of the kernel.
pub(super) struct Structure<'a> {
    btf: &'a Btf,
    name: &'static str,
    body: Struct,
}

impl<'a> Structure<'a> {
    pub(super) fn find(btf: &'a Btf, name: &'static str) -> Result<Self, BtfError> {
        btf.resolve_types_by_name(name)?
            .into_iter()
            .find_map(|kind| match kind {
                Type::Struct(body) => Some(Self { btf, name, body }),
                _ => None,
            })
            .ok_or(BtfError::Missing { structure: name, field: "at all" })
    }

    /// Where `field` is, in bytes.
    pub(super) fn offset(&self, field: &'static str) -> Result<u32, BtfError> {
        let bits = self.offset_bits(field)?;
        if bits.is_multiple_of(8) {
            Ok(bits / 8)
        } else {
            Err(BtfError::Missing { structure: self.name, field })
        }
    }

    /// The same in bits.
    fn offset_bits(&self, field: &'static str) -> Result<u32, BtfError> {
        offset_bits(self.btf, &self.body, field, MAX_DEPTH)
            .ok_or(BtfError::Missing { structure: self.name, field })
    }
}

/// Where `field` is in `body`, in bits: most of a packet's are inside anonymous structures and unions.
fn offset_bits(btf: &Btf, body: &Struct, field: &str, depth: u32) -> Option<u32> {
    body.members.iter().find_map(|member| {
        let name = btf.resolve_name(member).ok()?;
        if name == field {
            return Some(member.bit_offset());
        }
        if !name.is_empty() || depth == 0 {
            return None;
        }
        match btf.resolve_chained_type(member).ok()? {
            Type::Struct(inner) | Type::Union(inner) => {
                Some(member.bit_offset() + offset_bits(btf, &inner, field, depth - 1)?)
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with facts that hold on every 64-bit kernel from 5.10 on.
    #[test]
    fn the_running_kernel_s_layout_makes_sense() {
        let btf = kernel_btf(KERNEL_BTF).expect("this test needs a kernel with BTF");
        let layout = skb_layout(&btf).unwrap();
        assert_eq!(layout.dev, 16, "next, prev, dev");
        assert_eq!(layout.data_len, layout.len + 4);
        assert_eq!(layout.data, layout.head + 8);
        assert_eq!(layout.mac_header, layout.network_header + 2);
        assert!(layout.ifindex > 0 && layout.ifindex.is_multiple_of(4));
        assert!(layout.net > 0 && layout.net_inum > 0 && layout.here_inum > 0);
        // Two bits in one byte.
        assert!(layout.ip_summed > layout.dev && layout.ip_summed_shift <= 6, "{layout:?}");
        assert_eq!(layout.end, layout.head - 4);
        assert!(layout.gso_size > 0 && layout.vlan_tci.abs_diff(layout.vlan_proto) == 2, "{layout:?}");
        assert!(layout.frags > layout.nr_frags && layout.page_bytes >= 64, "{layout:?}");
        assert!(
            layout.skip_classify_bit.is_power_of_two() && layout.skip_classify > layout.dev,
            "{layout:?}"
        );
        assert!(layout.block_len <= MAX_BLOCK && layout.data + 8 <= layout.block_len);
        for offset in [layout.block, layout.block_len, layout.head, layout.data] {
            assert!(offset.is_multiple_of(WORD), "{layout:?}");
        }
    }

    #[test]
    fn the_running_kernel_s_tracepoints_have_so_many_arguments() {
        let btf = kernel_btf(KERNEL_BTF).unwrap();
        assert_eq!(arguments(&btf, "net_dev_start_xmit").unwrap(), 2);
        assert!(arguments(&btf, "no_such_tracepoint").is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = kernel_btf("/nonexistent").err().unwrap();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
        let btf = kernel_btf(KERNEL_BTF).unwrap();
        let skb = Structure::find(&btf, "sk_buff").unwrap();
        let error = skb.offset("no_such_field").unwrap_err().to_string();
        assert!(error.contains("no_such_field") && error.contains("sk_buff"), "{error}");
        assert!(Structure::find(&btf, "no_such_struct").is_err());
    }
}
