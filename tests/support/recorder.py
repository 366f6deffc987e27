"""A UDP relay on loopback that writes down every datagram that passes, unchanged, in either direction."""

from __future__ import annotations

import select
import socket
import threading
import time
from dataclasses import dataclass


@dataclass
class Record:
    """One datagram that passed."""

    moment: float
    from_client: bool
    data: bytes


class Recorder:
    """Stands between one client and one server."""

    def __init__(self, server_port, host="127.0.0.1"):
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind((host, 0))
        self.back.bind((host, 0))
        self.server = (host, server_port)
        self.client = None
        self.records: list[Record] = []
        self.running = True
        self.thread = threading.Thread(target=self._relay, daemon=True)
        self.thread.start()

    @property
    def port(self):
        return self.front.getsockname()[1]

    def _relay(self):
        while self.running:
            ready, _, _ = select.select([self.front, self.back], [], [], 0.1)
            for sock in ready:
                try:
                    data, address = sock.recvfrom(65536)
                except ConnectionError:
                    continue
                from_client = sock is self.front
                self.records.append(Record(time.monotonic(), from_client, data))
                if from_client:
                    self.client = address
                    self.back.sendto(data, self.server)
                elif self.client:
                    self.front.sendto(data, self.client)

    def sent(self, by_client):
        """What one side has sent so far."""
        return [record for record in list(self.records) if record.from_client == by_client]

    def close(self):
        self.running = False
        self.thread.join(5)
        self.front.close()
        self.back.close()
