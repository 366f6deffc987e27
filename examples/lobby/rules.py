"""Who sits at which table of the lobby, and when a game starts. No network in here.

| attribute of the game state | meaning |
|---|---|
| `players` | id -> `{"name": str, "table": str, "ready": bool}`; the table is "" for who has none |
| `countdowns` | name of a table -> whole seconds until its game starts |
"""

from collections import deque

SEATS = 4
COUNTDOWN = 3.0  # seconds from the moment everybody is ready
MAX_NAME, MAX_TEXT = 12, 200
TALK, TALK_SECONDS = 5, 5.0  # so many lines may one player say in so many seconds


class Lobby:
    """All players and tables. Every request returns what is wrong with it, or None."""

    def __init__(self):
        """Make a lobby with nobody in it."""
        self.time = 0.0
        self.players = {}
        self.starts = {}  # table -> when its game starts
        self.talk = {}  # id -> when the player said the last few lines

    def enter(self, player_id, name):
        """Let somebody in; return the name they get, which is theirs alone."""
        name = "".join(char for char in str(name) if char.isalnum())[:MAX_NAME] or "nobody"
        taken = {player["name"].lower() for player in self.players.values()}
        choices = [name, *(f"{name[: MAX_NAME - 3]}{number}" for number in range(2, len(taken) + 3))]
        name = next(choice for choice in choices if choice.lower() not in taken)
        self.players[player_id] = {"name": name, "table": "", "ready": False}
        self.talk[player_id] = deque(maxlen=TALK)
        return name

    def leave(self, player_id):
        """Let somebody go."""
        self.sit(player_id, "")
        del self.players[player_id], self.talk[player_id]

    def at(self, table):
        """Return the ids of those at a table; at "" are those who have none."""
        return [key for key, player in self.players.items() if player["table"] == table]

    def sit(self, player_id, table):
        """Sit down at a table, which is there as soon as somebody sits at it; "" is to get up."""
        if not isinstance(table, str) or len(table) > MAX_NAME or (table and not table.isalnum()):
            return f"a table has a name of up to {MAX_NAME} letters and digits"
        player = self.players[player_id]
        if table and table != player["table"] and len(self.at(table)) >= SEATS:
            return f"table {table} has only {SEATS} seats"
        left, player["table"], player["ready"] = player["table"], table, False
        for changed in {left, table} - {""}:
            self.look_at(changed)
        return None

    def be_ready(self, player_id):
        """Say that the game may start."""
        player = self.players[player_id]
        if not player["table"]:
            return "sit down at a table first"
        player["ready"] = True
        self.look_at(player["table"])
        return None

    def look_at(self, table):
        """Begin the countdown of a table when all are ready, and stop it when they are not."""
        seated = self.at(table)
        if len(seated) >= 2 and all(self.players[key]["ready"] for key in seated):
            self.starts.setdefault(table, self.time + COUNTDOWN)
        else:
            self.starts.pop(table, None)

    def say(self, player_id, text):
        """Note that somebody says something; return what is wrong with it, or None."""
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT or not text.isprintable():
            return f"say something of up to {MAX_TEXT} letters"
        said = self.talk[player_id]
        if len(said) == TALK and self.time - said[0] < TALK_SECONDS:
            return "not so fast"
        said.append(self.time)
        return None

    def step(self, dt):
        """Move the time on; return {table: ids of its players} of the games that start now."""
        self.time += dt
        starting = {}
        for table in [table for table, start in self.starts.items() if start <= self.time]:
            del self.starts[table]
            starting[table] = self.at(table)
            for key in starting[table]:
                self.players[key]["ready"] = False
        return starting

    def state(self):
        """Return everything as the attributes of a game state."""
        countdowns = {table: int(start - self.time) + 1 for table, start in self.starts.items()}
        return {
            "players": {key: dict(player) for key, player in self.players.items()},
            "countdowns": countdowns,
        }
