"""What the tests of connections that are stepped by hand have in common."""

from pygase.connection import ConnectionStatus, Header, Package

ADDRESS = ("127.0.0.1", 8080)
ZEROS = "0" * 32


class Socket:
    """Keeps what was sent."""

    def __init__(self):
        self.sent = []

    async def sendto(self, data, address):
        self.sent.append((data, address))

    @property
    def last(self):
        return self.sent[-1][0]


def header(sequence, ack=0, bits=""):
    return Header(sequence, ack, bits.ljust(32, "0"))


def package(*args, events=(), **kwargs):
    return Package(header(*args, **kwargs), list(events))


def status(connection):
    return ConnectionStatus.get(connection.status)


def sequences(datagrams):
    return [Package.from_datagram(data).header.sequence for data, _ in datagrams]
