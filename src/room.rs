//! Queues that give room back. A burst makes a queue long for a moment; with thousands of connections, what it took then
//! must not stay taken.

use std::collections::VecDeque;

/// As many entries as this always have room, so that a queue that is never long moves nothing.
const ALWAYS: usize = 8;

/// Gives room back where most of it is empty. A queue is moved no more often than a part of it was taken out.
pub(crate) fn give_back<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > ALWAYS && queue.len() <= queue.capacity() / 3 {
        queue.shrink_to(queue.len() + queue.len() / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_goes_with_what_was_in_it_and_stays_where_it_is_needed() {
        let mut queue: VecDeque<u32> = (0..1000).collect();
        let mut moves = 0;
        for taken in 1..=1000 {
            queue.pop_front();
            let before = queue.capacity();
            give_back(&mut queue);
            moves += usize::from(queue.capacity() != before);
            assert!(queue.iter().copied().eq(taken..1000), "what is in it stays");
            assert!(
                queue.capacity() <= ALWAYS.max(3 * queue.len() + 2),
                "{} of {}",
                queue.len(),
                queue.capacity()
            );
        }
        assert!(moves < 12, "{moves} moves");
        queue.extend(0..3);
        let before = queue.capacity();
        for number in 0..100 {
            queue.push_back(number);
            queue.pop_front();
            give_back(&mut queue);
        }
        assert_eq!(queue.capacity(), before, "a short queue is left alone");
    }
}
