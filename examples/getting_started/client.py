"""The client of the first game: look for the dragon, shoot at it, hear how it went.

    python client.py --port 8080

Without a terminal, or with `--auto`, it plays a few shots by itself and leaves. The first client of a
server is its host: when it leaves, it closes the server too.
"""

import argparse
import queue
import sys
import time

import pygase

HELP = "commands: look, aim (shoot at the dragon), shoot X Y, quit"

feedback = queue.Queue()


def on_feedback(text, damage):
    """Runs in the client's own thread: hand the news over to the game."""
    feedback.put((text, damage))


def dragon_now(client):
    """Copy what is needed out of the shared state, and let go of it at once."""
    with client.access_game_state() as game_state:
        return list(game_state.dragon["position"]), game_state.dragon["health"]


def shoot(client, x, y):
    """Send the shot and wait for the answer; return the damage done."""
    # Retried when it gets lost. The answer is an event of its own, not the acknowledgement.
    client.dispatch_event("ATTACK", x, y, retries=3)
    try:
        text, damage = feedback.get(timeout=3.0)
    except queue.Empty:
        print("no answer", flush=True)
        return 0
    print(f"{text} (damage {damage})", flush=True)
    return damage


def play_alone(client, shots):
    """Aim, shoot and repeat: what the tests and the curious do."""
    done = 0
    for _ in range(shots):
        position, health = dragon_now(client)
        print(f"dragon at ({position[0]:.1f}, {position[1]:.1f}), health {health}", flush=True)
        done += shoot(client, *position)
        time.sleep(0.3)
    return done


def play_interactively(client):
    """Ask for commands until the player has enough."""
    print(HELP)
    while True:
        try:
            words = input("> ").split()
        except EOFError:
            return
        position, health = dragon_now(client)
        try:
            match words:
                case ["look"]:
                    print(f"dragon at ({position[0]:.1f}, {position[1]:.1f}), health {health}")
                case ["aim"]:
                    shoot(client, *position)
                case ["shoot", x, y]:
                    shoot(client, float(x), float(y))
                case ["quit"]:
                    return
                case _:
                    print(HELP)
        except ValueError:
            print("X and Y are numbers")


def main():
    parser = argparse.ArgumentParser(description="shoot at a dragon")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--auto", action="store_true", help="play without asking")
    parser.add_argument("--shots", type=int, default=5, help="how many shots --auto takes")
    parser.add_argument("--keep-server", action="store_true", help="leave the server running")
    arguments = parser.parse_args()

    client = pygase.Client()
    client.register_event_handler("FEEDBACK", on_feedback)
    thread = client.connect_in_thread(hostname=arguments.hostname, port=arguments.port)
    try:
        # The state arrives a moment after the connection: ask until the dragon is in it.
        client.try_to(lambda game_state: game_state.dragon["position"], timeout=5.0)
        if arguments.auto or not sys.stdin.isatty():
            damage = play_alone(client, arguments.shots)
            print(f"done: {damage} damage in {arguments.shots} shots", flush=True)
        else:
            play_interactively(client)
            damage = 1
    except KeyboardInterrupt:
        damage = 1
    except TimeoutError:
        print(f"nothing heard from {arguments.hostname}:{arguments.port}", file=sys.stderr)
        client.disconnect()
        thread.join(timeout=5.0)
        return 2
    client.disconnect(shutdown_server=not arguments.keep_server)
    thread.join(timeout=5.0)
    return 0 if damage else 1


if __name__ == "__main__":
    sys.exit(main())
