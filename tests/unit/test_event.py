"""Events and handler tables."""

import asyncio

import pytest

from pygase._core import packb
from pygase.event import Event, UniversalEventHandler
from pygase.utils import Sendable


def handle(handler, event, **kwargs):
    table = UniversalEventHandler()
    table.register_event_handler("A", handler)
    return asyncio.run(table.handle(event, **kwargs))


def test_an_event_has_what_it_was_made_of():
    event = Event("A", 1, "two", three=3, type=4)
    assert (event.type, event.handler_args, event.handler_kwargs) == (
        "A",
        [1, "two"],
        {"three": 3, "type": 4},
    )
    assert event == Event("A", 1, "two", three=3, type=4)
    assert event != Event("B", 1, "two", three=3, type=4)
    assert repr(event) == "Event('A', 1, 'two', three=3, type=4)"
    with pytest.raises(TypeError, match="must be a str, not int"):
        Event(5)


def test_an_event_comes_back_from_its_bytes():
    assert Event("x").to_bytes() == b"\x83\xa4type\xa1x\xachandler_args\x90\xaehandler_kwargs\x80"
    event = Event("x", 1, [2], {"a": None}, b=b"c")
    assert Event.from_bytes(event.to_bytes()) == event


def test_further_attributes_travel_and_are_not_read():
    event = Event("x", 1)
    event.more = 2
    assert event.to_bytes() == packb({**vars(Event("x", 1)), "more": 2})
    assert Event.from_bytes(event.to_bytes()) == Event("x", 1)


def test_subclasses_of_events_have_bytes_of_their_own():
    class Bytes(Sendable):
        def to_bytes(self):
            return b"own " + super().to_bytes()

        @classmethod
        def from_bytes(cls, bytepack):
            return super().from_bytes(bytepack.removeprefix(b"own "))

    class Plain(Event):
        def to_dict(self):
            return {**super().to_dict(), "more": 1}

    class Mixed(Event, Bytes):
        pass

    assert Plain("x").to_bytes() == packb({**vars(Event("x")), "more": 1})
    assert type(Plain.from_bytes(Event("x", 2).to_bytes())) is Plain
    assert Mixed("x").to_bytes() == b"own " + Event("x").to_bytes()
    assert Mixed.from_bytes(Mixed("x", 2).to_bytes()) == Mixed("x", 2)


@pytest.mark.parametrize("error", [TypeError, ValueError])
@pytest.mark.parametrize(
    "garbage",
    [
        b"abc",
        b"\x80",
        b"\x83\xa4type\x05\xachandler_args\x90\xaehandler_kwargs\x80",
        b"\x83\xa4type\xa1x\xachandler_args\x80\xaehandler_kwargs\x80",
        b"\x83\xa4type\xa1x\xachandler_args\x90\xaehandler_kwargs\x90",
        b"\x83\xa4type\xa1x\xachandler_args\x90\xaehandler_kwargs\x81\x01\x01",
    ],
)
def test_bytes_that_are_no_event(garbage, error):
    with pytest.raises(error, match=r"^Bytes could no be parsed into Event\.$"):
        Event.from_bytes(garbage)


def test_functions_and_coroutine_functions_handle():
    async def coroutine_function(*args, **kwargs):
        return args, kwargs

    def function(*args, **kwargs):
        return args, kwargs

    def returns_an_awaitable(*args, **kwargs):
        return coroutine_function(*args, **kwargs)

    event = Event("A", 1, a=2)
    for handler in (coroutine_function, function, returns_an_awaitable):
        assert handle(handler, event, b=3) == ((1,), {"a": 2, "b": 3})
        assert handle(handler, event, a=3) == ((1,), {"a": 3})
    assert event == Event("A", 1, a=2)


def test_unknown_types_and_handlers_that_are_none():
    table = UniversalEventHandler()
    assert not table.has_event_type("A")
    with pytest.raises(TypeError, match=r"^'list' object is not callable\.($|\n)"):
        table.register_event_handler("A", [])
    assert not table.has_event_type("A")
    table.register_event_handler("A", print)
    assert table.has_event_type("A")
    with pytest.raises(KeyError):
        asyncio.run(table.handle(Event("B")))
