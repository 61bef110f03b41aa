//! The lowest place of a function with one minimum, by the golden section (Kiefer 1953).

/// Where `f` is least in `range`, to `width`. `f` is evaluated once for every narrowing by
/// 0.618.
pub fn minimise(range: [f64; 2], width: f64, f: impl Fn(f64) -> f64) -> f64 {
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let [mut low, mut high] = range;
    let (mut a, mut b) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_a, mut at_b) = (f(a), f(b));
    while high - low > width {
        if at_a < at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - golden * (high - low);
            at_a = f(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + golden * (high - low);
            at_b = f(b);
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_minimum_is_found_and_each_place_asked_once() {
        let n = Cell::new(0);
        let f = |x: f64| {
            n.set(n.get() + 1);
            (x - 0.3).powi(2)
        };
        assert!((minimise([-2.0, 5.0], 1e-4, f) - 0.3).abs() < 1e-4);
        // 7 * 0.618^24 < 1e-4.
        assert_eq!(n.get(), 2 + 24);
        assert!((minimise([0.0, 1.0], 1e-6, |x| x)).abs() < 1e-6, "at an end of the range, too");
    }
}
