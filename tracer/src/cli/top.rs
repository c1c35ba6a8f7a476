//! `hoptrace top`

use std::{future::pending, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{
    CliError, CommonArgs, Exit,
    conclude::conclude,
    live::{Endings, LiveArgs, Pages, PortsArgs, Screen, Telling, TimingArgs, Unnamed, parse_interval},
    output,
};
use crate::{
    model::Report,
    report::{Top, TopSort, top_json, top_text},
    trace::{Ending, Event},
};

/// Options of `top`.
#[derive(Debug, Clone, clap::Args)]
#[command(override_usage = "hoptrace top [OPTIONS] [VM]... [FILTER]")]
pub struct Args {
    #[command(flatten)]
    ports: PortsArgs,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    timing: TimingArgs,
    /// What comes first
    #[arg(long, value_enum, value_name = "KEY", default_value_t = Sort::Worst)]
    sort: Sort,
    /// How often the ports are told anew; rates are over that time
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_interval)]
    interval: Duration,
    /// Print one JSON object per line and interval, and one of the whole trace at the end
    #[arg(long)]
    json: bool,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// The worst finding, then the most packets that died
    Worst,
    /// The most packets per second
    Packets,
    /// The most packets that died
    Drops,
    /// The slowest way out
    Out,
    /// The slowest way in
    In,
    /// The slowest guest
    Guest,
    /// By name
    Name,
}

impl From<Sort> for TopSort {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Worst => Self::Worst,
            Sort::Packets => Self::Packets,
            Sort::Drops => Self::Died,
            Sort::Out => Self::WayOut,
            Sort::In => Self::WayIn,
            Sort::Guest => Self::Guest,
            Sort::Name => Self::Name,
        }
    }
}

/// What tells the ports.
struct Teller {
    place: Place,
    sort: TopSort,
    json: bool,
    /// Whether there is a table already that an empty line parts the next one from.
    has_told: bool,
}

/// Where they are told.
enum Place {
    /// Over what was told before.
    Screen(Screen),
    /// Behind it.
    Pages(Pages),
}

impl Teller {
    fn new(args: &Args) -> Self {
        let drawn = !args.json && output::can_be_drawn_over();
        let place = if drawn { Place::Screen(Screen::new()) } else { Place::Pages(Pages::start()) };
        Self { place, sort: args.sort.into(), json: args.json, has_told: false }
    }

    fn text(&self, top: &Top<'_>) -> String {
        match (self.json, self.has_told) {
            (true, _) => top_json(top) + "\n",
            (false, true) => format!("\n{}", top_text(top, output::canvas())),
            (false, false) => top_text(top, output::canvas()),
        }
    }

    /// The time between two reports. `false`: the one told before has not been read yet, and this time is part of the next.
    fn tell(&mut self, before: &Report, now: &Report) -> Result<bool, CliError> {
        let text = self.text(&Top::between(before, now, self.sort));
        match &mut self.place {
            Place::Screen(screen) => screen.draw(&text).map(|()| true).map_err(CliError::from),
            Place::Pages(pages) => {
                let is_told = pages.print(text);
                self.has_told |= is_told;
                Ok(is_told)
            }
        }
    }

    /// Waits until nobody can be told any more.
    async fn failed(&mut self) -> CliError {
        match &mut self.place {
            Place::Screen(_) => pending().await,
            Place::Pages(pages) => pages.failed().await.into(),
        }
    }

    /// The whole trace.
    async fn end(self, report: &Report, endings: &mut Endings) -> Result<(), CliError> {
        let text = self.text(&Top::whole(report, self.sort));
        let is_read = match self.place {
            Place::Screen(mut screen) => screen.clear().map(|()| true)?,
            Place::Pages(pages) => pages.finish(endings).await?,
        };
        // Nobody waits for the last one who did not wait for those before.
        if is_read {
            output::result(&text)?;
        }
        Ok(())
    }
}

/// Traces ports until something ends it, all of the host where none is named, and tells them again and again.
///
/// # Errors
/// As `trace`.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let asked = args.ports.asked(Unnamed::All)?;
    let telling = Telling { timing: args.timing.timing(), ..Telling::default() };
    let begun = args.live.begin(common, asked, telling);
    let (mut tracer, mut endings) = Box::pin(begun).await?;
    let mut teller = Teller::new(args);
    let mut before = tracer.snapshot();
    let mut intervals = interval_at(Instant::now() + args.interval, args.interval);
    // What is late makes a longer interval, not two short ones.
    intervals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ending = loop {
        tokio::select! {
            event = tracer.next() => if let Event::Ended(ending) = event {
                break ending;
            },
            () = endings.next() => break Ending::Wanted,
            _ = intervals.tick() => {
                let now = tracer.snapshot();
                if teller.tell(&before, &now)? {
                    before = now;
                }
            }
            error = teller.failed() => return Err(error),
        }
    };
    let report = Box::pin(tracer.finish(&ending, async || endings.signal().await)).await;
    teller.end(&report, &mut endings).await?;
    conclude(&ending, &report)
}
