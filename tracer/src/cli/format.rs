//! The formats that a report can be printed in. A new one is a variant here, and a line in `render` of each command that prints reports.

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people: on a terminal again and again, and at the end
    Text,
    /// One JSON object at the end
    Json,
}

impl Format {
    /// Whether it is drawn on a terminal while packets are traced, too.
    pub(super) const fn is_drawn(self) -> bool {
        matches!(self, Self::Text)
    }
}

/// Which format is wanted.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct FormatArgs {
    /// How to print the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl FormatArgs {
    /// It.
    pub(super) const fn wanted(self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}
