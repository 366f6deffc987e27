"""Draws chase in a terminal: a map with trails, and a panel. Knows nothing of networks and processes.

`Screen.frame(scene)` turns what is to be seen into 24 lines of 80 columns. Trails are drawn in braille
dots, eight to a character, so that movement looks smooth on a coarse grid.
"""

import collections
import dataclasses
import itertools
import math
import time

import game

COLUMNS, ROWS = 80, 24
MAP_COLUMNS, MAP_ROWS = 52, 19
TRAIL_SECONDS = 1.3
FLASH_SECONDS = 0.9

# Bit of a dot in a braille character, by row and column.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
SPARKS = "▁▂▃▄▅▆▇█"
# Colours of the 256 colour palette: a bright and a faded tone for each player.
TONES = ((81, 24), (120, 28), (222, 94), (177, 54), (209, 95), (115, 23), (229, 100), (147, 61))
RED, GREY, WHITE, DIM = 203, 240, 255, 245


@dataclasses.dataclass
class Scene:
    """What a frame shows."""

    players: dict
    chaser_id: object
    countdown: float
    catches: int
    elapsed: float
    seconds: float
    figures: list  # (label, value) in the order of the panel
    rtts: list  # the last round trip times, in milliseconds
    message: str = ""


class Screen:
    """Keeps what has to be remembered from frame to frame: trails and flashes."""

    def __init__(self, colour=True, unicode=True, clock=time.monotonic):
        """Make a screen; without `colour` and `unicode` it shows plain characters."""
        self.colour, self.unicode, self.clock = colour, unicode, clock
        self.trails = collections.defaultdict(collections.deque)
        self.flashes = []  # (position, time)
        self.last_chaser = None

    def frame(self, scene):
        """Return the lines of the next frame."""
        self.remember(scene)
        cells = self.draw_map(scene)
        panel = self.draw_panel(scene)
        flashing = any(self.clock() - at < 0.35 for _, at in self.flashes)
        edge = RED if flashing else GREY
        left_up, right_up, left_down, right_down, across, down = "╭╮╰╯─│" if self.unicode else "++++-|"
        lines = [self.title(scene)]
        lines.append(self.paint(left_up + across * MAP_COLUMNS + right_up, edge) + panel[0])
        for row in range(MAP_ROWS):
            middle = "".join(self.paint(*cell) for cell in cells[row])
            lines.append(self.paint(down, edge) + middle + self.paint(down, edge) + panel[row + 1])
        lines.append(self.paint(left_down + across * MAP_COLUMNS + right_down, edge) + panel[-1])
        lines.append(" " + self.paint(scene.message[: COLUMNS - 2], WHITE))
        return lines[:ROWS]

    def remember(self, scene):
        """Grow the trails, and notice a catch by the change of the chaser."""
        now = self.clock()
        for player_id, player in scene.players.items():
            self.trails[player_id].append((now, tuple(player["position"])))
        for player_id in list(self.trails):
            trail = self.trails[player_id]
            while trail and now - trail[0][0] > TRAIL_SECONDS:
                trail.popleft()
            if not trail:
                del self.trails[player_id]
        if scene.chaser_id != self.last_chaser:
            if self.last_chaser is not None and scene.chaser_id in scene.players:
                self.flashes.append((scene.players[scene.chaser_id]["position"], now))
            self.last_chaser = scene.chaser_id
        self.flashes = [flash for flash in self.flashes if now - flash[1] < FLASH_SECONDS]

    def draw_map(self, scene):
        """Return MAP_ROWS rows of cells (text, colour, bold)."""
        cells = [[(" ", None, False)] * MAP_COLUMNS for _ in range(MAP_ROWS)]
        self.draw_trails(cells, scene)
        self.draw_flashes(cells)
        # The chaser last: it is on top of whom it meets.
        for player_id in sorted(scene.players, key=lambda i: i == scene.chaser_id):
            self.draw_player(cells, player_id, scene.players[player_id], player_id == scene.chaser_id)
        return cells

    def draw_trails(self, cells, scene):
        now = self.clock()
        dots = {}
        for player_id, trail in self.trails.items():
            points = list(trail)
            for (at, here), (_, there) in itertools.pairwise(points):
                fresh = now - at < TRAIL_SECONDS / 2
                steps = max(1, round(math.dist(here, there)))
                for step in range(steps):
                    x = here[0] + (there[0] - here[0]) * step / steps
                    y = here[1] + (there[1] - here[1]) * step / steps
                    column, row, bit = self.dot(x, y)
                    mask = dots.get((row, column), (0, None))[0]
                    dots[row, column] = (mask | bit, self.tone(player_id, scene.chaser_id, fresh))
        for (row, column), (mask, colour) in dots.items():
            cells[row][column] = (chr(0x2800 + mask) if self.unicode else ".", colour, False)

    def draw_flashes(self, cells):
        """Draw a ring that grows from where somebody was caught."""
        now = self.clock()
        for (x, y), at in self.flashes:
            radius = 3.0 + 16.0 * (now - at) / FLASH_SECONDS
            for step in range(28):
                angle = math.tau * step / 28
                ring_x, ring_y = x + radius * math.cos(angle), y + radius * math.sin(angle)
                if 0 <= ring_x <= game.WIDTH and 0 <= ring_y <= game.HEIGHT:
                    column, row, _ = self.dot(ring_x, ring_y)
                    cells[row][column] = ("✦" if self.unicode else "*", RED, True)

    def draw_player(self, cells, player_id, player, chasing):
        column, row, _ = self.dot(*player["position"])
        name = player["name"][: game.MAX_NAME]
        mark = ("◆" if chasing else "●") if self.unicode else ("@" if chasing else "o")
        text = f"{mark} {name}" if not chasing else f"{mark} {name.upper()}"
        start = column if column + len(text) <= MAP_COLUMNS else column - len(text) + 1
        if start != column:  # no room to the right: the name goes to the left of the mark
            text = f"{text[2:]} {mark}"
        colour = self.tone(player_id, player_id if chasing else None, True)
        for offset, character in enumerate(text):
            if 0 <= start + offset < MAP_COLUMNS:
                cells[row][start + offset] = (character, colour, True)

    def draw_panel(self, scene):
        """Return MAP_ROWS + 2 lines for the right side."""
        chaser = scene.players.get(scene.chaser_id)
        lines = [("  IT IS", DIM, False)]
        lines.append((f"  {chaser['name'].upper() if chaser else 'nobody yet'}", RED, True))
        lines.append((self.countdown_bar(scene), RED, False))
        lines.append(("", None, False))
        lines.append(("  CATCHES", DIM, False))
        ranking = sorted(scene.players.items(), key=lambda item: (-item[1].get("catches", 0), item[0]))
        for player_id, player in ranking[:6]:
            mark = "●" if self.unicode else "o"
            text = f"  {mark} {player['name']:<13}{player.get('catches', 0):>3}"
            lines.append((text, self.tone(player_id, None, True), False))
        lines.append((f"  {'in all':<15}{scene.catches:>3}", WHITE, False))
        lines.append(("", None, False))
        lines.append(("  CONNECTION", DIM, False))
        for label, value in scene.figures:
            lines.append((f"  {label:<11}{value:>11}", WHITE, False))
        if self.unicode and scene.rtts:
            lines.append((f"  {self.sparkline(scene.rtts[-20:])}", TONES[0][0], False))
        lines = lines[: MAP_ROWS + 2] + [("", None, False)] * (MAP_ROWS + 2 - len(lines))
        return [self.paint(text[: COLUMNS - MAP_COLUMNS - 2], *style) for text, *style in lines]

    def countdown_bar(self, scene):
        if scene.countdown <= 0 or not scene.players:
            return ""
        full = math.ceil(10 * min(1.0, scene.countdown / game.COUNTDOWN))
        signs = ("▰", "▱") if self.unicode else ("#", "-")
        return f"  {signs[0] * full}{signs[1] * (10 - full)} {scene.countdown:.1f} s"

    def title(self, scene):
        done = min(1.0, scene.elapsed / scene.seconds) if scene.seconds else 1.0
        left = "  C H A S E"
        right = f"{scene.elapsed:4.1f} / {scene.seconds:.0f} s "
        width = COLUMNS - len(left) - len(right) - 4
        full = round(width * done)
        bar = ("━" if self.unicode else "=") * full
        rest = ("╌" if self.unicode else ".") * (width - full)
        return (
            self.paint(left, WHITE, True)
            + "  "
            + self.paint(bar, TONES[0][0])
            + self.paint(rest, GREY)
            + "  "
            + self.paint(right, DIM)
        )

    def sparkline(self, values):
        top = max(max(values), 1e-9)
        return "".join(SPARKS[min(7, int(8 * value / top))] for value in values)

    def paint(self, text, colour=None, bold=False):
        if not self.colour or colour is None or not text.strip():
            return text
        return f"\x1b[{'1;' if bold else ''}38;5;{colour}m{text}\x1b[0m"

    @staticmethod
    def tone(player_id, chaser_id, fresh):
        """Return the colour of a player, faded for an old trail, red for the chaser."""
        if player_id == chaser_id:
            return RED if fresh else 88
        index = player_id if isinstance(player_id, int) else 0
        return TONES[index % len(TONES)][0 if fresh else 1]

    @staticmethod
    def dot(x, y):
        """Return column, row and braille bit of a position."""
        across = min(int(x / game.WIDTH * MAP_COLUMNS * 2), MAP_COLUMNS * 2 - 1)
        down = min(int(y / game.HEIGHT * MAP_ROWS * 4), MAP_ROWS * 4 - 1)
        return across // 2, down // 4, DOTS[down % 4][across % 2]
