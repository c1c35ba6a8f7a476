//! What the switch's rules would do with a packet, for people: it stands below the drawing of the path.

use super::{
    Canvas, Ink,
    trace_text::{Setting, way},
};
use crate::model::{Fate, Prediction};

/// The prediction, beginning with an empty line and ending with a newline.
#[must_use]
pub fn prediction_text(prediction: &Prediction, canvas: Canvas) -> String {
    let setting = Setting::on(canvas);
    let direction = canvas.paint(Ink::Strong, prediction.direction.name());
    let mut lines = vec![String::new(), format!("{direction}  {}, predicted", way(prediction.direction))];
    lines.extend(setting.sentence(2, None, &prediction.packet));
    lines.extend(setting.sentence(2, Some(ink(prediction.fate)), &prediction.verdict));
    for line in prediction.assumptions.iter().chain(&prediction.not_predicted) {
        lines.extend(setting.sentence(2, Some(Ink::Warn), line));
    }
    lines.extend(setting.explanation(&prediction.explain, 2));
    lines.push(String::new());
    lines.join("\n")
}

const fn ink(fate: Fate) -> Ink {
    match fate {
        Fate::ToWire | Fate::ToVm | Fate::Answered => Ink::Good,
        Fate::Beside | Fate::Onward | Fate::Flooded | Fate::UserSpace | Fate::Unclear => Ink::Warn,
        Fate::Dropped => Ink::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Direction, PredictedPort},
        report::trace_samples::explanation,
    };

    fn prediction() -> Prediction {
        Prediction {
            packet: "udp from 10.99.99.111 port 40000 to 10.99.99.1 port 4444".to_owned(),
            direction: Direction::Egress,
            fate: Fate::Dropped,
            verdict: "dropped by the rule of table 0 of br-int: priority 1000 udp,tp_dst=4444".to_owned(),
            outputs: vec![PredictedPort { ifname: "ens3".to_owned(), what: "nic".to_owned() }],
            assumptions: vec!["source 10.99.99.111 is assumed: the VM's own address".to_owned()],
            not_predicted: vec!["security groups on qbrc3d70d5c-a9 are not predicted".to_owned()],
            explain: explanation(),
        }
    }

    #[test]
    fn the_verdict_comes_before_its_reasons() {
        let text = prediction_text(&prediction(), Canvas::PLAIN);
        let expected = [
            "\negress  VM → wire, predicted\n",
            "  udp from 10.99.99.111 port 40000 to 10.99.99.1 port 4444\n",
            "  dropped by the rule of table 0 of br-int: priority 1000 udp,tp_dst=4444\n",
            "  source 10.99.99.111 is assumed",
            "  security groups on qbrc3d70d5c-a9 are not predicted\n",
            "  ofproto/trace br-int udp,in_port=qvoc3d70d5c-a90,",
            "  br-int\n",
            "    table 0 priority 1000 cookie 0x17: udp,tp_dst=4444\\u{1b}[31m\n",
            "  datapath actions: drop\n",
        ];
        let mut rest = text.as_str();
        for part in expected {
            let at = rest.find(part).unwrap_or_else(|| panic!("no {part:?} in order in\n{text}"));
            rest = &rest[at + part.len()..];
        }
        assert!(rest.is_empty() && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn lines_break_where_the_terminal_ends_and_colours_take_no_room() {
        let narrow = prediction_text(&prediction(), Canvas { width: Some(60), colour: false });
        assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
        let coloured = prediction_text(&prediction(), Canvas { width: Some(60), colour: true });
        assert!(
            coloured.contains("\x1b[31mdropped by the rule") && coloured.contains("\x1b[1megress"),
            "{coloured}"
        );
    }

    #[test]
    fn every_prediction_is_read_back_as_it_was_written() {
        let written = serde_json::to_string(&prediction()).unwrap();
        assert!(
            written.contains(r#""fate":"dropped""#) && written.contains(r#""direction":"egress""#),
            "{written}"
        );
        assert_eq!(serde_json::from_str::<Prediction>(&written).unwrap(), prediction());
    }
}
