"""PyGaSe, the Python Game Server: server and client for real-time multiplayer games, on a Rust core.

# Contents
- `Backend`: everything a game needs at the server
- `Client`: what it needs at the other side
- `GameState`: what they share
- `Server`, `GameStateStore`, `GameStateMachine`: the parts of a backend
- `ClientOptions`, `ServerOptions`: their settings
- `get_available_ip_addresses`: where a server can be reached
"""

from pygase._core import __version__
from pygase._neighbours import warn_of_mixture as _warn_of_mixture
from pygase.backend import Backend, GameStateMachine, GameStateStore, Server
from pygase.client import Client
from pygase.gamestate import GameState
from pygase.options import ClientOptions, ServerOptions
from pygase.utils import get_available_ip_addresses

__all__ = [
    "Backend",
    "Client",
    "ClientOptions",
    "GameState",
    "GameStateMachine",
    "GameStateStore",
    "Server",
    "ServerOptions",
    "__version__",
    "get_available_ip_addresses",
]

_warn_of_mixture(__path__[0])
