//! Medians, and how figures compare.

/// The median; 0 of nothing.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (Some(high), 0) => f64::midpoint(sorted.get(middle.wrapping_sub(1)).copied().unwrap_or(*high), *high),
        (Some(figure), _) => *figure,
        (None, _) => 0.0,
    }
}

/// Half the distance between the quartiles, in percent of the median: how noisy the rounds were.
pub(crate) fn spread_pct(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |quarter: usize| sorted.get(sorted.len() * quarter / 4).copied().unwrap_or(0.0);
    let middle = median(figures);
    if middle > 0.0 { (at(3) - at(1)) / 2.0 / middle * 100.0 } else { 0.0 }
}

/// The median of the rounds' ratios: each round is compared with itself only.
pub(crate) fn median_ratio(figures: &[f64], to: &[f64]) -> f64 {
    let ratios: Vec<f64> = figures.iter().zip(to).map(|(figure, to)| figure / to).collect();
    median(&ratios)
}

/// What each round's figure is above that round's `floor`.
pub(crate) fn above(figures: &[f64], floor: &[f64]) -> Vec<f64> {
    figures.iter().zip(floor).map(|(figure, floor)| figure - floor).collect()
}

/// The median of the rounds' ratios of what is above `floor`: so it says what the program itself takes, not the call of it. Rounds in
/// which `to` is not above `floor` at all say nothing; 0 where no round says anything.
pub(crate) fn median_ratio_above(figures: &[f64], to: &[f64], floor: &[f64]) -> f64 {
    let (figures, to) = (above(figures, floor), above(to, floor));
    let ratios: Vec<f64> =
        figures.iter().zip(&to).filter(|(_, to)| **to > 0.0).map(|(figure, to)| figure / to).collect();
    median(&ratios)
}
