//! A libvirt domain's XML, with Nova's metadata, as an [`Instance`].

use std::net::IpAddr;

use roxmltree::{Document, Node, ParsingOptions};

use crate::model::{
    Attachment, Bandwidth, Instance, InstanceInterface, InstanceState, MacAddr, ParseMacError,
};

/// Larger XML is refused: real ones have some tens of kilobytes.
const MAX_BYTES: usize = 4 << 20;
/// More nodes than any real domain has.
const MAX_NODES: u32 = 200_000;

/// The text does not describe a domain.
#[derive(Debug, thiserror::Error)]
pub enum DomainXmlError {
    /// Beyond any real size.
    #[error("its XML has {0} bytes, more than hoptrace reads")]
    TooLarge(usize),
    /// Not XML, or with a DTD.
    #[error("its XML is malformed: {0}")]
    Malformed(#[from] roxmltree::Error),
    /// XML of something else, or cut short.
    #[error("its XML has no {0}")]
    Missing(&'static str),
    /// An interface's address.
    #[error("its XML has an interface whose address is {0}")]
    Mac(#[from] ParseMacError),
}

/// Reads a domain's XML. The state is not in it.
///
/// # Errors
/// When the text is not XML, not a domain, without name or UUID, or with a MAC address that is none.
pub fn parse(xml: &str, state: InstanceState) -> Result<Instance, DomainXmlError> {
    if xml.len() > MAX_BYTES {
        return Err(DomainXmlError::TooLarge(xml.len()));
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(xml, options)?;
    let domain = document.root_element();
    if !domain.has_tag_name("domain") {
        return Err(DomainXmlError::Missing("domain element"));
    }
    let name = child_text(domain, "name").ok_or(DomainXmlError::Missing("name"))?;
    let uuid = child_text(domain, "uuid").ok_or(DomainXmlError::Missing("uuid"))?;
    let nova = nova_instance(domain);
    let nova_ports = nova.map(nova_ports).unwrap_or_default();
    let interfaces = child(domain, "devices")
        .into_iter()
        .flat_map(|devices| devices.children().filter(|node| node.has_tag_name("interface")))
        .filter_map(|node| interface(node).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Instance {
        name,
        uuid: uuid.to_ascii_lowercase(),
        display_name: nova.and_then(|nova| child_text(nova, "name")),
        state,
        interfaces: join(interfaces, nova_ports),
    })
}

/// A Neutron port of Nova's metadata.
struct NovaPort {
    port_id: String,
    fixed_ips: Vec<IpAddr>,
}

/// Nova lists its ports beside the interfaces, without a MAC. They belong together by the virtual port's id, else by
/// the tap's name (`tap` and the first 11 characters of the port id), else by order, when there are as many.
fn join(mut interfaces: Vec<InstanceInterface>, ports: Vec<NovaPort>) -> Vec<InstanceInterface> {
    let same_count = interfaces.len() == ports.len();
    let mut rest = Vec::new();
    for port in ports {
        let short = port.port_id.get(..11).unwrap_or(&port.port_id);
        let owner = interfaces.iter_mut().find(|interface| {
            let by_tap = || interface.tap.as_deref().and_then(|tap| tap.strip_prefix("tap")) == Some(short);
            interface.port_id.as_ref().map_or_else(by_tap, |id| *id == port.port_id)
        });
        match owner {
            Some(interface) => {
                interface.port_id = Some(port.port_id);
                interface.fixed_ips = port.fixed_ips;
                rest.push(None);
            }
            None => rest.push(Some(port)),
        }
    }
    if same_count {
        for (interface, port) in interfaces.iter_mut().zip(rest) {
            if let (None, Some(port)) = (&interface.port_id, port) {
                interface.port_id = Some(port.port_id);
                interface.fixed_ips = port.fixed_ips;
            }
        }
    }
    interfaces
}

/// An interface; `None` without a MAC (SR-IOV by PCI address, for one).
fn interface(node: Node<'_, '_>) -> Result<Option<InstanceInterface>, ParseMacError> {
    let Some(mac) = child_attribute(node, "mac", "address") else { return Ok(None) };
    let mac: MacAddr = mac.parse()?;
    let port_id =
        child(node, "virtualport").and_then(|port| child_attribute(port, "parameters", "interfaceid"));
    Ok(Some(InstanceInterface {
        attachment: attachment(node),
        mac,
        tap: child_attribute(node, "target", "dev").map(str::to_owned),
        unplugged: child_attribute(node, "link", "state") == Some("down"),
        bandwidth: bandwidth(node),
        source_bridge: child_attribute(node, "source", "bridge").map(str::to_owned),
        network: child_attribute(node, "source", "network").map(str::to_owned),
        mtu_bytes: child_attribute(node, "mtu", "size").and_then(|size| size.parse().ok()),
        port_id: port_id.map(str::to_ascii_lowercase),
        fixed_ips: Vec::new(),
    }))
}

/// libvirt's kilobytes have 1000 bytes: it hands them to `tc` as `kbps`.
fn bandwidth(node: Node<'_, '_>) -> Bandwidth {
    let limits = child(node, "bandwidth");
    let average = |way| {
        let kilobytes: u64 = child_attribute(limits?, way, "average")?.parse().ok()?;
        kilobytes.checked_mul(8_000).filter(|rate| *rate > 0)
    };
    Bandwidth { to_guest: average("inbound"), from_guest: average("outbound") }
}

/// By the interface's type, which libvirt calls the connection's kind.
fn attachment(node: Node<'_, '_>) -> Attachment {
    let source = |attribute| child_attribute(node, "source", attribute);
    match node.attribute("type").unwrap_or_default() {
        "hostdev" => {
            Attachment::Device(pci_address(node).map_or("a PCI device".to_owned(), |at| format!("PCI {at}")))
        }
        "vdpa" => Attachment::Device(format!("vDPA {}", source("dev").unwrap_or("device"))),
        "vhostuser" => Attachment::VhostUser,
        "direct" => Attachment::Macvtap(source("dev").unwrap_or_default().to_owned()),
        // A network whose guests get macvtaps names the interface in use while the domain runs.
        "network" if source("dev").is_some() => {
            Attachment::Macvtap(source("dev").unwrap_or_default().to_owned())
        }
        kind @ ("user" | "udp" | "mcast" | "server" | "client" | "null") => {
            Attachment::Sockets(kind.to_owned())
        }
        _ => Attachment::Tap,
    }
}

/// `0000:01:00.5`
fn pci_address(node: Node<'_, '_>) -> Option<String> {
    let address = child(child(node, "source")?, "address")?;
    let digits = |name| address.attribute(name).map(|text| text.trim_start_matches("0x"));
    let (domain, bus) = (digits("domain").unwrap_or("0000"), digits("bus")?);
    Some(format!("{domain}:{bus}:{}.{}", digits("slot")?, digits("function")?))
}

/// Nova's element in the metadata, whatever version its namespace has.
fn nova_instance<'a, 'input>(domain: Node<'a, 'input>) -> Option<Node<'a, 'input>> {
    child(domain, "metadata")?.children().find(|node| {
        node.tag_name().name() == "instance"
            && node.tag_name().namespace().is_some_and(|namespace| namespace.contains("openstack.org"))
    })
}

fn nova_ports(nova: Node<'_, '_>) -> Vec<NovaPort> {
    let Some(ports) = child(nova, "ports") else { return Vec::new() };
    ports
        .children()
        .filter(|node| node.tag_name().name() == "port")
        .filter_map(|port| {
            let fixed_ips = port
                .children()
                .filter(|node| node.tag_name().name() == "ip" && node.attribute("type") != Some("floating"))
                .filter_map(|ip| ip.attribute("address")?.parse().ok())
                .collect();
            Some(NovaPort { port_id: port.attribute("uuid")?.to_ascii_lowercase(), fixed_ips })
        })
        .collect()
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.tag_name().name() == name)
}

fn child_text(node: Node<'_, '_>, name: &str) -> Option<String> {
    child(node, name)?.text().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn child_attribute<'a>(node: Node<'a, '_>, name: &str, attribute: &str) -> Option<&'a str> {
    child(node, name)?.attribute(attribute).map(str::trim).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn domain(metadata: &str, devices: &str) -> String {
        format!(
            "<domain type='qemu' id='1'><name>instance-00000025</name>\
             <uuid>9C45FCE8-83d9-4518-9055-4df2899e23af</uuid><metadata>{metadata}</metadata>\
             <devices>{devices}</devices></domain>"
        )
    }

    fn nova(inner: &str) -> String {
        format!(
            "<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>{inner}</nova:instance>"
        )
    }

    const INTERFACE: &str = "<interface type='bridge'><mac address='fa:16:3e:21:1b:4b'/>\
        <source bridge='qbrc3d70d5c-a9'/><target dev='tapc3d70d5c-a9'/><mtu size='1450'/></interface>";

    fn read(xml: &str) -> Result<Instance, DomainXmlError> {
        parse(xml, InstanceState::Running)
    }

    #[test]
    fn how_an_interface_is_connected_is_by_its_type() {
        let of = |kind: &str, inside: &str| {
            let interface =
                format!("<interface type='{kind}'><mac address='fa:16:3e:21:1b:4b'/>{inside}</interface>");
            read(&domain("", &interface)).unwrap().interfaces[0].attachment.clone()
        };
        let pci =
            "<source><address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x5'/></source>";
        assert_eq!(of("hostdev", pci), Attachment::Device("PCI 0000:01:00.5".to_owned()));
        assert_eq!(of("hostdev", ""), Attachment::Device("a PCI device".to_owned()));
        assert_eq!(of("vhostuser", "<source type='unix' path='/x'/>"), Attachment::VhostUser);
        assert_eq!(
            of("direct", "<source dev='eth0' mode='bridge'/>"),
            Attachment::Macvtap("eth0".to_owned())
        );
        // What a network of macvtaps looks like while the domain runs.
        let network = "<source network='n' dev='eth0' mode='bridge'/>";
        assert_eq!(of("network", network), Attachment::Macvtap("eth0".to_owned()));
        assert_eq!(of("network", "<source network='n' bridge='virbr0'/>"), Attachment::Tap);
        assert_eq!(of("user", ""), Attachment::Sockets("user".to_owned()));
        for kind in ["bridge", "ethernet", "", "what comes next"] {
            assert_eq!(of(kind, ""), Attachment::Tap, "{kind}");
        }
    }

    #[test]
    fn white_space_around_a_name_is_none_of_it() {
        let interface = INTERFACE.replace("'tapc3d70d5c-a9'", "' tapc3d70d5c-a9\n'");
        let read = read(&domain("", &interface)).unwrap();
        assert_eq!(read.interfaces[0].tap.as_deref(), Some("tapc3d70d5c-a9"));
    }

    #[test]
    fn bandwidth_is_in_kilobytes_of_a_thousand() {
        let of = |limits: &str| {
            let interface = INTERFACE.replace("<mtu", &format!("{limits}<mtu"));
            read(&domain("", &interface)).unwrap().interfaces[0].bandwidth
        };
        let both = "<bandwidth><inbound average='153600' peak='307200'/><outbound average='50'/></bandwidth>";
        let expected = Bandwidth { to_guest: Some(1_228_800_000), from_guest: Some(400_000) };
        assert_eq!(of(both), expected);
        for none in ["", "<bandwidth/>", "<bandwidth><inbound average='0'/><outbound burst='9'/></bandwidth>"]
        {
            assert_eq!(of(none), Bandwidth::default(), "{none}");
        }
    }

    #[test]
    fn a_link_that_is_set_down_is_known() {
        let of = |link: &str| {
            let interface = INTERFACE.replace("<mtu", &format!("{link}<mtu"));
            read(&domain("", &interface)).unwrap().interfaces[0].unplugged
        };
        assert!(of("<link state='down'/>") && !of("<link state='up'/>") && !of(""));
    }

    #[test]
    fn nova_metadata_and_interface_are_joined_by_tap_name() {
        let ports = "<nova:name>yjwang-test-1</nova:name><nova:ports>\
            <nova:port uuid='00000000-0000-0000-0000-000000000000'><nova:ip address='192.0.2.9'/></nova:port>\
            <nova:port uuid='c3d70d5c-a9aa-4bbb-8ccc-0123456789ab'>\
            <nova:ip type='fixed' address='10.99.99.111' ipVersion='4'/><nova:ip address='nonsense'/>\
            <nova:ip type='fixed' address='2001:db8::6f' ipVersion='6'/></nova:port></nova:ports>";
        let instance = read(&domain(&nova(ports), INTERFACE)).unwrap();
        assert_eq!(instance.display_name.as_deref(), Some("yjwang-test-1"));
        assert_eq!(instance.uuid, "9c45fce8-83d9-4518-9055-4df2899e23af");
        let port = &instance.interfaces[0];
        assert_eq!(port.port_id.as_deref(), Some("c3d70d5c-a9aa-4bbb-8ccc-0123456789ab"));
        assert_eq!(
            port.fixed_ips,
            ["10.99.99.111".parse::<IpAddr>().unwrap(), "2001:db8::6f".parse().unwrap()]
        );
        assert_eq!((port.mtu_bytes, port.source_bridge.as_deref()), (Some(1450), Some("qbrc3d70d5c-a9")));
    }

    #[test]
    fn a_shut_off_domain_without_targets_is_joined_by_order_only_when_counts_agree() {
        let devices = "<interface><mac address='fa:16:3e:00:00:01'/></interface>\
                       <interface><mac address='fa:16:3e:00:00:02'/></interface>";
        let two = nova("<nova:ports><nova:port uuid='AAAA'/><nova:port uuid='bbbb'/></nova:ports>");
        let ids =
            |xml: &str| read(xml).unwrap().interfaces.into_iter().map(|i| i.port_id).collect::<Vec<_>>();
        assert_eq!(ids(&domain(&two, devices)), [Some("aaaa".to_owned()), Some("bbbb".to_owned())]);
        let one = nova("<nova:ports><nova:port uuid='aaaa'/></nova:ports>");
        assert_eq!(ids(&domain(&one, devices)), [None, None]);
    }

    #[test]
    fn a_domain_without_nova_is_fine_and_foreign_metadata_is_not_nova() {
        let instance = read(&domain("<instance><name>x</name></instance>", INTERFACE)).unwrap();
        assert_eq!(instance.display_name, None);
        assert_eq!(read(&domain("", "<interface type='hostdev'/>")).unwrap().interfaces, []);
    }

    #[test]
    fn hostile_text_is_an_error_not_a_crash() {
        let bomb = "<!DOCTYPE d [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]><domain><name>&b;</name></domain>";
        let deep = "<domain>".repeat(5_000);
        let bad_mac = domain("", "<interface><mac address='fa:16:3e'/></interface>");
        let huge = " ".repeat(MAX_BYTES + 1);
        for bad in [
            "",
            "{}",
            "<domain>",
            "<domain/>",
            "<network/>",
            "<domain><name> </name></domain>",
            bomb,
            &deep,
            &bad_mac,
            &huge,
            "<domain><name>a</name><uuid/></domain>",
            "\u{0}<domain/>",
        ] {
            assert!(read(bad).is_err(), "{bad:.60}");
        }
        let many = format!("<domain><name>a</name><uuid>u</uuid>{}</domain>", "<a/>".repeat(300_000));
        assert!(read(&many).is_err());
    }
}
