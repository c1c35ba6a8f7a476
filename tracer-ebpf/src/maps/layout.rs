//! Where the kernel's own structures keep their fields.

use aya_ebpf::Global;
use hoptrace_common::skb::SkbLayout;

/// Patched in by the loader.
#[unsafe(no_mangle)]
static SKB: Global<SkbLayout> = Global::new(SkbLayout {
    dev: 0,
    ifindex: 0,
    net: 0,
    net_inum: 0,
    here_inum: 0,
    block: 0,
    block_len: 0,
    len: 0,
    data_len: 0,
    protocol: 0,
    network_header: 0,
    mac_header: 0,
    head: 0,
    data: 0,
    ip_summed: 0,
    ip_summed_shift: 0,
    end: 0,
    vlan_proto: 0,
    vlan_tci: 0,
    vlan_present: 0,
    vlan_present_bit: 0,
    gso_size: 0,
    skip_classify: 0,
    skip_classify_bit: 0,
    nr_frags: 0,
    frags: 0,
    page_bytes: 0,
});

macro_rules! offsets {
    ($($name:ident)*) => {$(
        /// As in [`SkbLayout`].
        #[inline(always)]
        pub(crate) fn $name() -> u32 {
            let skb: *const SkbLayout = (&raw const SKB).cast();
            // SAFETY: a static; volatile because the loader patches it after compilation.
            unsafe { (&raw const (*skb).$name).read_volatile() }
        }
    )*};
}

offsets! {
    dev ifindex net net_inum here_inum block block_len len data_len protocol network_header mac_header head data
    ip_summed ip_summed_shift end vlan_proto vlan_tci vlan_present vlan_present_bit gso_size skip_classify
    skip_classify_bit nr_frags frags page_bytes
}
