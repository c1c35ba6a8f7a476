//! What xtask says while it works: progress to standard error, results to standard output.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "xtask talks to the person who called it")]

/// A step is done, or starts.
pub(crate) fn step(text: &str) {
    eprintln!("  {text}");
}

/// A part of a task starts.
pub(crate) fn heading(text: &str) {
    eprintln!("\n== {text}");
}

/// The task failed.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Rows of name, state and detail, in columns.
pub(crate) fn table(rows: &[[String; 3]]) {
    let width =
        |column: fn(&[String; 3]) -> &String| rows.iter().map(|row| column(row).len()).max().unwrap_or(0);
    let (names, states) = (width(|[name, ..]| name), width(|[_, state, _]| state));
    for [name, state, detail] in rows {
        eprintln!("  {name:names$}  {state:states$}  {detail}");
    }
}

/// A result, as opposed to progress.
pub(crate) fn result_line(text: &str) {
    println!("{text}");
}
