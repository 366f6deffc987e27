//! A set of nodes by ordinal, for what a view has sent. Ordinals are never given twice, so the set has gaps where nodes
//! died, and what is left of a state that only grows has none: 64 ordinals share a word, words without any are not
//! kept, and full words that follow each other are one run. A client that has all there is costs next to nothing,
//! however much that is; one from whose state much was deleted costs two bits for each ordinal of the words that are
//! neither full nor empty.

/// A word of a set: which one, and its bits.
pub(super) type Word = (u64, u64);

/// Words that follow each other with the same bits: one, or several full ones.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    /// The first that is not in it.
    end: u64,
    bits: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct NodeSet(Vec<Run>);

impl NodeSet {
    pub(super) fn contains(&self, ordinal: u64) -> bool {
        let (word, bit) = word_of(ordinal);
        self.bits(word) & bit != 0
    }

    /// Adds a word; gives what of it was not there.
    pub(super) fn insert(&mut self, (word, bits): Word) -> Word {
        let index = self.index_of(word);
        let before = self.bits(word);
        let fresh = bits & !before;
        if fresh == 0 {
            return (word, 0);
        }
        match self.0.get_mut(index).filter(|_| before != 0) {
            // Something was missing, so it is a run of one word.
            Some(run) => run.bits |= bits,
            None => self.0.insert(index, Run { first: word, end: word + 1, bits }),
        }
        self.join(index);
        self.join(index.wrapping_sub(1));
        (word, fresh)
    }

    /// Removes a word.
    pub(super) fn remove(&mut self, (word, bits): Word) {
        if self.bits(word) & bits == 0 {
            return;
        }
        let index = self.index_of(word);
        let Some(Run { first, end, bits: before }) = self.0.get(index).copied() else { return };
        let left = [
            Run { first, end: word, bits: before },
            Run { first: word, end: word + 1, bits: before & !bits },
            Run { first: word + 1, end, bits: before },
        ];
        self.0.splice(index..=index, left.into_iter().filter(|run| run.first < run.end && run.bits != 0));
        self.give_back();
    }

    /// The bits of a word.
    fn bits(&self, word: u64) -> u64 {
        let run = self.0.get(self.index_of(word));
        run.filter(|run| run.first <= word).map_or(0, |run| run.bits)
    }

    /// The run with this word, or the first behind it.
    fn index_of(&self, word: u64) -> usize {
        self.0.partition_point(|run| run.end <= word)
    }

    /// Makes one run of this one and the next, if they are full and side by side.
    fn join(&mut self, index: usize) {
        let Some(&[left, right]) = self.0.get(index..).and_then(|runs| runs.first_chunk()) else { return };
        if left.bits == u64::MAX && right.bits == u64::MAX && left.end == right.first {
            self.0.splice(index..index + 2, [Run { end: right.end, ..left }]);
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if self.0.len() <= self.0.capacity() / 4 {
            self.0.shrink_to(2 * self.0.len());
        }
    }
}

/// The word with this ordinal alone.
pub(super) fn word_of(ordinal: u64) -> Word {
    (ordinal / 64, 1 << (ordinal % 64))
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
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// It has what a set of ordinals has, and no more runs than that needs.
        #[test]
        fn equals_a_set_of_ordinals(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..6, any::<u64>(), 0_u8..4), 1..60)
        ) {
            let (mut set, mut model) = (NodeSet::default(), BTreeSet::new());
            for (insert, word, bits, kind) in steps {
                let bits = match kind {
                    0 => bits,
                    1 => 1 << (bits % 64),
                    _ => u64::MAX,
                };
                let ordinals = (0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| word * 64 + bit);
                if insert {
                    let fresh = ordinals.filter(|ordinal| model.insert(*ordinal)).map(|ordinal| 1 << (ordinal % 64));
                    let expected = (word, fresh.fold(0, |bits, bit: u64| bits | bit));
                    prop_assert_eq!(set.insert((word, bits)), expected);
                } else {
                    set.remove((word, bits));
                    ordinals.for_each(|ordinal| _ = model.remove(&ordinal));
                }
                prop_assert!((0..6 * 64).all(|ordinal| set.contains(ordinal) == model.contains(&ordinal)));
                let is_needed = |pair: &[Run]| {
                    pair[0].end < pair[1].first || pair.iter().any(|run| run.bits != u64::MAX)
                };
                prop_assert!(set.0.windows(2).all(is_needed), "{set:?}");
                prop_assert!(set.0.iter().all(|run| run.bits != 0 && run.first < run.end), "{set:?}");
            }
        }
    }

    #[test]
    fn what_has_no_gaps_takes_no_room_however_much_it_is() {
        let mut set = NodeSet::default();
        // In an order that leaves gaps on the way.
        for step in 0..7 {
            words((step..100_000).step_by(7).collect()).iter().for_each(|&word| _ = set.insert(word));
        }
        assert!((0..100_000).all(|ordinal| set.contains(ordinal)) && !set.contains(100_000));
        assert!(set.0.capacity() <= 8, "{} runs", set.0.capacity());
        (0..100_000).for_each(|ordinal| set.remove(word_of(ordinal)));
        assert_eq!(set.0.capacity(), 0);
    }

    #[test]
    fn words_hold_what_they_were_made_of() {
        let words = words(vec![700, 3, 64, 3]);
        assert!([3, 64, 700].iter().all(|&ordinal| contains(&words, ordinal)));
        assert!(![2, 4, 63, 65, 128].iter().any(|&ordinal| contains(&words, ordinal)));
    }
}
