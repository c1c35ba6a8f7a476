//! `hoptrace top`

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{
    CliError, CommonArgs, Exit,
    conclude::conclude,
    live::{LiveArgs, PortsArgs, Screen, Unnamed, parse_interval},
    output,
};
use crate::{
    model::Report,
    report::{Top, TopSort, top_json, top_text},
    trace::{Ending, Event, RecordOptions},
};

/// Options of `top`.
#[derive(Debug, Clone, clap::Args)]
#[command(override_usage = "hoptrace top [OPTIONS] [VM]... [FILTER]")]
pub struct Args {
    #[command(flatten)]
    ports: PortsArgs,
    #[command(flatten)]
    live: LiveArgs,
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

/// Where the ports are told.
struct Teller {
    screen: Option<Screen>,
    sort: TopSort,
    json: bool,
    /// Whether there is a table already that an empty line parts the next one from.
    has_told: bool,
}

impl Teller {
    fn new(args: &Args) -> Self {
        let screen = (!args.json && output::can_be_drawn_over()).then(Screen::new);
        Self { screen, sort: args.sort.into(), json: args.json, has_told: false }
    }

    fn text(&self, top: &Top<'_>) -> String {
        if self.json { top_json(top) + "\n" } else { top_text(top, output::canvas()) }
    }

    /// The time between two reports.
    fn tell(&mut self, before: &Report, now: &Report) -> Result<(), CliError> {
        let text = self.text(&Top::between(before, now, self.sort));
        match &mut self.screen {
            Some(screen) => screen.draw(&text)?,
            None => self.print(&text)?,
        }
        Ok(())
    }

    fn print(&mut self, text: &str) -> Result<(), CliError> {
        let parted = if self.has_told && !self.json { "\n" } else { "" };
        self.has_told = true;
        Ok(output::result(&format!("{parted}{text}"))?)
    }

    /// The whole trace.
    fn end(mut self, report: &Report) -> Result<(), CliError> {
        if let Some(screen) = &mut self.screen {
            screen.clear()?;
        }
        let text = self.text(&Top::whole(report, self.sort));
        self.print(&text)
    }
}

/// Traces ports until something ends it, all of the host where none is named, and tells them again and again.
///
/// # Errors
/// As `trace`.
pub(super) async fn run(common: &CommonArgs, args: &Args) -> Result<Exit, CliError> {
    let asked = args.ports.asked(Unnamed::All)?;
    let begun = args.live.begin(common, asked, RecordOptions::default(), false);
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
                teller.tell(&before, &now)?;
                before = now;
            }
        }
    };
    let report = Box::pin(tracer.finish(&ending, async || endings.signal().await)).await;
    teller.end(&report)?;
    conclude(&ending, &report)
}
