"""`pygase.event`: events and the handlers they are given to."""

import asyncio
import datetime
import logging

import pytest

from pygase.event import Event, UniversalEventHandler


class TestEvent:
    def test_attributes(self):
        event = Event("ATTACK", 1, "two", power=3)
        assert event.type == "ATTACK"
        assert event.handler_args == [1, "two"]
        assert isinstance(event.handler_args, list)
        assert event.handler_kwargs == {"power": 3}

    def test_bytes(self):
        assert Event("a", 1).to_bytes() == b"\x83\xa4type\xa1a\xachandler_args\x91\x01\xaehandler_kwargs\x80"

    def test_compares_by_value(self):
        assert Event("a", 1, b=2) == Event("a", 1, b=2)
        assert Event("a", 1) != Event("a", 2)
        assert Event("a") != Event("b")
        with pytest.raises(TypeError):
            hash(Event("a"))

    @pytest.mark.parametrize(
        ("value", "back"),
        [
            (None, None),
            (True, True),
            (2**64 - 1, 2**64 - 1),
            (-(2**63), -(2**63)),
            (0.5, 0.5),
            (0.1, 0.10000000149011612),
            ("grüße 🎮", "grüße 🎮"),
            (b"\x00\xff", b"\x00\xff"),
            ([1, [2, []]], [1, [2, []]]),
            ((1, (2,)), [1, [2]]),
            ({"a": {1: None, True and 2.5: "x", (1, "y"): b"z", None: []}}, None),
        ],
    )
    def test_values(self, value, back):
        event = Event.from_bytes(Event("t", value, key=value).to_bytes())
        expected = value if back is None else back
        assert event.handler_args == [expected]
        assert event.handler_kwargs == {"key": expected}
        assert type(event.handler_args[0]) is type(expected)

    def test_not_finite(self):
        first, second = Event.from_bytes(Event("t", float("nan"), float("-inf")).to_bytes()).handler_args
        assert first != first
        assert second == float("-inf")

    def test_datetime(self):
        moment = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
        assert Event.from_bytes(Event("t", moment).to_bytes()).handler_args == [moment]

    def test_the_receiver_gets_a_copy(self):
        event = Event("t", [1])
        again = Event.from_bytes(event.to_bytes())
        again.handler_args[0].append(2)
        assert event.handler_args == [[1]]

    @pytest.mark.parametrize("data", [b"", b"\x01", b"\x83\xa1", b"\xff" * 9])
    def test_bad_bytes(self, data, is_original):
        with pytest.raises(TypeError) as error:
            Event.from_bytes(data)
        assert is_original or isinstance(error.value, ValueError)

    def test_message(self):
        with pytest.raises(TypeError, match="Event"):
            Event.from_bytes(b"\x01")

    @pytest.mark.ours
    @pytest.mark.parametrize("value", [5, None, b"a"])
    def test_the_type_is_a_string(self, value):
        with pytest.raises(TypeError, match=f"must be a str, not {type(value).__name__}"):
            Event(value)

    @pytest.mark.ours
    def test_unserialisable_names_the_path(self):
        with pytest.raises(TypeError, match=r"handler_args\[1\]"):
            Event("t", 1, {2}).to_bytes()
        with pytest.raises(TypeError, match=r"handler_kwargs\.who\[0\]\.name"):
            Event("t", who=[{"name": object()}]).to_bytes()

    def test_subclass(self):
        class Shout(Event):
            def __init__(self, text):
                super().__init__("SHOUT", text, loud=True)

        assert Shout("hey") == Shout("hey")
        assert Event.from_bytes(Shout("hey").to_bytes()).handler_args == ["hey"]


class TestUniversalEventHandler:
    def test_function(self, calls):
        handler, record = UniversalEventHandler(), calls()
        handler.register_event_handler("a", record)
        asyncio.run(handler.handle(Event("a", 1, b=2), extra=3))
        assert record[0].args == (1,)
        assert record[0].kwargs == {"b": 2, "extra": 3}

    def test_returns_what_the_handler_returns(self):
        handler = UniversalEventHandler()
        handler.register_event_handler("a", lambda x: x + 1)
        assert asyncio.run(handler.handle(Event("a", 1))) == 2

    def test_coroutine_function(self):
        async def double(x):
            return 2 * x

        handler = UniversalEventHandler()
        handler.register_event_handler("a", double)
        assert asyncio.run(handler.handle(Event("a", 4))) == 8

    def test_has_event_type(self):
        handler = UniversalEventHandler()
        assert not handler.has_event_type("a")
        handler.register_event_handler("a", print)
        assert handler.has_event_type("a")
        assert not handler.has_event_type("b")

    def test_the_last_registration_counts(self):
        handler = UniversalEventHandler()
        handler.register_event_handler("a", lambda: 1)
        handler.register_event_handler("a", lambda: 2)
        assert asyncio.run(handler.handle(Event("a"))) == 2

    @pytest.mark.parametrize("value", [[], "text", None, 5])
    def test_not_callable(self, value):
        with pytest.raises(TypeError) as error:
            UniversalEventHandler().register_event_handler("a", value)
        assert str(error.value) == f"'{type(value).__name__}' object is not callable."

    def test_callable_objects(self):
        class Handler:
            def __call__(self, x):
                return x

            def method(self, x):
                return -x

        handler = UniversalEventHandler()
        handler.register_event_handler("call", Handler())
        handler.register_event_handler("bound", Handler().method)
        assert asyncio.run(handler.handle(Event("call", 3))) == 3
        assert asyncio.run(handler.handle(Event("bound", 3))) == -3

    def test_handlers_are_separate(self):
        one, two = UniversalEventHandler(), UniversalEventHandler()
        one.register_event_handler("a", print)
        assert not two.has_event_type("a")

    @pytest.mark.ours
    def test_any_awaitable_is_awaited(self):
        class Later:
            def __await__(self):
                yield from asyncio.sleep(0).__await__()
                return "done"

        handler = UniversalEventHandler()
        handler.register_event_handler("a", Later)
        handler.register_event_handler("b", lambda: asyncio.sleep(0, "slept"))
        assert asyncio.run(handler.handle(Event("a"))) == "done"
        assert asyncio.run(handler.handle(Event("b"))) == "slept"

    @pytest.mark.ours
    def test_handling_is_silent(self, caplog):
        handler = UniversalEventHandler()
        handler.register_event_handler("a", print)
        with caplog.at_level(logging.INFO, logger="PyGaSe"):
            asyncio.run(handler.handle(Event("a")))
        assert not caplog.records
