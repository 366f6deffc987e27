"""Plays NAME: `python -m unittest`. Real sockets, two bots, no window."""

import subprocess
import sys
import unittest
from pathlib import Path

import game

HERE = Path(__file__).parent


class TestRules(unittest.TestCase):
    def test_players_stay_on_the_field(self):
        self.assertEqual(game.move([1.0, 1.0], (-1.0, -1.0), 10.0), [0.0, 0.0])

    def test_the_coin_goes_to_whoever_is_there(self):
        players = {1: {"position": [50.0, 30.0], "score": 2}, 2: {"position": [0.0, 0.0], "score": 0}}
        changes = game.step(players, {}, [50.0, 30.0], 7, 0.02)
        self.assertEqual((changes["players"][1]["score"], changes["taken"]), (3, 8))
        self.assertNotIn("score", changes["players"][2])


class TestTheGame(unittest.TestCase):
    def test_two_bots_get_their_coins(self):
        def start(file, *arguments):
            command = [sys.executable, str(HERE / file), *arguments]
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

        server = start("server.py", "--port", "0")
        try:
            port = server.stdout.readline().split(";")[0].rpartition(":")[2]
            bots = [start("bot.py", "--port", port, "--name", name, "--coins", "1") for name in ("Ada", "Bo")]
            said = [bot.communicate(timeout=70)[0] for bot in bots]
        finally:
            server.kill()
            server.communicate()
        for text, name in zip(said, ("Ada", "Bo"), strict=True):
            self.assertRegex(text, rf"^{name} has [1-9]\d* coins$")


if __name__ == "__main__":
    unittest.main()
