"""User code may call anything of a game from inside itself, and end it."""

import pytest
from support import misbehaviour
from support.misbehaviour import ACK, HANDLER, LOOP, in_turns, provoke, tracebacks

import pygase

game = pytest.fixture(misbehaviour.playing)


class Reentrant:
    """What user code may call from inside itself."""

    def dispatch(self, game):
        game.server.dispatch_event("NEWS")
        game.client.dispatch_event("ASK", 0)

    def push(self, game):
        state = game.backend.game_state_store.get_game_state()
        game.backend.game_state_store.push_update(
            pygase.gamestate.GameStateUpdate(state.time_order + 1, pushed=True)
        )

    def push_event(self, game):
        return game.machine._push_event(pygase.event.Event("SET", 5))

    def register(self, game):
        game.server.register_event_handler("FRESH", lambda client_address: None)

    def stats(self, game):
        assert game.backend.stats() and game.client.stats()

    def kick(self, game):
        for address in list(game.server.connections):
            game.server.kick(address)

    def ban(self, game):
        game.server.ban("192.0.2.1")
        game.server.unban("192.0.2.1")

    def disconnect(self, game):
        return game.client.disconnect()

    def shutdown(self, game):
        return game.server.shutdown()

    def stop(self, game):
        return game.machine.stop()

    def run_again(self, game):
        for run in (game.server.run_in_thread, game.machine.run_game_loop_in_thread):
            with pytest.raises(RuntimeError, match="already running"):
                run()
        with pytest.raises(RuntimeError, match="already connected"):
            game.client.connect_in_thread(game.server.port)


NAMES = [name for name in vars(Reentrant) if not name.startswith("_")]
# What may wait for the thread it is called in is tried everywhere; the rest returns nothing to be awaited.
ENDINGS = ("kick", "disconnect", "shutdown", "stop")
AWAITED = ("push_event", "disconnect", "shutdown", "stop")
CALLS = [
    *in_turns([name for name in NAMES if name not in ENDINGS], [HANDLER, ACK, LOOP]),
    *[(place, name) for place in (*HANDLER, *ACK, *LOOP) for name in ENDINGS],
]


@pytest.mark.parametrize(
    ("place", "name", "awaits"),
    [(*call, False) for call in CALLS] + [(*call, True) for call in CALLS if call[1] in AWAITED],
)
def test_user_code_may_call_anything_from_inside(game, place, name, awaits, wait_for, caplog):
    done = []

    def call(**_):
        result = getattr(Reentrant(), name)(game)
        done.append(name)
        if awaits and result is not None:
            return waiting(result)
        return None

    async def waiting(result):
        await result

    game.server.register_event_handler("MISTAKE", call)
    game.client.register_event_handler("MISTAKE", call)
    game.client.register_event_handler("NEWS", lambda: None)
    game.machine.register_event_handler("LOOP", call)
    game.start()
    if place == "game loop":
        game.client.dispatch_event("LOOP", retries=5)
    else:
        provoke(game, place, call)
    wait_for(lambda: done)
    if name == "kick":
        wait_for(lambda: not game.server.stats()["clients"])
    elif name == "shutdown":
        wait_for(lambda: game.server.port is None)
        wait_for(lambda: game.server._session.done.is_set())
        game.server.run_in_thread(event_wire=game.machine)
    elif name == "disconnect":
        wait_for(lambda: game.client.connection._is_closed)
        game.client.connect_in_thread(game.server.port)
        game.client.try_to(lambda game_state: game_state.beat, timeout=10)
    elif name == "stop":
        wait_for(lambda: not game.machine._game_loop_is_running)
        game.machine.run_game_loop_in_thread(0.01)
    if name not in ("kick", "shutdown"):
        game.goes_on(wait_for)
    assert not tracebacks(caplog), caplog.text
