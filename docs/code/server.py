"""The server: a square that bounces about, and that everybody may push."""

import contextlib

import pygase

SIZE = (600, 320)  # what is left of a window of 640 to 360 beside a square of 40


def time_step(game_state, dt):
    """Say what `dt` seconds change."""
    position, velocity = [], []
    for place, speed, limit in zip(game_state.position, game_state.velocity, SIZE, strict=True):
        if not 0 <= place + speed * dt <= limit:
            speed = -speed
        position.append(place + speed * dt)
        velocity.append(speed)
    return {"position": position, "velocity": velocity}


def push(right, down, **_):
    """Answer the event PUSH of any client."""
    right, down = (max(-1, min(1, value)) for value in (right, down))
    return {"velocity": [200 * right, 200 * down]}


backend = pygase.Backend(
    pygase.GameState(position=[300.0, 160.0], velocity=[120.0, 70.0]), time_step, {"PUSH": push}
)

if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it
        backend.run("0.0.0.0", 8080)
