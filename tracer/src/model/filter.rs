//! Placeholder.
/// A filter.
#[derive(Debug)]
pub struct TraceFilter {
    /// f
    pub filter: hoptrace_common::filter::Filter,
    /// t
    pub text: String,
}
impl TraceFilter {
    /// p
    /// # Errors
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { filter: Default::default(), text: text.to_owned() })
    }
}
