//! A part of the grid; `make grid` plays all of it, `make soak` long games.

use pygase_fuzz::simulation::{grid, soak};

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
