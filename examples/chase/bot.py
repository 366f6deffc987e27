"""A player of chase that needs no human.

    python bot.py --port 8080 --name Otter --seconds 30

With `--control` it answers in lines of JSON on its standard output, for a program that started it: `joined`
when it plays, `settled` with the digest of its state once the game was paused and nothing changes any
more. The end of its standard input ends the bot.
"""

import argparse
import json
import sys
import threading
import time

import game
import report
from player import Player

THINK = 0.03  # seconds between two decisions
SETTLED = 0.6  # a paused state that has not changed for this long has arrived whole


def say(**what):
    print(json.dumps(what), flush=True)


def play(bot, brain, stop, until, until_paused):
    """Chase and flee; return when `until` (monotonic seconds) is over or, if wanted, the game is paused."""
    while not stop.is_set() and time.monotonic() < until:
        with bot.access_game_state() as game_state:
            if until_paused and game_state.is_paused():
                return
        players, chaser_id = bot.look()
        if bot.player_id in players:
            bot.steer(*brain.heading(bot.player_id, players, chaser_id))
        stop.wait(THINK)


def settle(bot, timeout=5.0):
    """Wait until the paused state stays the same, and return its digest and time order."""
    deadline = time.monotonic() + timeout
    last, since = None, time.monotonic()
    while time.monotonic() < deadline:
        with bot.access_game_state() as game_state:
            seen = (report.digest(game_state), int(game_state.time_order))
        if seen != last:
            last, since = seen, time.monotonic()
        elif time.monotonic() - since >= SETTLED:
            break
        time.sleep(0.02)
    return last


def main():
    parser = argparse.ArgumentParser(description="a bot that plays chase")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--name", default="Bot")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="how long to play")
    parser.add_argument("--control", action="store_true", help="report on stdout, end with stdin")
    arguments = parser.parse_args()

    stop = threading.Event()
    if arguments.control:
        threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    bot = Player()
    thread = bot.connect_in_thread(port=arguments.port, hostname=arguments.hostname)
    try:
        bot.join(arguments.name)
        if arguments.control:
            say(joined=bot.player_id)
        until = time.monotonic() + arguments.seconds
        play(bot, game.Brain(arguments.seed), stop, until, until_paused=arguments.control)
        if arguments.control and not stop.is_set():
            digest, time_order = settle(bot)
            say(settled=digest, time_order=time_order)
            stop.wait()
        bot.leave()
    except TimeoutError as error:
        print(f"{arguments.name}: {error}", file=sys.stderr)
        bot.disconnect()
        thread.join(timeout=5.0)
        return 1
    except KeyboardInterrupt:
        bot.disconnect()
    thread.join(timeout=5.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
