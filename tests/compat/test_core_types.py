"""The five types on the wire and of the connection come from the Rust core."""

import pytest

import pygase.connection

core = pytest.importorskip("pygase._core", reason="PyGaSe 0.3.1 has no core")


@pytest.mark.parametrize("name", ["Header", "Package", "Connection", "ClientConnection", "ServerConnection"])
def test_type_comes_from_the_core(name):
    public = getattr(pygase.connection, name)
    native = getattr(core, name)
    assert public is native or native in public.__bases__


@pytest.mark.parametrize("name", ["ClientPackage", "ServerPackage"])
def test_packages_are_packages(name):
    assert issubclass(getattr(pygase.connection, name), pygase.connection.Package)


@pytest.mark.parametrize("name", ["ClientConnection", "ServerConnection"])
def test_connections_are_connections(name):
    assert issubclass(getattr(pygase.connection, name), pygase.connection.Connection)
