//! Set-up, build, lint, test, lab and demo of hoptrace.
fn main() {}
