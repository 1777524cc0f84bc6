//! The name a person may have meant when writing another.

/// Below this likeness (Jaro-Winkler, 0 to 1) a suggestion would rather confuse: "port" is no "proxy".
const LIKENESS_MIN: f64 = 0.85;

/// The candidate most like `written`, the first of several equals; `None` if none is like it.
pub(super) fn name<S: AsRef<str>>(
    written: &str,
    candidates: impl IntoIterator<Item = S>,
) -> Option<S> {
    let mut best: Option<(f64, S)> = None;
    for candidate in candidates {
        let likeness = strsim::jaro_winkler(written, candidate.as_ref());
        if likeness >= LIKENESS_MIN && best.as_ref().is_none_or(|(so_far, _)| likeness > *so_far) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    #[test]
    fn slips_of_the_finger_find_their_name_and_strangers_do_not() {
        let names = ["name", "data-dir", "listen-client-urls", "listen-peer-urls"];
        assert_eq!(super::name("nmae", names), Some("name"));
        assert_eq!(super::name("datadir", names), Some("data-dir"));
        assert_eq!(super::name("listen-client-url", names), Some("listen-client-urls"));
        assert_eq!(super::name("zebra", names), None);
    }
}
