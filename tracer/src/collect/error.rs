//! What can go wrong while collecting.

/// Why the kernel's figures can not be read.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The object has no such map, or one of another kind.
    #[error("the eBPF object has no map {map}; it was built from other sources")]
    Missing {
        /// The map's name.
        map: &'static str,
    },
    /// A map could not be mapped into memory.
    #[error("mapping eBPF map {map} into memory: {source}")]
    Map {
        /// The map's name.
        map: &'static str,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The map's memory is not laid out as this program was built to read it.
    #[error("eBPF map {map} has another layout than expected; the object was built from other sources")]
    Layout {
        /// The map's name.
        map: &'static str,
    },
    /// A map could not be opened.
    #[error("opening eBPF map {map}: {source}")]
    Open {
        /// The map's name.
        map: &'static str,
        /// What aya said.
        #[source]
        source: Box<aya::maps::MapError>,
    },
}
