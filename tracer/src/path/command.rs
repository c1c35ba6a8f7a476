//! Commands that people are told to run.

/// What takes the port `port` off `bridge`; `None` where a name holds what a shell would take for something else: then none is printed.
pub(super) fn del_port(bridge: &str, port: &str) -> Option<String> {
    (is_plain(bridge) && is_plain(port)).then(|| format!("ovs-vsctl del-port {bridge} {port}"))
}

/// Whether a name is the same word to every shell, and no option.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:@+-".contains(&byte);
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::del_port;

    #[test]
    fn a_name_that_a_shell_would_read_otherwise_is_in_no_command() {
        assert_eq!(del_port("br-int", "qvo1.5").as_deref(), Some("ovs-vsctl del-port br-int qvo1.5"));
        for name in ["x;reboot", "$(id)", "`id`", "a b", "-all", "", "a|b", "a&", "x\n", "#x", "ä"] {
            assert_eq!(del_port("br-int", name), None, "{name}");
            assert_eq!(del_port(name, "x"), None, "{name}");
        }
    }
}
