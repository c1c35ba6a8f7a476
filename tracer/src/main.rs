//! The `hoptrace` program.

fn main() -> std::process::ExitCode {
    hoptrace::cli::main()
}
