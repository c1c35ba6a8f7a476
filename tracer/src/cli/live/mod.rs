//! What the commands that attach have in common: their options, what ends them, and the screen.

mod ending;
mod options;
mod pages;
mod ports;
mod printer;
mod screen;
mod timing;
mod units;

pub(super) use ending::Endings;
pub(super) use options::{LiveArgs, Telling};
pub(super) use pages::Pages;
pub(super) use ports::{PortArgs, PortsArgs, Unnamed};
pub(super) use printer::{Format, Printer};
pub(super) use screen::Screen;
pub(super) use timing::TimingArgs;
pub(super) use units::{parse_interval, parse_sample, parse_share_ppm, parse_threshold_ns};
