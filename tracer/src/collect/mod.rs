//! Reads the kernel's maps and owns every loss counter.
