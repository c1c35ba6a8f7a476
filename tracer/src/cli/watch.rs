//! A trace that reports at the end, and on a terminal meanwhile.

use super::{
    CliError, Exit,
    conclude::conclude,
    format::Format,
    live::{Endings, Screen},
    output,
};
use crate::{
    model::Report,
    trace::{Ending, Event, Tracer},
};

/// How often the report on a terminal is drawn anew, in sweeps.
const DRAW_EVERY: u32 = 5;

/// How it reports.
#[derive(Clone, Copy)]
pub(super) struct Watch {
    /// The format.
    pub(super) format: Format,
    /// The report in a format, ending with a newline.
    pub(super) render: fn(&Report, Format) -> String,
}

/// Goes on with a trace that has begun, until something ends it.
///
/// # Errors
/// When stdout cannot be written; otherwise what the report comes to.
pub(super) async fn watch(
    (mut tracer, mut endings): (Tracer, Endings),
    how: Watch,
) -> Result<Exit, CliError> {
    let mut screen = (how.format.is_drawn() && output::can_be_drawn_over()).then(Screen::new);
    let mut swept: u32 = 0;
    let ending = loop {
        let event = tokio::select! {
            event = tracer.next() => event,
            () = endings.next() => Event::Ended(Ending::Wanted),
        };
        match event {
            Event::Ended(ending) => break ending,
            Event::Swept => swept = swept.wrapping_add(1),
        }
        if let Some(screen) = screen.as_mut().filter(|_| swept.is_multiple_of(DRAW_EVERY)) {
            screen.draw(&(how.render)(&tracer.snapshot(), how.format))?;
        }
    };
    let report = Box::pin(tracer.finish(&ending, async || endings.signal().await)).await;
    if let Some(screen) = screen.as_mut() {
        screen.clear()?;
    }
    output::result(&(how.render)(&report, how.format))?;
    conclude(&ending, &report)
}
