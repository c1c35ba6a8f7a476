//! `hoptrace path`

use super::{CliError, CommonArgs, Exit, note, output};
use crate::{
    model::PacketWords,
    report,
    trace::{find_path, predict_packet},
};

/// Options of `path`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Instance name, display name, UUID, MAC, fixed IP, Neutron port id or interface name
    pub vm: String,
    /// Ask Open vSwitch what its rules would do with one packet: the words of a filter, with `src`, `dst` and `ether` besides, as in
    /// 'udp and dst host 10.0.0.1 and dst port 53'
    #[arg(long, value_name = "WORDS")]
    pub flow: Option<String>,
    /// How to print the path
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How to print a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A drawing
    Text,
    /// One JSON object
    Json,
    /// A Graphviz graph
    Dot,
    /// A Mermaid flowchart
    Mermaid,
}

impl Args {
    /// The packet that is asked about.
    ///
    /// # Errors
    /// When the words make no sense, or the format has no place for the answer.
    fn packet(&self) -> Result<Option<PacketWords>, CliError> {
        let Some(words) = &self.flow else { return Ok(None) };
        if matches!(self.format, Format::Dot | Format::Mermaid) {
            let message = "--flow is told as text or JSON: use --format text or --format json with it";
            return Err(CliError::with_exit(Exit::Usage, message));
        }
        Ok(Some(PacketWords::from_words(&[words])?))
    }
}

/// Draws the path of one port, and says what would become of a packet.
///
/// # Errors
/// When there is no path, the switch cannot be asked, or stdout cannot be written.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let words = args.packet()?;
    let (path, topology) = find_path(&common.sources(), &args.vm, note).await?;
    let prediction = match &words {
        Some(words) => Some(predict_packet(&path, &topology, words).await?),
        None => None,
    };
    let text = match args.format {
        Format::Text => {
            let predicted = prediction.map(|it| report::prediction_text(&it, output::canvas()));
            report::path_text(&path, output::canvas()) + &predicted.unwrap_or_default()
        }
        Format::Json => format!("{}\n", report::path_json(&path, prediction.as_ref())),
        Format::Dot => report::path_dot(&path),
        Format::Mermaid => report::path_mermaid(&path),
    };
    output::result(&text)?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(flow: Option<&str>, format: Format) -> Result<Option<PacketWords>, CliError> {
        Args { vm: "web-1".to_owned(), flow: flow.map(str::to_owned), format }.packet()
    }

    #[test]
    fn words_are_read_before_anything_is_asked() {
        assert!(asked(None, Format::Dot).unwrap().is_none());
        for format in [Format::Text, Format::Json] {
            let words = asked(Some("udp and dst host 10.0.0.1"), format).unwrap().unwrap();
            assert_eq!(words.addresses.destination, "10.0.0.1".parse().ok());
        }
        for (flow, format) in [("udp", Format::Dot), ("udp", Format::Mermaid), ("icmp or udp", Format::Text)]
        {
            let error = asked(Some(flow), format).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
