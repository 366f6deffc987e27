"""How two processes find out that they hold the same game state."""

import hashlib

import pygase


def content(game_state):
    """Return the custom attributes of a state as they look after a trip over the wire.

    Floats have single precision there, so a server's own state is packed and unpacked first; for a state
    that came over the wire this changes nothing.
    """
    seen = pygase.GameState.from_bytes(game_state.to_bytes())
    return {name: value for name, value in vars(seen).items() if name not in ("time_order", "game_status")}


def canonical(value):
    """Spell a value the same way wherever it is, whatever order its keys came in."""
    if isinstance(value, dict):
        pairs = sorted((canonical(key), canonical(item)) for key, item in value.items())
        return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(canonical(item) for item in value) + "]"
    return repr(value)


def digest(game_state):
    """Return a short text that is the same for equal states, and for no others."""
    return hashlib.sha256(canonical(content(game_state)).encode()).hexdigest()[:16]
