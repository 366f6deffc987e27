"""Every deliberate difference that the README lists has tests, and every one named here is listed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What the README calls the difference, and the tests of it: a file below `tests` or `src`, and the function.
TESTS = {
    "game loop": [
        "tests/compat/test_game_loop.py::test_keeps_its_interval",
        "tests/unit/test_game_loop.py::test_game_loop_keeps_its_interval",
    ],
    "a busy Python thread": [
        "tests/unit/test_gil.py::test_in_the_server",
        "tests/unit/test_gil.py::test_in_the_client",
    ],
    "broken or foreign datagrams": [
        "tests/unit/test_admission.py::test_garbage_is_counted_and_dropped",
        "tests/unit/test_admission.py::test_our_client_ignores_foreign_senders",
        "tests/net.rs::garbage_changes_nothing_but_counters",
    ],
    "an exception in a handler or a time step": [
        "tests/compat/test_client.py::test_a_handler_that_raises_stops_nothing",
        "tests/compat/test_game_loop.py::test_exceptions_stop_nothing",
    ],
    "an event type without a handler": ["tests/compat/test_client.py::test_an_unknown_event_stops_nothing"],
    "joining a server that has run for 11 minutes": [
        "tests/interop/test_sessions.py::test_their_client_joins_our_server_of_any_age",
        "tests/state/labels.rs::a_fresh_client_joins_an_old_server_by_hops",
    ],
    "a change that a client missed": [
        "tests/state/network.rs::clients_converge",
        "tests/state/network.rs::originals_converge",
    ],
    "states larger than one package": [
        "tests/interop/test_sessions.py::test_a_large_state_reaches_their_client"
    ],
    "a single value or event too large for a package": [
        "tests/compat/test_store.py::test_too_large_a_leaf_is_named",
        "tests/compat/test_connection.py::test_dispatch_refuses_what_never_fits",
    ],
    "the acknowledgement before a gap": [
        "src/connection/tests.rs::the_package_before_a_gap_stays_acknowledged",
        "src/connection/acks.rs::a_gap_of_any_size_keeps_what_was_before_it",
    ],
    "deleting a key the client never had": [
        "tests/compat/test_gamestate.py::test_delete_what_is_not_there",
        "tests/interop/test_sessions.py::test_deletion_leaves_no_marker",
    ],
    "a client that comes from another address": [
        "tests/unit/test_takeover.py::test_the_connection_goes_on_from_another_address",
        "src/endpoint/tests/takeover.rs::a_session_goes_on_after_a_rebinding_as_if_nothing_had_happened",
    ],
    "an event with `retries`": [
        "src/endpoint/tests/events.rs::a_retried_event_is_handled_once_and_each_sender_is_told_one_truth"
    ],
    "an outage of more than 5 s": [
        "src/connection/tests.rs::five_seconds_of_silence_disconnect_and_a_package_reconnects",
        "src/endpoint/tests/playing.rs::silence_disconnects_and_is_forgotten_and_a_probe_comes_back",
        "src/endpoint/tests/returning.rs::a_client_that_was_away_asks_for_the_state_though_its_game_sleeps",
    ],
    "two handlers in one tick": ["tests/compat/test_game_loop.py::test_updates_of_one_tick_merge_deeply"],
    "`Server.dispatch_event(..., key=value)`": ["tests/compat/test_backend.py::test_keyword_arguments"],
    "a stranger's first package": [
        "tests/unit/test_admission.py::test_an_address_that_proves_nothing_stays_nobody",
        "tests/unit/test_admission.py::test_at_most_three_bytes_for_one",
    ],
    "the datagram `shut_me_down`": ["tests/unit/test_admission.py::test_shut_me_down_is_ignored"],
    "the wall clock": ["tests/compat/test_waiting.py::test_the_wall_clock_may_jump"],
    "asynchronous calls": [
        "tests/compat/test_async.py::test_a_game_runs_in_asyncio",
        "tests/compat/test_async.py::test_a_game_runs_in_curio",
        "tests/compat/test_async.py::test_a_game_runs_in_trio",
        "tests/compat/test_async.py::test_a_game_runs_in_uvloop",
        "tests/compat/test_async.py::test_curio_coroutines_in_blocking_calls",
        "tests/compat/test_async.py::test_run_from_outside",
    ],
    "a value that cannot be sent": [
        "tests/compat/test_event.py::test_unserialisable_names_the_path",
        "tests/compat/test_store.py::test_unserialisable_is_refused_at_the_call",
    ],
    "an event type that is no string": ["tests/compat/test_event.py::test_the_type_is_a_string"],
    "a client that is not connected": [
        "tests/compat/test_client.py::test_needs_a_connection",
        "tests/compat/test_waiting.py::test_events_after_disconnect",
    ],
    "bytes that are no event, state or update": [
        "tests/compat/test_master.py::test_bytes_that_are_none_raise_the_errors_of_both_versions"
    ],
    "headers and packages that are cut off or malformed": [
        "tests/compat/test_connection.py::test_bad_events",
        "tests/unit/test_package.py::test_a_header_that_is_cut_off",
        "tests/unit/test_package.py::test_malformed_datagrams_are_refused",
    ],
    "adding updates": ["tests/compat/test_gamestate.py::test_updates_are_never_changed"],
    "`vars(state)`": ["tests/compat/test_master.py::test_data_is_live"],
    "`NamedEnum`": [
        "tests/compat/test_utils.py::test_values_belong_to_the_subclass",
        "tests/compat/test_master.py::test_both_ways",
    ],
    "`hostname` and `port` of a server that was shut down": [
        "tests/compat/test_waiting.py::test_nothing_to_show_when_it_does_not_run"
    ],
    "`shutdown` of a server that does not run": [
        "tests/unit/test_assembly.py::test_server_that_does_not_run"
    ],
    "`stop` before the first time step": ["tests/compat/test_game_loop.py::test_stop_right_after_start"],
    "a handler or a time step that returns None": [
        "tests/unit/test_hints.py::test_none",
        "tests/compat/test_game_loop.py::test_handlers_may_return_nothing",
    ],
    "`wait_until(..., timeout=0)`": ["tests/compat/test_waiting.py::test_a_condition_is_looked_at_once"],
    "`LockedRessource`, `.ressource`": ["tests/compat/test_utils.py::test_both_spellings"],
    "`repr` of headers, packages, events, states and updates": [
        "tests/compat/test_connection.py::test_repr_of_values_says_what_is_in_them"
    ],
    "headers and packages": ["tests/compat/test_connection.py::test_comparing_takes_no_base_class"],
    "stepping a connection: what got lost": [
        "tests/compat/test_steps_receiving.py::test_lost_while_nothing_comes"
    ],
    "stepping a connection: a package more than 32 behind": [
        "tests/compat/test_steps.py::test_too_old_to_tell"
    ],
    "stepping a connection: a package of another kind, or one that came before": [
        "tests/compat/test_steps_receiving.py::test_refused_packages_change_nothing"
    ],
    "stepping a connection: a callback that raises": [
        "tests/compat/test_steps_receiving.py::test_raising_callback"
    ],
    "stepping a connection: events that do not fit": [
        "tests/compat/test_steps.py::test_events_that_do_not_fit_wait"
    ],
    "stepping a server's connection: a client with a state it was not sent": [
        "tests/compat/test_steps_receiving.py::test_client_with_another_state"
    ],
    "dependencies": ["tests/unit/test_differences.py::test_there_are_no_dependencies"],
}


def listed():
    """Return the first column of the table."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## What differs from PyGaSe, on purpose\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in section.splitlines() if line.startswith("| ")]
    return [row for row in rows if row.strip("| ") and row != "PyGaSe 0.3.1"]


def test_every_difference_has_its_tests():
    rows = [row for row in listed() if not row.startswith("|")]
    assert len(rows) == len(set(rows)) > 30
    assert set(rows) == set(TESTS)


@pytest.mark.parametrize("name", sorted({name for names in TESTS.values() for name in names}))
def test_the_test_is_there(name):
    file, _, function = name.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^\s*(async )?(def|fn) {function}\(", text, re.MULTILINE)


def test_there_are_no_dependencies():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r"^dependencies = \[\]$", text, re.MULTILINE)
