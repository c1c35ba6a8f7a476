//! The ring buffer of packet records.

use aya::maps::{Map, MapData, RingBuf};
use hoptrace_common::record::PacketRecord;
use zerocopy::FromBytes as _;

use super::CollectError;

/// Records as they come; the programs never wake us, so look often.
pub struct Records(RingBuf<MapData>);

impl Records {
    /// Opens the ring.
    ///
    /// # Errors
    /// When it can not be mapped.
    pub fn new(map: Map) -> Result<Self, CollectError> {
        RingBuf::try_from(map).map(Self).map_err(|source| CollectError::Ring { source: Box::new(source) })
    }

    /// The next record, if there is one.
    pub fn next(&mut self) -> Option<PacketRecord> {
        self.0.next().and_then(|bytes| PacketRecord::read_from_bytes(&bytes).ok())
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Records").finish()
    }
}
