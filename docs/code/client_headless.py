"""The client without a window: a bot that turns the square round whenever it gets past the middle."""

import sys
import time

import pygase

client = pygase.Client()
client.start(8080, sys.argv[1] if len(sys.argv) > 1 else "localhost")


@client.on_disconnect
def lost(reason):
    print("no server:", reason)


pushed = 0
while pushed < 2:
    client.poll()
    state = client.snapshot()
    if "position" in state.data and state.position[0] > 320 and state.velocity[0] > 0:
        client.dispatch_event("PUSH", -1, 0, retries=3)
        client.wait_until(lambda state: state.velocity[0] < 0, timeout=5)
        pushed += 1
    time.sleep(1 / 60)
client.disconnect()
