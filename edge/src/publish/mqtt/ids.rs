//! Names as ids: what Home Assistant takes in topics and entities is a small alphabet, and what
//! people call their rooms and sounds is not. Two names are never one id.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

/// Ids that mean something else already, or were given.
#[derive(Debug, Default)]
pub(super) struct Ids {
    taken: HashSet<String>,
    /// Whether other daemons give ids, too, that this one does not know.
    with_others: bool,
}

impl Ids {
    /// None of `reserved` will be given.
    pub(super) fn new<'a>(reserved: impl IntoIterator<Item = &'a str>) -> Self {
        Ids { taken: reserved.into_iter().map(str::to_string).collect(), with_others: false }
    }

    /// For names beside those of other daemons at the same broker: `a b` here and `a_b` there are
    /// two devices.
    pub(super) fn with_others() -> Self {
        Ids { taken: HashSet::new(), with_others: true }
    }

    /// An id for each of `names`, in their order.
    ///
    /// A name within the alphabet is its own id. Of others the rest becomes `_`; where that leaves
    /// too little, or is another's id or could be that of another daemon's device, a check sum of
    /// the name follows.
    pub(super) fn of_all(mut self, names: &[&str]) -> Vec<String> {
        let is_plain = |name: &str| *name == replaced(name);
        let mut ids = vec![String::new(); names.len()];
        // Those that are their own ids have the first choice.
        let (plain, others): (Vec<usize>, Vec<usize>) = (0..names.len()).partition(|at| is_plain(names[*at]));
        for at in plain.into_iter().chain(others) {
            let name = names[at];
            let short = replaced(name);
            let is_known = name.is_ascii() && (!self.with_others || is_plain(name));
            let is_distinct = is_known && !self.taken.contains(&short.to_ascii_lowercase());
            ids[at] = if is_distinct { short } else { format!("{short}_{}", check_sum(name)) };
            self.taken.insert(ids[at].to_ascii_lowercase());
        }
        ids
    }
}

/// The id of the only device of a daemon.
#[cfg(test)]
pub(super) fn id(name: &str) -> String {
    Ids::with_others().of_all(&[name]).remove(0)
}

fn replaced(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

fn check_sum(name: &str) -> String {
    Sha256::digest(name.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(reserved: &[&str], names: &[&str]) -> Vec<String> {
        let ids = Ids::new(reserved.iter().copied()).of_all(names);
        let distinct: HashSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{ids:?}");
        let is_id = |id: &String| id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        assert!(ids.iter().all(is_id), "{ids:?}");
        ids
    }

    #[test]
    fn names_of_the_alphabet_are_their_own_ids_and_others_are_what_they_were() {
        assert_eq!(
            all(&[], &["crying_baby", "water-flowing", "cellar mic"]),
            ["crying_baby", "water-flowing", "cellar_mic"]
        );
    }

    #[test]
    fn no_two_names_are_one_id() {
        all(&[], &["门铃", "狗叫"]);
        let ids =
            all(&["level", "microphone_fault"], &["T_r", "Tür", "T ür", "a b", "a_b", "a.b", "Dog", "dog", "level"]);
        assert_eq!((ids[0].as_str(), ids[4].as_str()), ("T_r", "a_b"));
        assert_ne!(id("厨房"), id("客厅"));
    }

    #[test]
    fn two_daemons_that_know_nothing_of_each_other_have_two_ids() {
        let names = ["a_b", "a b", "a.b", "a-b", "Tür", "T_r"];
        let ids: HashSet<String> = names.iter().map(|name| id(name)).collect();
        assert_eq!(ids.len(), names.len(), "{ids:?}");
        // Which are what they were where the name is plain.
        assert_eq!((id("a_b"), id("a-b"), id("kitchen-pi")), ("a_b".into(), "a-b".into(), "kitchen-pi".into()));
    }

    #[test]
    fn the_id_of_a_name_stays_the_same() {
        assert_eq!(id("Tür"), "T_r_1cff8a95");
    }
}
