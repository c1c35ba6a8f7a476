//! The lab: a real VM behind a real Open vSwitch, in namespaces of its own.
