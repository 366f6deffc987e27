"""Every public docstring has its parts: what each argument is, in which unit, and what is raised."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import functools
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import pygase

MODULES = ("backend", "client", "connection", "event", "gamestate", "options", "utils", "aio")
#: Arguments that are a time, by their name, and the words one of which says in what.
TIMES = re.compile(r"timeout$|interval|delay|latency|rtt|max_ms|dt|seconds|_time|idle_removal|reconnect_for")
UNITS = re.compile(r"[Ss]econds?|\bms\b|[Mm]illiseconds?| s\b")


def classes_and_functions():
    """Return what the modules say is public, by where it is found first."""
    found = {}
    for name in MODULES:
        module = importlib.import_module(f"pygase.{name}")
        for public in module.__all__:
            value = getattr(module, public)
            if callable(value) and value.__module__.startswith("pygase"):
                found.setdefault(value, f"{name}.{public}")
    return {path: value for value, path in found.items()}


PUBLIC = classes_and_functions()
CLASSES = {path: value for path, value in PUBLIC.items() if inspect.isclass(value)}


def methods():
    """Return functions and methods as (owner, function)."""
    for path, value in PUBLIC.items():
        if not inspect.isclass(value):
            yield pytest.param(None, value, id=path)
            continue
        for owner in value.__mro__:
            if not owner.__module__.startswith("pygase"):
                continue
            for name, member in vars(owner).items():
                if not name.startswith("_") and inspect.isroutine(member) and callable(getattr(value, name)):
                    yield pytest.param(value, getattr(value, name), id=f"{path}.{name}")


def sections(doc):
    """Split a docstring into its text and its sections, each a dict of what it lists."""
    text, found, current, entry = [], {}, None, None
    for line in doc.splitlines():
        if re.fullmatch(r"(Args|Raises|Returns|Attributes|Example):", line):
            current = found.setdefault(line[:-1], {})
            entry = None
        elif line and not line.startswith(" "):
            current = None
        if current is None:
            text.append(line)
        elif match := re.match(r"    (\*{0,2}\w+(?:, `?\w+`?)*): ?(.*)", line):
            for name in match[1].split(", "):
                entry = name.strip("*`")
                current[entry] = match[2]
        elif entry is not None and line.strip():
            current[entry] += " " + line.strip()
    return "\n".join(text), found


def is_of_the_core(function):
    return not inspect.isfunction(inspect.unwrap(getattr(function, "__func__", function)))


def parameters(function):
    signature = inspect.signature(function)
    return [p for p in signature.parameters.values() if p.name not in ("self", "cls")]


def stub():
    """Return the functions of the core as its stub has them, by class and name."""
    tree = ast.parse(Path(pygase.__file__).with_name("_core.pyi").read_text(encoding="utf-8"))
    return {
        (node.name, item.name): item
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.FunctionDef)
    }


def check_arguments(described, function, doc, text):
    for parameter in parameters(function):
        says = described.get(parameter.name)
        if says is None and is_of_the_core(function):
            says = text if f"`{parameter.name}`" in text else None
        if says is None and len(parameters(function)) == 1 and is_of_the_core(function):
            says = text  # one argument needs no name
        assert says, f"{parameter.name} is not described:\n{doc}"
        if TIMES.search(parameter.name) and parameter.name not in ("time_order", "last_client_time_order"):
            # A class may say it for all of them.
            assert UNITS.search(says) or UNITS.search(text), f"{parameter.name} has no unit: {says}"


@pytest.mark.parametrize(("owner", "function"), list(methods()))
def test_arguments_and_types(owner, function):
    doc = inspect.getdoc(function)
    assert doc and doc.splitlines()[0].endswith((".", ":")), doc
    text, found = sections(doc)
    check_arguments(found.get("Args", {}), function, doc, text)
    if not is_of_the_core(function):
        names = {p.name for p in parameters(function)}
        assert set(found.get("Args", {})) <= names, f"there is no {set(found['Args']) - names}"
        annotations = inspect.unwrap(getattr(function, "__func__", function)).__annotations__
        assert {*names, "return"} <= set(annotations), "not all of it has a type"


@pytest.mark.parametrize("path", CLASSES)
def test_classes_describe_arguments_and_attributes(path):
    value = CLASSES[path]
    doc = inspect.getdoc(value)
    assert doc
    text, found = sections(doc)
    described = {name: says for kind in ("Args", "Attributes") for name, says in found.get(kind, {}).items()}
    init = vars(value).get("__init__")
    if not issubclass(value, (Exception, int)) and inspect.isfunction(init):
        check_arguments(described, value, doc, text)
    for name, member in vars(value).items():
        if not name.startswith("_") and inspect.isdatadescriptor(member) and member.__doc__ is None:
            assert name in described, f"{name} is not described"
    for name in assigned(value):
        known = name in described or isinstance(inspect.getattr_static(value, name, None), property)
        assert known, f"{name} is not described"


def assigned(value):
    """Return the public attributes that a class sets when it is made."""
    init = vars(value).get("__init__")
    if not inspect.isfunction(init) or dataclasses.is_dataclass(value):
        return
    for node in ast.walk(parsed(init)):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and not node.attr.startswith("_")
            and getattr(node.value, "id", None) == "self"
        ):
            yield node.attr


@functools.cache
def parsed(function):
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def raised(function, owner, depth=3):
    """Return the exceptions that a function, or one of ours that it calls, raises by name."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    if isinstance(function, functools.partial):
        function = function.func
    if not inspect.isfunction(function) or not function.__module__.startswith("pygase"):
        return
    names = function.__globals__
    for node in ast.walk(parsed(function)):
        if (
            isinstance(node, ast.Raise)
            and isinstance(node.exc, ast.Call)
            and isinstance(node.exc.func, ast.Name)
        ):
            kind = names.get(node.exc.func.id) or getattr(builtins, node.exc.func.id, None)
            if inspect.isclass(kind) and issubclass(kind, Exception):
                yield kind
        elif isinstance(node, ast.Call) and depth:
            target = None
            if isinstance(node.func, ast.Name):
                target = names.get(node.func.id)
            elif isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", None) == "self":
                target = getattr(owner, node.func.attr, None)
            if target is not None:
                yield from raised(target, owner, depth - 1)


#: What is raised within and never comes out.
INTERNAL = {"WrongArgumentsError"}


@pytest.mark.parametrize(("owner", "function"), list(methods()))
def test_errors_that_are_raised_are_named(owner, function):
    _, found = sections(inspect.getdoc(function))
    said = found.get("Raises", {})
    for kind in set(raised(function, owner)):
        bases = {base.__name__ for base in kind.__mro__} - {"Exception", "BaseException", "object"}
        assert bases & set(said) or kind.__name__ in INTERNAL, f"{kind.__name__} is not in {sorted(said)}"
    text = inspect.getdoc(function)
    for name in said:
        kind = getattr(builtins, name, None) or find(name)
        assert inspect.isclass(kind) and issubclass(kind, BaseException), f"{name} is no exception:\n{text}"


def find(name):
    return next((value for path, value in CLASSES.items() if path.endswith(f".{name}")), None) or getattr(
        importlib.import_module("pygase._user_errors"), name, None
    )


def test_of_the_core_has_types():
    """Its functions get their types from the stub, which stubtest compares with the binary."""
    for (owner, name), function in stub().items():
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs][1:]
        assert all(argument.annotation for argument in arguments), f"{owner}.{name}"
        assert function.returns is not None or name == "__init__", f"{owner}.{name}"


def test_what_is_looked_for_is_found():
    """What is looked for is found."""

    def sleepy(timeout: float) -> None:
        """Wait.

        Args:
            timeout: How long.
        """
        raise ValueError("never")

    sleepy.__module__ = "pygase.test"
    text, found = sections(inspect.getdoc(sleepy))
    with pytest.raises(AssertionError, match="no unit"):
        check_arguments(found["Args"], sleepy, "", text)
    with pytest.raises(AssertionError, match="not described"):
        check_arguments({}, sleepy, "", text)
    assert set(raised(sleepy, None)) == {ValueError}
    with pytest.raises(AssertionError, match="ValueError is not in"):
        test_errors_that_are_raised_are_named(None, sleepy)
