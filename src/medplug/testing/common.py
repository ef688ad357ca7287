"""What every component has to do, whatever its kind."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import tomllib
from importlib import import_module
from typing import Any

from medplug.params import build, is_component, parameters, schema
from medplug.plugins.kinds import KINDS
from medplug.testing.checks import Case, Check, CheckError, NotApplicable, check, require


def _component_only(case: Case) -> None:
    if not is_component(case.obj):
        raise NotApplicable("the class has no @component, so that it has no parameters and no place in configurations")


@check("write a docstring for the class, and a help text in each param(...)", cheap=True)
def documented(case: Case) -> None:
    """The class has a docstring, and each parameter a help text."""
    cls = type(case.obj)
    doc = (cls.__doc__ or "").strip()
    require(doc and not doc.startswith(f"{cls.__name__}("), f"{cls.__qualname__} has no docstring")
    bare = [p.name for p in schema(cls) if not p.help.strip()]
    require(not bare, f"no help text for {', '.join(bare)}")


@check("decorate the class with @component, and keep no state in it", cheap=True)
def frozen(case: Case) -> None:
    """No attribute of an instance can be set."""
    _component_only(case)
    for name in (*parameters(case.obj), "an_attribute_of_no_one"):
        try:
            setattr(case.obj, name, getattr(case.obj, name, 0))
        except (dataclasses.FrozenInstanceError, AttributeError, TypeError):
            continue
        raise CheckError(f"{name} can be set on an instance")


@check("leave __eq__ and __hash__ to @component; hold no arrays", cheap=True)
def equal_by_value(case: Case) -> None:
    """Instances with the same parameters are equal and share their hash: two of them compile once."""
    hash(case.obj)
    _component_only(case)
    twin = type(case.obj)(**parameters(case.obj))
    require(twin == case.obj, f"two instances with the parameters {parameters(case.obj)} are not equal")
    require(hash(twin) == hash(case.obj), "two equal instances have different hashes, so that each compiles anew")
    require(case.obj != object(), "it is equal to any object")


@check(
    "leave parameters as they are in __post_init__; no text parameter that may be None has the value 'none'", cheap=True
)
def survives_a_configuration(case: Case) -> None:
    """Parameters written to TOML and read again make an equal component."""
    from medplug.config import to_toml
    from medplug.config.text import parse

    _component_only(case)
    back = tomllib.loads(to_toml({case.kind: parameters(case.obj)}))[case.kind]
    types = {p.name: p.annotation for p in schema(type(case.obj))}
    again = build(type(case.obj), {name: parse(value, types[name]) for name, value in back.items()})
    require(again == case.obj, f"parameters {parameters(case.obj)} came back from TOML as {parameters(again)}")


@check(
    "define the class at the top of an importable module; keep open files and compiled functions out of it", cheap=True
)
def survives_pickle(case: Case) -> None:
    """A pickled copy is equal: workers get their components that way."""
    again = pickle.loads(pickle.dumps(case.obj))
    if is_component(case.obj):
        require(again == case.obj, f"parameters {parameters(case.obj)} came back as {parameters(again)}")


@check("`medplug plugins show KIND` prints the methods and their arguments; names and order count", cheap=True)
def keeps_the_protocol(case: Case) -> None:
    """Attributes and methods are those of the contract, with its names of arguments in its order."""
    module, _, name = KINDS[case.kind].protocol.partition(":")
    found = protocol_problems(case.obj, getattr(import_module(module), name))
    require(not found, "; ".join(found))


def protocol_problems(obj: Any, protocol: Any) -> list[str]:
    """Where an object's attributes and methods differ from a Protocol's, as sentences."""
    members = vars(protocol)
    methods = {n: f for n, f in members.items() if inspect.isfunction(f) and (n == "__call__" or not n.startswith("_"))}
    attributes = [n for n, f in members.items() if isinstance(f, property)]
    attributes += [n for n in inspect.get_annotations(protocol) if not n.startswith("_")]
    found = [f"the attribute {name!r} is missing" for name in attributes if not hasattr(obj, name)]
    for name, wanted in methods.items():
        if not callable(getattr(obj, name, None)):
            found.append(f"the method {name!r} is missing")
        else:
            found += _signature_problems(name, inspect.signature(getattr(obj, name)), inspect.signature(wanted))
    return found


def _signature_problems(method: str, given: inspect.Signature, wanted: inspect.Signature) -> list[str]:
    expected = list(wanted.parameters.values())[1:]  # without self
    have = list(given.parameters.values())
    found = []
    for place, argument in enumerate(expected):
        free = argument.kind is inspect.Parameter.KEYWORD_ONLY
        match = given.parameters.get(argument.name)
        if (
            match is None
            or (not free and have.index(match) != place)
            or match.kind is inspect.Parameter.POSITIONAL_ONLY
        ):
            shown = ", ".join(p.name for p in expected)
            return [f"{method}{given} must take ({shown}): the argument {argument.name!r} is missing or out of place"]
        if argument.default is not inspect.Parameter.empty and match.default is inspect.Parameter.empty:
            found.append(f"{method}: the argument {argument.name!r} needs a default")
    names = {p.name for p in expected}
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    extra = [
        p.name for p in have if p.name not in names and p.kind not in variadic and p.default is inspect.Parameter.empty
    ]
    return found + [f"{method}: medplug does not pass the argument {name!r}; give it a default" for name in extra]


COMMON: tuple[Check, ...] = (
    documented,
    frozen,
    equal_by_value,
    survives_a_configuration,
    survives_pickle,
    keeps_the_protocol,
)
