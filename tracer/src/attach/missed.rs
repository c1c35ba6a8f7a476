//! Runs of a program that the kernel left out.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::Ebpf;

/// How often the kernel did not run `program` at its tracepoint because the same CPU was in the middle of it; 0 where it is not
/// loaded.
pub(crate) fn missed_runs(object: &Ebpf, program: &str) -> u64 {
    let program = object.program(program).and_then(|program| program.fd().ok());
    let text = program
        .map(|program| fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd())));
    text.and_then(Result::ok).map_or(0, |text| in_text(&text))
}

fn in_text(text: &str) -> u64 {
    let number = text.lines().find_map(|line| line.strip_prefix("recursion_misses:"));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_words_are_understood() {
        assert_eq!(in_text("prog_type:\t17\nrun_cnt:\t9\nrecursion_misses:\t3\nverified_insns:\t7\n"), 3);
        assert_eq!(in_text("prog_type:\t17\n"), 0);
    }
}
