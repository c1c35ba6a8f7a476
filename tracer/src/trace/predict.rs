//! What would become of a packet on a path that was found.

use super::TraceError;
use crate::{
    model::{PacketWords, Path, Prediction, Topology},
    path, predict,
};

/// Asks the switch on `path`, which was found in `topology`, what its rules would do with the packet that `words` mean.
///
/// # Errors
/// When the words leave open where it goes, or no switch of Open vSwitch can be asked about it.
pub async fn predict_packet(
    path: &Path,
    topology: &Topology,
    words: &PacketWords,
) -> Result<Prediction, TraceError> {
    Ok(predict::predict(path, topology, &path::ports(topology), words).await?)
}
