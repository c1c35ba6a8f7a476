//! Renders what was collected, one file per format.
