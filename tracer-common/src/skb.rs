//! Where the running kernel keeps what the programs at tracepoints read of a packet.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of `struct sk_buff` that can be read at once.
pub const MAX_BLOCK: u32 = 256;

/// Offsets in the kernel's own structures, in bytes. All zero: they are not known.
///
/// The fields of `struct sk_buff` stand together in one block, which is read at once; but for `dev`, which is read before,
/// to tell packets of other devices apart. Offsets inside the block count from its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SkbLayout {
    /// `sk_buff.dev`.
    pub dev: u32,
    /// `net_device.ifindex`.
    pub ifindex: u32,
    /// `net_device.nd_net`, a pointer.
    pub net: u32,
    /// `net.ns.inum`.
    pub net_inum: u32,
    /// The network namespace whose devices are meant, by its inode number: in others the same index is another device's.
    pub here_inum: u32,
    /// Where in `sk_buff` the block starts.
    pub block: u32,
    /// How long it is; at most [`MAX_BLOCK`].
    pub block_len: u32,
    /// `sk_buff.len` in the block.
    pub len: u32,
    /// `sk_buff.data_len` in the block.
    pub data_len: u32,
    /// `sk_buff.protocol` in the block.
    pub protocol: u32,
    /// `sk_buff.network_header` in the block.
    pub network_header: u32,
    /// `sk_buff.mac_header` in the block.
    pub mac_header: u32,
    /// `sk_buff.head` in the block.
    pub head: u32,
    /// `sk_buff.data` in the block.
    pub data: u32,
    /// The byte of `sk_buff` that `ip_summed` is in.
    pub ip_summed: u32,
    /// From which bit on it is: two of them.
    pub ip_summed_shift: u32,
    /// `sk_buff.end` in the block: where `skb_shared_info` begins, counted from `head`.
    pub end: u32,
    /// `sk_buff.vlan_proto` in the block.
    pub vlan_proto: u32,
    /// `sk_buff.vlan_tci` in the block.
    pub vlan_tci: u32,
    /// The byte in the block that `sk_buff.vlan_present` is in, which kernels before 6.2 have.
    pub vlan_present: u32,
    /// The bit of it; 0: there is none, and a tag is there where `vlan_proto` is not 0.
    pub vlan_present_bit: u32,
    /// `skb_shared_info.gso_size`.
    pub gso_size: u32,
    /// The byte of `sk_buff` that `tc_skip_classify` is in.
    pub skip_classify: u32,
    /// The bit of it; 0: there is none.
    pub skip_classify_bit: u32,
    /// `skb_shared_info.nr_frags`.
    pub nr_frags: u32,
    /// `skb_shared_info.frags`: of each the page, the length and the offset in it.
    pub frags: u32,
    /// Size of `struct page`; 0: pages are not read.
    pub page_bytes: u32,
}

const _: () = assert!(size_of::<SkbLayout>() == 108);

/// Where two variables of the kernel are that tell where a page's memory is; 0: that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Memory {
    /// Of `page_offset_base`.
    pub page_offset_base: u64,
    /// Of `vmemmap_base`.
    pub vmemmap_base: u64,
}

const _: () = assert!(size_of::<Memory>() == 16);
