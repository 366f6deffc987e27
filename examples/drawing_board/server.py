"""The server of the drawing board. There is no game state and no game loop: all of it is events.

    python server.py

A client sends DRAW and WIPE. The server checks them, keeps them, and tells everybody, the sender too. Who
comes later is sent all lines there are.
"""

import argparse

import pygase
from board import Board

board = Board()
# Events of one sender stay in order, so that all boards show the same lines on top.
server = pygase.Server(pygase.GameStateStore(), ordered_events=True)


def on_draw(colour, width, points, **_):
    if board.draw(colour, width, points):
        server.dispatch_event("DRAW", colour, width, points, retries=5)


def on_wipe(**_):
    board.wipe()
    server.dispatch_event("WIPE", retries=5)


@server.on_connect
def show_all(client):
    server.dispatch_event("WIPE", target_client=client.remote_address, retries=5)
    for line in board.lines:
        server.dispatch_event("DRAW", *line, target_client=client.remote_address, retries=5)
    server.dispatch_event("SHOWN", target_client=client.remote_address, retries=5)


def main():
    parser = argparse.ArgumentParser(description="a drawing board for many")
    parser.add_argument("--hostname", default="localhost")
    parser.add_argument("--port", type=int, default=8080, help="0 lets the system choose (default 8080)")
    arguments = parser.parse_args()

    server.register_event_handler("DRAW", on_draw)
    server.register_event_handler("WIPE", on_wipe)
    thread = server.run_in_thread(arguments.port, arguments.hostname)
    print(f"listening on {server.hostname}:{server.port}", flush=True)
    try:
        thread.join()
    except KeyboardInterrupt:
        server.shutdown()
        print("stopped", flush=True)


if __name__ == "__main__":
    main()
