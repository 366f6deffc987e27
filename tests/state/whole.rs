//! On a line that loses nothing, whoever has all that was sent sees the game as it was between two ticks.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use pygase::state::{PeerKind, Store, View};
use pygase::wire::Sqn;

use crate::model::{Dict, merge, pack, parse};
use crate::network::{Copy, any_kind, cases, update};

const ROUND: Duration = Duration::from_millis(25);

#[derive(Clone, Debug)]
struct Plan {
    kind: PeerKind,
    time_order: u16,
    /// One way, in rounds.
    delay: usize,
    start: Dict,
    /// What is pushed in each round.
    ticks: Vec<Vec<Dict>>,
}

fn run(plan: &Plan) -> Result<(), TestCaseError> {
    let mut store = Store::new(Sqn::new(plan.time_order), &pack(&plan.start)).unwrap();
    let mut view = View::new(&store, plan.kind);
    let mut copy = Copy::new(plan.kind);
    let mut moments = vec![Dict::new()];
    merge(&mut moments[0], &plan.start);
    let mut seen = 0;
    let mut down = VecDeque::from(vec![None; plan.delay]);
    let mut up = VecDeque::from(vec![Sqn::ZERO; plan.delay]);
    let quiet = std::iter::repeat_n(&[][..], 2 * plan.delay + 100);
    for (round, ticks) in (1..).zip(plan.ticks.iter().map(Vec::as_slice).chain(quiet)) {
        for tick in ticks {
            let mut moment = moments[moments.len() - 1].clone();
            merge(&mut moment, tick);
            moments.push(moment);
            let next = store.time_order().next();
            store.push(ROUND * round, next, &pack(tick)).unwrap();
        }
        up.push_back(copy.time_order());
        view.report(up.pop_front().unwrap(), &store);
        let mut bytes = Vec::new();
        view.write_update(&mut store, ROUND * round, 1200, &mut bytes);
        eprintln!(
            "r{round} T={:?} view {:?} writes {:?} {:?}",
            store.time_order(),
            view.label(),
            pygase::wire::msgpack::update_time_order(&bytes),
            parse(&bytes)
        );
        down.push_back(Some(bytes));
        let Some(arrived) = down.pop_front().unwrap() else { continue };
        let before = copy.time_order();
        copy.apply(&arrived);
        if copy.time_order() != before {
            let state = copy.state();
            let moment = moments.iter().skip(seen).position(|moment| moment == state);
            prop_assert!(moment.is_some(), "{state:?} in round {round} after {:?}", moments[seen]);
            seen += moment.unwrap();
        }
    }
    prop_assert_eq!(copy.state(), &moments[moments.len() - 1]);
    Ok(())
}

fn plan() -> impl Strategy<Value = Plan> {
    let time_order = prop_oneof![Just(1u16), 30_000..=65_535u16, 32_700..=32_800u16, 65_400..=65_535u16];
    let ticks = prop::collection::vec(prop::collection::vec(update(3), 0..3), 0..60);
    (any_kind(), time_order, 0usize..12, update(0), ticks)
        .prop_map(|(kind, time_order, delay, start, ticks)| Plan { kind, time_order, delay, start, ticks })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(500), failure_persistence: None, ..ProptestConfig::default() })]

    /// However old the server is, and while the client gets there by hops.
    #[test]
    fn ticks_come_whole(plan in plan()) {
        run(&plan)?;
    }
}
