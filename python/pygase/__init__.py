"""PyGaSe, the Python Game Server: a fast and robust server and client for real-time multiplayer games."""

from pygase.gamestate import GameState
from pygase.utils import get_available_ip_addresses

__all__ = ["GameState", "get_available_ip_addresses"]
