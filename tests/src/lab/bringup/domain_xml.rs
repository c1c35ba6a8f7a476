//! The libvirt domain of a guest, with Nova's metadata.

use crate::lab::description::Guest;
use crate::lab::spec;
use crate::lab::{GuestImage, Lab};

const MEMORY_MIB: u32 = 192;

/// The userspace datapath neither completes partial checksums nor cuts super-packets, so behind it the guest must do both:
/// what it sent otherwise would arrive with a wrong checksum and be dropped.
fn offloads(datapath: &str) -> &'static str {
    match datapath {
        "netdev" => "<driver><host csum='off' gso='off' tso4='off' tso6='off' ecn='off' ufo='off'/></driver>",
        _ => "",
    }
}

/// Domain XML as Nova would write it for a hybrid-plugged port, with a direct kernel boot.
pub(super) fn domain_xml(lab: &Lab, guest: &Guest, image: &GuestImage) -> String {
    let Guest { domain, display_name, uuid, mac, port_id, ipv4, ipv6, tap, qbr, .. } = guest;
    let kernel = image.kernel.display();
    let initramfs = image.initramfs.display();
    let offloads = offloads(&lab.datapath);
    let console = lab.log_dir.join(format!("{domain}.console.log"));
    let console = console.display();
    let control = guest.control_socket.display();
    let (v4_bits, v6_bits) = (spec::IPV4_PREFIX_BITS, spec::IPV6_PREFIX_BITS);
    format!(
        r#"<domain type='qemu'>
  <name>{domain}</name>
  <uuid>{uuid}</uuid>
  <metadata>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
      <nova:name>{display_name}</nova:name>
      <nova:flavor name="m1.tiny"><nova:memory>{MEMORY_MIB}</nova:memory><nova:vcpus>1</nova:vcpus></nova:flavor>
      <nova:ports>
        <nova:port uuid="{port_id}"><nova:ip type="fixed" address="{ipv4}" ipVersion="4"/></nova:port>
      </nova:ports>
    </nova:instance>
  </metadata>
  <memory unit='MiB'>{MEMORY_MIB}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initramfs}</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off nokaslr random.trust_cpu=on lab.ipv4={ipv4}/{v4_bits} lab.ipv6={ipv6}/{v6_bits}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='maximum'/>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <interface type='bridge'>
      <mac address='{mac}'/>
      <source bridge='{qbr}'/>
      <target dev='{tap}'/>
      <model type='virtio'/>
      <mtu size='1500'/>
      {offloads}
    </interface>
    <serial type='file'><source path='{console}'/><target port='0'/></serial>
    <serial type='unix'><source mode='bind' path='{control}'/><target port='1'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
"#
    )
}
