//! Puts the eBPF programs on the path, and takes them off.
