"""Names of the dimensions of a vector, as the writers of datasets leave them: lists, nested lists, dicts by arm."""

from collections import Counter
from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any


def flat_names(names: Any, width: int) -> list[str] | None:
    """Return one name per dimension out of a feature's `names`; None where they name something else (or there are
    none).

    Understood: `[...]`, `[[...]]`, `{"motors": [...]}`, `{"x": 0, "y": 1}`, groups such as `{"left_arm": [...],
    "right_arm": [...]}`, and `[["left", "right"], ["x", "y", "z"]]` for a vector of 2 x 3. Names that come twice are told
    apart by their group, else by a number.
    """
    if isinstance(names, str):
        names = [name for name in names.replace(",", " ").split() if name] if width > 1 else [names]
    if isinstance(names, dict) and names and all(_is_index(value) for value in names.values()):
        names = sorted(names, key=lambda name: names[name])
    pairs = list(_leaves(names, ()))
    if len(pairs) != width:
        return _of_axes(names, width)
    return tell_apart([name for _, name in pairs], ["_".join(groups) for groups, _ in pairs])


def describe_misfit(names: Any, shape: Sequence[int]) -> str | None:
    """Say how `names` fail to be one per dimension of a feature; None where they are, where they name its axes (["state"]
    of shape [8]), or where there are none."""
    if isinstance(names, str):
        names = names.replace(",", " ").split()
    count = len(list(_leaves(names, ())))
    if count in (0, len(shape)) or flat_names(names, prod(shape)) is not None:
        return None
    return f"{count} names for {prod(shape)} dimensions, {names}"


def tell_apart(names: list[str], groups: list[str]) -> list[str]:
    """Return the names, with their group in front where the names alone come twice; of no group, with the number of
    the repetition."""
    if len(set(names)) == len(names):
        return names
    names = [f"{group}_{name}" if group else name for group, name in zip(groups, names, strict=True)]
    counts, seen = Counter(names), Counter[str]()
    size = _period(names)
    told = []
    for position, name in enumerate(names):
        seen[name] += 1
        if counts[name] == 1:
            told.append(name)
        else:  # the same list once per arm, or single names that come twice
            told.append(f"arm{position // size + 1}_{name}" if size < len(names) else f"{name}_{seen[name]}")
    return told if len(set(told)) == len(told) else [f"{name}_{number}" for number, name in enumerate(names)]


def _period(names: list[str]) -> int:
    """Length of the list of which `names` is a repetition; its own length where it is none."""
    sizes = (size for size in range(1, len(names)) if len(names) % size == 0)
    return next((size for size in sizes if names == names[:size] * (len(names) // size)), len(names))


def _leaves(names: Any, groups: tuple[str, ...]):
    """(groups, name) of each name, in order."""
    if isinstance(names, dict):
        for group, inner in names.items():
            if _is_index(inner) or inner is None:  # {"left": {"x": 0, "y": 1}}
                yield groups, str(group)
            else:
                yield from _leaves(inner, (*groups, str(group)))
    elif isinstance(names, (list, tuple)):
        for inner in names:
            yield from _leaves(inner, groups)
    elif names is not None:
        yield groups, str(names)


def _of_axes(names: Any, width: int) -> list[str] | None:
    """Names of a vector of several axes, each with a list of its own."""
    if not isinstance(names, (list, tuple)) or not all(isinstance(axis, (list, tuple)) for axis in names):
        return None
    joined = ["_".join(map(str, parts)) for parts in product(*names)]
    return joined if len(joined) == width and len(set(joined)) == width else None


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
