"""Components are their parameters: coercion, bounds, messages."""

import pickle
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medplug.errors import ParameterError
from medplug.params import build, component, is_component, param, parameters, schema


@component
class Demo:
    """A component with every allowed type."""

    tasks = ("multiclass",)

    gamma: float = param("strength", default=2.0, ge=0, le=20)
    steps: int = param("how many", default=3, gt=0)
    on: bool = param("switch", default=False)
    word: str = param("text", default="a")
    mode: Literal["fast", "slow"] = param("mode", default="fast")
    sizes: tuple[int, ...] = param("sizes", default=(1, 2), ge=0)
    span: tuple[float, float] = param("span", default=(0.0, 1.0))
    limit: float | None = param("limit", default=None, lt=5)


@component
class Needy:
    path: str = param("where")


def test_equal_looking_values_are_equal_and_hash_alike():
    a, b = Demo(gamma=1, sizes=[1, 2], span=[0, 1]), Demo(gamma=1.0, sizes=(1, 2), span=(0.0, 1.0))
    assert a == b
    assert hash(a) == hash(b)
    assert isinstance(a.gamma, float)
    assert str(Demo(gamma=-0.0).gamma) == "0.0"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"gamma": -1}, "gamma must be at least 0, got -1"),
        ({"gamma": 21}, "gamma must be at most 20"),
        ({"gamma": True}, "gamma must be float, got True"),
        ({"gamma": float("nan")}, "got nan"),
        ({"steps": 1.5}, "steps must be int, got 1.5"),
        ({"steps": 0}, "steps must be greater than 0"),
        ({"on": 1}, "on must be bool"),
        ({"mode": "fsat"}, "did you mean 'fast'?"),
        ({"sizes": [1, -1]}, "sizes must be at least 0"),
        ({"sizes": "12"}, "sizes must be a list"),
        ({"span": [1.0]}, "span must have 2 values, got 1"),
        ({"limit": 5.0}, "limit must be less than 5"),
        ({"gama": 1}, "unknown parameter 'gama'; did you mean 'gamma'?"),
    ],
)
def test_a_wrong_value_is_told_with_the_place(values, words):
    with pytest.raises(ParameterError) as error:
        build(Demo, values, "loss/demo")
    assert "loss/demo" in str(error.value)
    assert words in str(error.value)


def test_a_required_parameter_is_asked_for():
    with pytest.raises(ParameterError, match=r"reader/needy: parameter 'path' is required \(where\)"):
        build(Needy, {}, "reader/needy")


@given(st.floats(0, 20), st.integers(1, 10**6), st.text(), st.lists(st.integers(0, 9)))
def test_parameters_and_pickle_are_round_trips(gamma, steps, word, sizes):
    demo = Demo(gamma=gamma, steps=steps, word=word, sizes=sizes)
    assert build(Demo, parameters(demo)) == demo
    assert pickle.loads(pickle.dumps(demo)) == demo


def test_facts_are_no_parameters():
    assert [p.name for p in schema(Demo)] == ["gamma", "steps", "on", "word", "mode", "sizes", "span", "limit"]
    assert schema(Demo)[4].type_name == "'fast' | 'slow'"
    assert schema(Demo)[7].type_name == "float | None"


def test_reserved_names_and_unfit_types_are_refused():
    with pytest.raises(TypeError, match="cannot be parameters"):

        @component
        class Bad:
            tasks: str = "x"

    @component
    class Odd:
        table: dict = param("no", default=None)

    with pytest.raises(TypeError, match="allowed are"):
        Odd()


def test_a_subclass_needs_its_own_decorator():
    class Child(Demo):
        pass

    assert not is_component(Child)
    with pytest.raises(TypeError, match="needs its own @component"):
        Child()


def test_a_component_is_frozen():
    with pytest.raises(AttributeError):
        Demo().gamma = 3  # type: ignore[misc]
