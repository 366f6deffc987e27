"""Game states as a game sees them, under any updates: merging, aliasing, and what a client ends up with."""

from __future__ import annotations

import copy
import os
import time

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import pygase
from pygase import _core
from pygase.gamestate import TO_DELETE, GameState, GameStateUpdate

CASES = int(os.environ.get("HYPOTHESIS_CASES", "300"))
many = settings(max_examples=CASES, deadline=None)
live = settings(
    max_examples=max(CASES // 6, 30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

names = st.sampled_from(["a", "b", "players", "world"])
keys = st.one_of(names, st.integers(-3, 3), st.tuples(st.integers(0, 2), names), st.none(), st.just(b"k"))
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(width=32, allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20).filter(lambda data: data != TO_DELETE),
    st.lists(st.integers(0, 300), max_size=4),
)


def same_key_once(pairs):
    """Leave out keys that Python takes for equal to one before: True and 1."""
    return dict(pairs)


def values(deletions):
    leaf = st.one_of(leaves, st.just(TO_DELETE)) if deletions else leaves
    return st.recursive(
        leaf,
        lambda inner: st.lists(st.tuples(keys, inner), max_size=4).map(same_key_once),
        max_leaves=12,
    )


def changes(deletions=True):
    return st.dictionaries(names, values(deletions), max_size=3)


def merged(state, update):
    """The plain model: a new dict, with maps merged and marked keys removed."""
    result = dict(state)
    for key, value in update.items():
        if isinstance(value, dict):
            old = result.get(key)
            result[key] = merged(old if isinstance(old, dict) else {}, value)
        elif isinstance(value, bytes) and value == TO_DELETE:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def over_the_wire(value):
    return _core.unpackb(_core.packb(value))


@many
@given(changes(deletions=False), st.lists(changes(), max_size=6))
def test_a_store_merges_like_plain_dicts_and_shares_nothing(start, updates):
    store = pygase.GameStateStore(GameState(**copy.deepcopy(start)))
    expected = merged({}, start)
    for update in updates:
        before = copy.deepcopy(update)
        store.push_update(GameStateUpdate(store.get_game_state().time_order + 1, **update))
        assert update == before, "an operand was changed"
        expected = merged(expected, update)
        assert vars(store.get_game_state()) == expected
        for value in update.values():
            if isinstance(value, dict):
                value["changed by its owner"] = 1
        assert vars(store.get_game_state()) == expected


def replaces_by_a_dict(first, second):
    """Whether a dict takes the place of something else: one update cannot say that the old dict is void."""
    both = [(first[key], new) for key, new in second.items() if key in first and isinstance(new, dict)]
    return any(not isinstance(old, dict) or replaces_by_a_dict(old, new) for old, new in both)


@many
@given(changes(), changes())
def test_the_sum_of_updates_does_what_both_do(first, second):
    assume(not replaces_by_a_dict(first, second))
    one, two = GameStateUpdate(1, **copy.deepcopy(first)), GameStateUpdate(2, **copy.deepcopy(second))
    total = one + two
    assert (vars(one), vars(two)) == (first, second)
    state = GameState(a={"b": 1}, players={1: {"x": 2}})
    together = state + total
    after = (state + one) + two
    assert vars(together) == vars(after) == merged(merged(vars(state), first), second)


@pytest.fixture(scope="module")
def session():
    """A server with a game loop, and a client."""
    queue = []
    same = {}

    def step(game_state, dt):
        if not queue:
            return same  # the very same dict again and again
        if hasattr(game_state, "world") and isinstance(game_state.world, dict):
            game_state.world.setdefault("own", 0)
        return queue.pop(0)

    store = pygase.GameStateStore(GameState(done=-1))
    server, machine, client = pygase.Server(store), pygase.GameStateMachine(store), pygase.Client()
    machine.time_step = step
    server.run_in_thread()
    machine.run_game_loop_in_thread(0.002)
    client.connect_in_thread(server.port)
    yield queue, store, client
    client.disconnect()
    machine.stop()
    server.shutdown()


@live
@given(st.lists(changes(), min_size=1, max_size=8))
def test_a_live_client_ends_with_what_the_server_has(session, updates):
    queue, store, client = session
    number = store.get_game_state().done + 1
    for name in ("a", "b", "players"):
        updates.append({name: TO_DELETE} if number % 3 == 0 else {})
    queue.extend([*updates, {"done": number}])
    client.wait_until(lambda state: getattr(state, "done", None) == number, timeout=10)
    end = time.monotonic() + 10
    while True:
        # What the game changed in the state itself is no update: it is not looked at here.
        server_has = over_the_wire(
            {name: value for name, value in vars(store.get_game_state()).items() if name != "world"}
        )
        with client.access_game_state() as state:
            client_has = {name: value for name, value in vars(state).items() if name != "world"}
        if repr(sorted_deep(client_has)) == repr(sorted_deep(server_has)):
            break
        assert time.monotonic() < end, (client_has, server_has)
        time.sleep(0.005)


def sorted_deep(value):
    """Dicts as sorted lists, so that equal ones have equal representations."""
    if isinstance(value, dict):
        return sorted(
            ((repr(key), sorted_deep(item)) for key, item in value.items()), key=lambda item: item[0]
        )
    return value
