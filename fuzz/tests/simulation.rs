//! A part of the grid; `make grid` plays all of it, `make soak` long games.

use std::time::Duration;

use pygase_fuzz::simulation::{age, grid, soak};

#[test]
fn what_is_promised_on_bad_lines_holds() {
    // A step that shares no factor with the sizes of the grid comes by every value of each kind of fault.
    for (index, cell) in grid::cells().into_iter().enumerate().step_by(11) {
        grid::run(cell, index as u64);
    }
}

#[test]
fn an_hour_of_play_leaves_nothing_behind() {
    let live = soak::an_hour(1);
    let most = live[0] + live[0] / 20 + 16_384;
    assert!(live.iter().all(|bytes| *bytes < most), "bytes after each ten minutes: {live:?}");
}

#[test]
fn long_games_end_well() {
    // Then: a package from before a hop of the number of the state came after it; one with a part for the copy given
    // up was acknowledged; a late one spoke for an address that had asked for everything again; one came so late that
    // labels had gone half way round.
    (0..30).chain([305, 13_413, 15_142, 16_985]).for_each(soak::run);
}

/// A deletion has to reach an unmodified client exactly once, and what changes meanwhile waits for the answer.
#[test]
fn nobody_plays_far_behind() {
    for round_trip in [0, 50, 150].map(Duration::from_millis) {
        let (original, original_worst) = age::of_the_state(round_trip, false, false);
        let (unmodified, unmodified_worst) = age::of_the_state(round_trip, true, false);
        let (ours, ours_worst) = age::of_the_state(round_trip, true, true);
        let more = Duration::from_millis(50) + round_trip;
        assert!(unmodified <= original + more, "{round_trip:?}: {unmodified:?}, {original:?}");
        assert!(
            unmodified_worst <= original_worst + more,
            "{round_trip:?}: {unmodified_worst:?}, {original_worst:?}"
        );
        let once = Duration::from_millis(5);
        assert!(ours <= original + once, "{round_trip:?}: {ours:?}, {original:?}");
        assert!(ours_worst <= original_worst + once, "{round_trip:?}: {ours_worst:?}, {original_worst:?}");
    }
}
