"""A game of chase to watch: one server, four bots, and this terminal as one more client.

    python demo.py [--seconds 15]

Every bot and the server is a process of its own; nothing but UDP packages connects them. At the end the
server pauses the game, and every process says what state it holds: they must all be the same.

With a terminal the game is drawn in it, without one a line is printed every second. The exit status is 0
when every bot joined, somebody was caught and all states agree. Ctrl-C ends the game early; the second one
does not wait for the end.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time

import bot as bot_program
from player import Player
from screen import Scene, Screen

HERE = pathlib.Path(__file__).resolve().parent
NAMES = ("Otter", "Fox", "Wren", "Hare")
FRAME = 0.05  # seconds between two frames
RATE_WINDOW = 2.0  # seconds over which rates are measured
START_TIMEOUT = 20.0
END_TIMEOUT = 8.0


class Child:
    """A process of the demo: reads its lines, keeps its errors, and is ended by its handle."""

    def __init__(self, title, script, *arguments):
        """Start `script` in a session of its own, where Ctrl-C in this terminal does not reach it."""
        self.title = title
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115, closed in `end`
        self.lines = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())
        self.lines.put(None)

    def tell(self, line):
        with contextlib.suppress(OSError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def wait_for_line(self, deadline):
        """Return the next line, or None when the process ended or the time is over."""
        with contextlib.suppress(queue.Empty):
            return self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
        return None

    def wait_for(self, key, deadline):
        """Return the next message that has `key`, or None."""
        while (line := self.wait_for_line(deadline)) is not None:
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict) and key in message:
                    return message
        return None

    def end(self, patience=3.0):
        """Ask the process to end by closing its input, then insist; return its status and its stderr."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        for insist in (self.process.terminate, self.process.kill):
            try:
                self.process.wait(timeout=patience)
                break
            except subprocess.TimeoutExpired:
                insist()
                patience = 1.0
        else:
            self.process.wait()
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace").strip()
        self.errors.close()
        return self.process.returncode, text


class Meter:
    """Measures how fast a counter grows, over the last seconds."""

    def __init__(self):
        """Make a meter that has seen nothing."""
        self.samples = collections.deque()

    def see(self, value):
        """Take a reading and return the rate, or None while there is nothing to compare with."""
        now = time.monotonic()
        self.samples.append((now, value))
        while now - self.samples[0][0] > RATE_WINDOW:
            self.samples.popleft()
        then, first = self.samples[0]
        return (value - first) / (now - then) if now - then > 0.3 else None


class View:
    """This process's own client: it watches and measures."""

    def __init__(self, port):
        """Connect to the server at `port`, as a spectator that never joins."""
        self.client = Player()
        self.thread = self.client.connect_in_thread(port=port)
        self.meters = collections.defaultdict(Meter)
        self.rtts = []
        self.rate_of_ticks = None
        self.last_chaser = None
        self.message = "four bots, one server, six processes: all they share is UDP"

    def scene(self, elapsed, seconds):
        """Return what is to be seen now."""
        players, chaser_id = self.client.look()
        with self.client.access_game_state() as game_state:
            countdown = getattr(game_state, "countdown", 0.0)
            catches = getattr(game_state, "catches", 0)
            ticks = getattr(game_state, "ticks", 0)
            size = len(game_state.to_bytes())
        self.note_catch(players, chaser_id)
        rtt = self.client.connection.latency * 1000
        self.rtts = [*self.rtts, rtt][-200:]
        figures = [("RTT", f"{rtt:.1f} ms")]
        for label, rate in self.package_rates():
            figures.append((label, "-" if rate is None else f"{rate:.1f} /s"))
        self.rate_of_ticks = self.meters["ticks"].see(ticks)
        rate = self.rate_of_ticks
        figures.append(("ticks", "-" if rate is None else f"{rate:.1f} /s"))
        figures.append(("state", f"{size} bytes"))
        recent = self.rtts[::-4][::-1]  # one bar of the sparkline for four frames
        return Scene(players, chaser_id, countdown, catches, elapsed, seconds, figures, recent, self.message)

    def package_rates(self):
        """Return (label, packages per second); the released PyGaSe does not count them."""
        if not hasattr(self.client.connection, "stats"):
            return [("packages", None)]
        stats = self.client.connection.stats()
        return [
            ("packages in", self.meters["in"].see(stats["received"])),
            ("out", self.meters["out"].see(stats["sent"])),
        ]

    def note_catch(self, players, chaser_id):
        if chaser_id != self.last_chaser:
            before, after = players.get(self.last_chaser), players.get(chaser_id)
            if before and after:
                self.message = f"{before['name']} caught {after['name']}!"
            elif after:
                self.message = f"{after['name']} begins the chase"
            self.last_chaser = chaser_id

    def close(self):
        """Leave the server."""
        self.client.disconnect()
        self.thread.join(timeout=3.0)


class Terminal:
    """Shows scenes in the alternate screen of a terminal, and gives the terminal back as it was."""

    def __init__(self):
        """Choose what this terminal can show."""
        encoding = (sys.stdout.encoding or "").lower().replace("-", "")
        colour = "NO_COLOR" not in os.environ and os.environ.get("TERM", "dumb") != "dumb"
        self.screen = Screen(colour=colour, unicode=encoding == "utf8")

    def __enter__(self):
        # The alternate screen, without a cursor, and lines that are too long cut off.
        sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J")
        return self

    def __exit__(self, *_):
        sys.stdout.write("\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()

    def show(self, scene):
        lines = (line + "\x1b[K" for line in self.screen.frame(scene))
        sys.stdout.write("\x1b[H" + "\r\n".join(lines) + "\x1b[J")
        sys.stdout.flush()

    def pause(self):
        time.sleep(FRAME)


class Log:
    """Shows scenes as one line a second."""

    def __init__(self):
        """Start with the first line at once."""
        self.next_line = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def show(self, scene):
        now = time.monotonic()
        if now < self.next_line:
            return
        self.next_line += 1.0
        chaser = scene.players.get(scene.chaser_id, {}).get("name", "nobody")
        figures = ", ".join(f"{label} {value}" for label, value in scene.figures)
        what = f"chaser {chaser}, catches {scene.catches}, {figures}"
        places = " ".join(
            "{name}({0:.0f},{1:.0f})".format(*player["position"], name=player["name"])
            for player in scene.players.values()
        )
        print(f"{scene.elapsed:5.1f} s  {what}  {places}", flush=True)

    def pause(self):
        time.sleep(FRAME)


class Demo:
    """One game from start to summary."""

    def __init__(self, seconds, bots, seed):
        """Prepare a game of `seconds` with `bots` bots."""
        self.seconds, self.seed = seconds, seed
        self.names = [NAMES[i] if i < len(NAMES) else f"Bot {i + 1}" for i in range(bots)]
        self.children, self.bots = [], []
        self.server = self.view = None
        self.problems = []
        self.frames, self.elapsed = 0, 0.0
        self.final, self.own_digest = {}, None
        self.settled = {}

    def start(self, script, title, *arguments):
        child = Child(title, script, *arguments)
        self.children.append(child)
        return child

    def run(self):
        """Play and return the problems there were."""
        try:
            if self.set_up():
                self.play()
                self.compare()
        except KeyboardInterrupt:
            self.problems.append("ended before the states could be compared")
        finally:
            # A third Ctrl-C must not leave a process behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.tear_down()
        return self.problems

    def set_up(self):
        """Start everybody; return whether the game can be played."""
        deadline = time.monotonic() + START_TIMEOUT
        self.server = self.start("server.py", "server", "--port", "0", "--control", "--seed", str(self.seed))
        line = self.server.wait_for_line(deadline) or ""
        if not line.startswith("listening on "):
            self.problems.append("the server did not start")
            return False
        port = line.rpartition(":")[2]
        for number, name in enumerate(self.names):
            arguments = ("--port", port, "--name", name, "--seed", str(self.seed + number), "--control")
            self.bots.append(self.start("bot.py", name, *arguments))
        self.view = View(int(port))
        for bot in self.bots:
            if bot.wait_for("joined", deadline) is None:
                self.problems.append(f"{bot.title} never joined")
        return not self.problems

    def play(self):
        """Show the game until the time is over or Ctrl-C."""
        begin = time.monotonic()
        with Terminal() if sys.stdout.isatty() else Log() as display, contextlib.suppress(KeyboardInterrupt):
            while (elapsed := time.monotonic() - begin) < self.seconds:
                self.elapsed = elapsed
                scene = self.view.scene(elapsed, self.seconds)
                display.show(scene)
                self.frames += 1
                display.pause()
            self.elapsed = self.seconds

    def compare(self):
        """Pause the game and hear from everybody which state they hold."""
        self.ticks = self.view.rate_of_ticks
        self.latency = self.view.client.connection.latency
        deadline = time.monotonic() + END_TIMEOUT
        self.server.tell("freeze")
        self.final = self.server.wait_for("frozen", deadline) or {}
        if not self.final:
            self.problems.append("the server did not say how the game ended")
            return
        for bot in self.bots:
            message = bot.wait_for("settled", deadline)
            self.settled[bot.title] = message["settled"] if message else None
        self.own_digest = bot_program.settle(self.view.client)[0]
        for title, digest in {**self.settled, "this terminal": self.own_digest}.items():
            if digest is None:
                self.problems.append(f"{title} did not say how the game ended")
            elif digest != self.final["frozen"]:
                self.problems.append(f"{title} ended with another state than the server")
        if not self.final["catches"]:
            self.problems.append("nobody was caught")

    def tear_down(self):
        """End all children, the bots before the server."""
        if self.view:
            self.view.close()
        for group in (self.children[1:], self.children[:1]):  # the server was started first
            for child in group:
                with contextlib.suppress(OSError):
                    child.process.stdin.close()
            for child in group:
                status, errors = child.end()
                if status:
                    self.problems.append(f"{child.title} ended with status {status}")
                if errors:
                    print(f"--- {child.title} wrote:\n{errors}", file=sys.stderr)

    def summary(self):
        """Return the lines that stay on the screen."""
        lines = ["", f"chase: {self.elapsed:.1f} s, {len(self.bots)} bots, {self.frames} frames drawn"]
        if self.final:
            lines.append(
                f"  server    {self.final['ticks']} ticks, {self.final['catches']} catches, "
                f"state of {self.final['state']} bytes, digest {self.final['frozen']}"
            )
            for name, digest in self.settled.items():
                verdict = "same state" if digest == self.final["frozen"] else "ANOTHER STATE"
                lines.append(f"  {name:<9} joined, ended with digest {digest}: {verdict}")
            rate = f"{self.ticks:.1f}" if self.ticks is not None else "-"
            lines.append(f"  terminal  RTT {self.latency * 1000:.1f} ms, {rate} ticks per second seen")
        lines += [f"  problem   {problem}" for problem in self.problems]
        lines.append("  all states agree" if not self.problems else "  FAILED")
        return lines


def main():
    parser = argparse.ArgumentParser(description="watch four bots play chase")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--bots", type=int, default=4)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 10_000)
    arguments = parser.parse_args()

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    demo = Demo(arguments.seconds, arguments.bots, arguments.seed)
    problems = demo.run()
    print("\n".join(demo.summary()), flush=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
