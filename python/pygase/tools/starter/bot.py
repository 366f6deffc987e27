"""Play NAME without a window: always towards the coin.

python bot.py --port 8080 --coins 3
"""

import argparse
import math
import sys
import time

from player import Player


def play(player, coins, patience):
    """Run after coins until that many are taken; return the score, or None if it took too long."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        state = player.poll()
        me = getattr(state, "players", {}).get(player.player_id)
        if me is not None:
            if me["score"] >= coins:
                return me["score"]
            x, y = state.coin[0] - me["position"][0], state.coin[1] - me["position"][1]
            distance = math.hypot(x, y) or 1.0
            # A direction that changes a little is not worth an event.
            player.steer(round(x / distance, 1), round(y / distance, 1))
        time.sleep(0.02)
    return None


def main():
    parser = argparse.ArgumentParser(description="a player of NAME that needs no window")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--name", default="Bot")
    parser.add_argument("--coins", type=int, default=3, help="leave with this many (3)")
    parser.add_argument("--seconds", type=float, default=60.0, help="or after this long (60)")
    arguments = parser.parse_args()
    player = Player(arguments.name, arguments.hostname, arguments.port)
    try:
        score = play(player, arguments.coins, arguments.seconds)
    except KeyboardInterrupt:
        return 130
    finally:
        player.leave()
    if score is None:
        print(f"not enough coins in {arguments.seconds:g} s: is the server running?", file=sys.stderr)
        return 1
    print(f"{arguments.name} has {score} coins", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
