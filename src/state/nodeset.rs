//! A set of nodes by ordinal, for what a view has sent. Ordinals are never given twice, so the set is sparse
//! at its old end: 64 of them share a word, and words without any are not kept.

use std::collections::BTreeMap;

/// A word of a set: which one, and its bits.
pub(super) type Word = (u64, u64);

#[derive(Clone, Debug, Default)]
pub(super) struct NodeSet(BTreeMap<u64, u64>);

impl NodeSet {
    pub(super) fn contains(&self, ordinal: u64) -> bool {
        self.0.get(&(ordinal / 64)).is_some_and(|bits| bits >> (ordinal % 64) & 1 == 1)
    }

    pub(super) fn insert_all(&mut self, words: &[Word]) {
        for &(word, bits) in words {
            *self.0.entry(word).or_default() |= bits;
        }
    }

    pub(super) fn remove(&mut self, ordinal: u64) {
        let word = ordinal / 64;
        if let Some(bits) = self.0.get_mut(&word) {
            *bits &= !(1 << (ordinal % 64));
            if *bits == 0 {
                self.0.remove(&word);
            }
        }
    }
}

/// The words of these ordinals, each word once.
pub(super) fn words(mut ordinals: Vec<u64>) -> Box<[Word]> {
    ordinals.sort_unstable();
    let mut words: Vec<Word> = Vec::new();
    for ordinal in ordinals {
        let bit = 1 << (ordinal % 64);
        match words.last_mut() {
            Some((word, bits)) if *word == ordinal / 64 => *bits |= bit,
            _ => words.push((ordinal / 64, bit)),
        }
    }
    words.into()
}

/// Whether an ordinal is in what [`words`] made.
pub(super) fn contains(words: &[Word], ordinal: u64) -> bool {
    let found = words.binary_search_by_key(&(ordinal / 64), |&(word, _)| word);
    found.ok().and_then(|index| words.get(index)).is_some_and(|(_, bits)| bits >> (ordinal % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_and_keeps_no_empty_words() {
        let mut set = NodeSet::default();
        set.insert_all(&words(vec![700, 3, 64, 3]));
        assert!([3, 64, 700].iter().all(|&ordinal| set.contains(ordinal)));
        assert!(![2, 4, 63, 65, 128].iter().any(|&ordinal| set.contains(ordinal)));
        for ordinal in [3, 64, 700, 9999] {
            set.remove(ordinal);
            assert!(!set.contains(ordinal));
        }
        assert!(set.0.is_empty());
        let words = words(vec![700, 3, 64, 3]);
        assert!([3, 64, 700].iter().all(|&ordinal| contains(&words, ordinal)));
        assert!(![2, 4, 63, 65, 128].iter().any(|&ordinal| contains(&words, ordinal)));
    }
}
