"""Meet others in the lobby, in a terminal.

    python client.py --name Anna

Whatever is typed is said to all at the same table; lines that begin with a slash are commands, see /help.
"""

import argparse
import queue
import sys
import threading
import time

import pygase

HELP = "/tables   /sit TABLE   /up   /ready   /quit   anything else is said"
COLOURS = (36, 32, 33, 35, 34, 31)  # of an ANSI terminal


class Guest(pygase.Client):
    """A client that enters the lobby as soon as it is connected, and prints what happens."""

    def __init__(self, name, colour):
        """Make a guest that is not connected yet; `colour` is whether the terminal has any."""
        super().__init__(ordered_events=True)
        self.is_in, self.colour = False, colour
        self.register_event_handler("WELCOME", self.on_welcome)
        self.register_event_handler("SAID", lambda who, text: self.show(f"{self.paint(who)}: {text}"))
        self.register_event_handler("NEWS", lambda text: self.show(self.dim(f"* {text}")))
        self.register_event_handler("SORRY", lambda text: self.show(self.dim(f"! {text}")))
        self.register_event_handler("START", self.on_start)
        self.on_connect(lambda: self.dispatch_event("ENTER", name, retries=5))
        self.on_disconnect(lambda reason: self.show(self.dim(f"* connection lost: {reason}")))

    def on_welcome(self, player_id, name):
        self.is_in = True
        self.show(f"you are {self.paint(name)}; {HELP}")

    def on_start(self, table, ticket):
        self.show(f"the game at table {table} starts! your ticket is {ticket}")

    def show(self, line):
        print(line, flush=True)

    def paint(self, name):
        return f"\033[1;{COLOURS[sum(name.encode()) % len(COLOURS)]}m{name}\033[0m" if self.colour else name

    def dim(self, text):
        return f"\033[2m{text}\033[0m" if self.colour else text

    def show_tables(self):
        """Print who sits where: that is state, and no question to the server."""
        state = self.snapshot()
        tables = {}
        for player in state.players.values():
            mark = "+" if player["ready"] else ""
            tables.setdefault(player["table"], []).append(self.paint(player["name"]) + mark)
        for table, names in sorted(tables.items()):
            seconds = state.countdowns.get(table)
            start = f"  starts in {seconds} s" if seconds else ""
            self.show(f"  {table or '-':<12} {', '.join(names)}{start}")

    def obey(self, line):
        """Do what was typed; return False to quit."""
        match line.split():
            case []:
                pass
            case ["/tables"]:
                self.show_tables()
            case ["/sit", table]:
                self.dispatch_event("SIT", table, retries=5)
            case ["/up"]:
                self.dispatch_event("SIT", "", retries=5)
            case ["/ready"]:
                self.dispatch_event("READY", retries=5)
            case ["/quit"]:
                return False
            case [command, *_] if command.startswith("/"):
                self.show(HELP)
            case _:
                self.dispatch_event("SAY", line.strip(), retries=5)
        return True

    def leave(self):
        """Say goodbye, wait a moment for it to arrive, and disconnect."""
        heard = []
        self.dispatch_event("LEAVE", retries=2, ack_callback=lambda: heard.append(True))
        end = time.monotonic() + 1.0
        while not heard and time.monotonic() < end:
            self.poll()
            time.sleep(0.01)
        self.disconnect()


def read(lines):
    """Wait for the keyboard in a thread of its own, so that the network need not."""
    for line in sys.stdin:
        lines.put(line)
    lines.put("/quit")


def main():
    parser = argparse.ArgumentParser(description="meet others in the lobby")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--name", default="Guest")
    parser.add_argument("--colour", action="store_true", default=sys.stdout.isatty())
    arguments = parser.parse_args()

    guest = Guest(arguments.name, arguments.colour)
    guest.start(arguments.port, arguments.hostname)
    end = time.monotonic() + 10.0
    while not guest.is_in:
        guest.poll()
        time.sleep(0.01)
        if time.monotonic() > end:
            print(f"nothing heard from {arguments.hostname}:{arguments.port}", file=sys.stderr)
            guest.disconnect()
            return 1
    lines = queue.Queue()
    threading.Thread(target=read, args=[lines], daemon=True).start()
    try:
        while True:
            guest.poll()
            try:
                if not guest.obey(lines.get(timeout=0.02)):
                    break
            except queue.Empty:
                pass
    except KeyboardInterrupt:
        pass
    guest.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main())
