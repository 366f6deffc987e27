"""The server of the first game: a dragon circles a tower, players try to hit it.

    python backend.py --port 8080

The whole world is one game state. `time_step` moves it forward, `on_attack` answers the players.
"""

import argparse
import math
import threading
import time

import pygase

CIRCLE_RADIUS = 10.0
TURN_RATE = 0.8  # radians a second: one round of the tower in about eight seconds
ARROW_REACH = 3.0
FULL_HEALTH = 60
REST_SECONDS = 1.0  # a dragon that was brought down comes back after this long

# The released PyGaSe runs time steps back to back. A short sleep in each gives it the pace that this
# project's game loop keeps by itself.
NEEDS_A_PAUSE = not hasattr(pygase, "_core")


def place_on_circle(angle):
    return [CIRCLE_RADIUS * math.cos(angle), CIRCLE_RADIUS * math.sin(angle)]


def time_step(game_state, dt):
    """Say what `dt` seconds change: the dragon flies on, or rests."""
    if NEEDS_A_PAUSE:
        time.sleep(0.02)
    dragon = game_state.dragon
    if dragon["health"] > 0:
        angle = (dragon["angle"] + TURN_RATE * dt) % math.tau
        return {"dragon": {"angle": angle, "position": place_on_circle(angle)}}
    resting = dragon["resting"] - dt
    if resting > 0:
        return {"dragon": {"resting": resting}}
    return {"dragon": {"health": FULL_HEALTH, "resting": 0.0}}


def on_attack(x, y, game_state, client_address, **_):
    """Judge an arrow shot at (x, y), and tell the archer alone how it went."""
    dragon = game_state.dragon
    distance = math.dist((x, y), dragon["position"])
    if dragon["health"] <= 0:
        text = "the dragon is on the ground"
        backend.server.dispatch_event("FEEDBACK", text, 0, target_client=client_address)
        return {}
    if distance > ARROW_REACH:
        text = f"missed by {distance - ARROW_REACH:.1f}"
        backend.server.dispatch_event("FEEDBACK", text, 0, target_client=client_address)
        return {"shots": game_state.shots + 1}
    damage = round(20 * (1 - distance / ARROW_REACH)) + 5
    health = max(0, dragon["health"] - damage)
    text = "the dragon is down!" if health == 0 else "a hit!"
    backend.server.dispatch_event("FEEDBACK", text, damage, target_client=client_address, retries=2)
    return {
        "shots": game_state.shots + 1,
        "hits": game_state.hits + 1,
        "dragon": {"health": health, "resting": 0.0 if health else REST_SECONDS},
    }


backend = pygase.Backend(
    initial_game_state=pygase.GameState(
        dragon={"angle": 0.0, "position": place_on_circle(0.0), "health": FULL_HEALTH, "resting": 0.0},
        shots=0,
        hits=0,
    ),
    time_step_function=time_step,
    event_handlers={"ATTACK": on_attack},
)


def announce():
    """Print the address as soon as the server has one: with `--port 0` only the system knows it."""
    while not backend.server.port:
        time.sleep(0.01)
    print(f"listening on {backend.server.hostname}:{backend.server.port}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="a dragon to shoot at")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080, help="0 lets the system choose (default 8080)")
    arguments = parser.parse_args()
    threading.Thread(target=announce, daemon=True).start()
    try:
        backend.run(arguments.hostname, arguments.port)
        print("the host closed the game", flush=True)
    except KeyboardInterrupt:
        backend.shutdown()
        print("stopped", flush=True)
