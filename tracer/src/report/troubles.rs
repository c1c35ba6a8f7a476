//! What could not be followed, by the hook where that was.

use crate::model::HookReport;

type Count = fn(&HookReport) -> u64;

/// One phrase for each kind of trouble that there was: `untracked at tap 3, nic 8`. Hooks are named by `name`.
pub(super) fn troubles(hooks: &[HookReport], name: impl Fn(&str) -> String) -> Vec<String> {
    let kinds: [(&str, Count); 4] = [
        ("look alike at", |hook| hook.ambiguous),
        ("untracked at", |hook| hook.untracked),
        ("ring lost at", |hook| hook.ring_lost),
        ("for groups, not followed, at", |hook| hook.groups),
    ];
    let phrase = |(kind, count): (&str, Count)| {
        let places: Vec<_> = hooks
            .iter()
            .filter(|hook| count(hook) > 0)
            .map(|hook| format!("{} {}", name(&hook.hook), count(hook)))
            .collect();
        (!places.is_empty()).then(|| format!("{kind} {}", places.join(", ")))
    };
    kinds.into_iter().filter_map(phrase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_told_and_where() {
        let hook = |hook: &str, ambiguous, untracked| HookReport {
            hook: hook.to_owned(),
            ambiguous,
            untracked,
            ..HookReport::default()
        };
        assert!(troubles(&[hook("tap", 0, 0)], str::to_owned).is_empty());
        assert_eq!(
            troubles(&[hook("tap", 4, 0), hook("qvb", 2, 7), hook("nic", 0, 0)], str::to_owned),
            ["look alike at tap 4, qvb 2", "untracked at qvb 7"]
        );
    }
}
