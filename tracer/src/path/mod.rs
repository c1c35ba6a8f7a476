//! Finds the packet path of one port. Pure: no I/O.
