//! What `hoptrace clean` found, as text and as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::schema::written;
use crate::model::{Cleaning, Leftover, Mechanism, Printable};

/// A line for each leftover, under a line that says what became of them.
#[must_use]
pub fn clean_text(cleaning: &Cleaning) -> String {
    let count = cleaning.leftovers.len();
    let noun = if count == 1 { "filter" } else { "filters" };
    let head = match (count, cleaning.mechanism, cleaning.dry_run) {
        (0, Mechanism::Tcx, _) => {
            "nothing to clean: with TCX the kernel removes programs with their process".to_owned()
        }
        (0, Mechanism::Tracepoints, _) => {
            "nothing to clean: at tracepoints the kernel removes programs with their process".to_owned()
        }
        (0, Mechanism::Clsact, _) => "nothing to clean".to_owned(),
        (_, _, true) => format!("{count} {noun} of a killed hoptrace, not removed:"),
        (_, _, false) => format!("removed {count} {noun} of a killed hoptrace:"),
    };
    let lines = cleaning.leftovers.iter().map(line);
    std::iter::once(head).chain(lines).map(|line| line + "\n").collect()
}

fn line(leftover: &Leftover) -> String {
    let Leftover { ifname, side, name, priority, handle, made_clsact } = leftover;
    let clsact = if *made_clsact { ", with its clsact unless others use it" } else { "" };
    let (ifname, name) = (Printable(ifname), Printable(name));
    format!("  {ifname} {}: {name}, priority {priority}, handle {handle}{clsact}", side.name())
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
enum CleanSchema {
    /// The first.
    #[serde(rename = "hoptrace.clean/1")]
    V1,
}

/// What was found of killed tracers.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CleanReport<'a> {
    /// Which version it is.
    schema: CleanSchema,
    #[serde(flatten)]
    cleaning: &'a Cleaning,
}

/// One JSON object on one line, without a newline.
#[must_use]
pub fn clean_json(cleaning: &Cleaning) -> String {
    written(&CleanReport { schema: CleanSchema::V1, cleaning })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Side;

    fn cleaning(dry_run: bool) -> Cleaning {
        let leftover = Leftover {
            ifname: "tap0\x1b[2J".to_owned(),
            side: Side::Egress,
            name: "hop_out".to_owned(),
            priority: 65_535,
            handle: "0x686f8001".to_owned(),
            made_clsact: true,
        };
        Cleaning { mechanism: Mechanism::Clsact, dry_run, leftovers: vec![leftover] }
    }

    #[test]
    fn each_leftover_is_told() {
        let text = clean_text(&cleaning(false));
        assert_eq!(
            text,
            "removed 1 filter of a killed hoptrace:\n  \
             tap0\\u{1b}[2J tc egress: hop_out, priority 65535, handle 0x686f8001, with its clsact unless others use it\n"
        );
        assert!(clean_text(&cleaning(true)).contains("not removed"));
    }

    #[test]
    fn nothing_is_told_apart_by_kernel() {
        let nothing = |mechanism| clean_text(&Cleaning { mechanism, dry_run: false, leftovers: Vec::new() });
        assert_eq!(nothing(Mechanism::Clsact), "nothing to clean\n");
        assert!(nothing(Mechanism::Tcx).contains("TCX"));
        assert!(nothing(Mechanism::Tracepoints).contains("tracepoints"));
    }

    #[test]
    fn json_is_one_line() {
        let text = clean_json(&cleaning(true));
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["leftovers"][0]["side"], "tc egress");
        assert_eq!((&object["mechanism"], &object["dry_run"]), (&"clsact".into(), &true.into()));
        assert!(!text.contains('\n'));
    }
}
