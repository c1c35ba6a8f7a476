//! Parts of a report print as JSON, in failures of tests.

/// Implements `Debug` and `Display` for parts of a report: as JSON, in one line.
macro_rules! prints_as_json {
    ($($part:ty),+ $(,)?) => {
        $(
            impl std::fmt::Display for $part {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
                }
            }

            impl std::fmt::Debug for $part {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    std::fmt::Display::fmt(self, f)
                }
            }
        )+
    };
}

pub(super) use prints_as_json;
