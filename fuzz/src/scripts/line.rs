//! A line that loses, doubles and reorders as the script says.

use std::time::Duration;

use crate::input::Input;

/// Datagrams on their way in one direction.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// When they were sent, and what they say.
    on_the_way: Vec<(Duration, Vec<u8>)>,
}

impl Line {
    /// More than this on the way pushes out the oldest.
    const ROOM: usize = 64;

    /// A datagram does not travel longer than this.
    const LIFE: Duration = Duration::from_secs(3);

    pub(super) fn send(&mut self, now: Duration, bytes: Vec<u8>) {
        if self.on_the_way.len() == Self::ROOM {
            self.on_the_way.remove(0);
        }
        self.on_the_way.push((now, bytes));
    }

    /// One that arrives, mostly the oldest; it may arrive again, and it may get lost instead.
    pub(super) fn arrive(&mut self, now: Duration, input: &mut Input<'_>) -> Option<Vec<u8>> {
        self.on_the_way.retain(|(sent, _)| now.saturating_sub(*sent) <= Self::LIFE);
        if self.on_the_way.is_empty() {
            return None;
        }
        let at = if input.one_in(4) { input.below(self.on_the_way.len()) } else { 0 };
        match input.below(8) {
            0 => Some(self.on_the_way[at].1.clone()),
            1 => {
                self.on_the_way.remove(at);
                None
            }
            _ => Some(self.on_the_way.remove(at).1),
        }
    }

    /// One to make a lie of.
    pub(super) fn look(&self, input: &mut Input<'_>) -> Option<&Vec<u8>> {
        self.on_the_way.get(input.below(Self::ROOM)).map(|(_, bytes)| bytes)
    }
}
