"""The client with pygame-ce: shows the square; arrow keys push it."""

import sys

import pygame

import pygase

KEYS = {pygame.K_LEFT: (-1, 0), pygame.K_RIGHT: (1, 0), pygame.K_UP: (0, -1), pygame.K_DOWN: (0, 1)}

client = pygase.Client()
client.start(8080, sys.argv[1] if len(sys.argv) > 1 else "localhost")
window = pygame.display.set_mode((640, 360))
clock = pygame.time.Clock()
playing = True
while playing:
    for event in pygame.event.get():
        if event.type == pygame.QUIT:
            playing = False
        elif event.type == pygame.KEYDOWN and event.key in KEYS:
            client.dispatch_event("PUSH", *KEYS[event.key], retries=3)
    client.poll()
    window.fill("midnightblue")
    if "position" in client.snapshot().data:
        window.fill("orange", (*client.interpolated("position"), 40, 40))
    pygame.display.flip()
    clock.tick(60)
client.disconnect()
