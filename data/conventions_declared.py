"""What is declared of a dataset's actions, held against what its numbers show, and completed by it."""

from collections.abc import Sequence
from typing import Any, get_args

from ..configuration.action_contract import UNKNOWN, GripperSpec, Mode, RotationName
from .conventions import describe, infer_conventions
from .known_embodiments import KnownEmbodiment


def complete(
    dataset, said: dict[str, Any], grippers: Sequence[GripperSpec] | None, known: KnownEmbodiment | None
) -> tuple[dict[str, Any], dict[int, bool]]:
    """`said` (fields of a contract) completed by what `infer_conventions` shows, with the evidence in its `notes`; and the
    on/off dimensions whose larger value is known to open (True) or to close.

    Raises:
        ValueError: where numbers contradict the mode, the rotation or a gripper that is declared; it shows both.
    """
    found = infer_conventions(dataset)
    told = {one["dim"]: one for one in found["grippers"] if one["open_value"] is not None}

    def refuse(what: str, declared: Any, in_table: Any, evidence: str) -> ValueError:
        who = "the table of known embodiments" if known is not None and declared == in_table else "the caller"
        return ValueError(
            f"{dataset.origin}: {what} is {declared!r} according to {who}, but {evidence}. Look at "
            "infer_conventions(dataset)['evidence'] and correct the declaration."
        )

    mode, rotation = said.get("mode", UNKNOWN), said.get("rotation", UNKNOWN)
    for name, value, names in (("mode", mode, get_args(Mode)), ("rotation", rotation, get_args(RotationName))):
        if value not in names:
            raise ValueError(f"{dataset.origin}: {name} must be one of {list(names)}, got {value!r}.")
    if UNKNOWN not in (mode, found["mode"]) and (mode == "absolute") != (found["mode"] == "absolute"):
        raise refuse("mode", mode, known.mode if known else None, describe(found))
    rotations = found["evidence"]["rotations"]
    if rotations and UNKNOWN not in (rotation, found["rotation"]) and not _agree(rotation, found["rotation"]):
        shown = f"dimensions {rotations[0]['dims']} are {found['rotation']!r} as measured ({rotations[0]['why']})"
        raise refuse("rotation", rotation, known.rotation if known else None, shown)
    for gripper in grippers or ():
        one = told.get(gripper.dim)
        if gripper not in (known.grippers if known is not None else ()):
            _check_values(
                gripper, next((one for one in found["grippers"] if one["dim"] == gripper.dim), None), dataset
            )
        if one is not None and (gripper.open_value > gripper.closed_value) != (
            one["open_value"] == max(one["values"])
        ):
            declared = f"open at {gripper.open_value:g}, closed at {gripper.closed_value:g}"
            in_table = known is not None and gripper in known.grippers
            shown = f"{one['open_value']:g} opens as measured: {one['why']}"
            raise refuse(f"gripper {one['name']!r}", declared, declared if in_table else None, shown)

    shown = {"mode": found["mode"], "rotation": found["rotation"]}
    if found["rotation"] == "none":
        shown["frame"] = "joint"  # names of joints said so
    if found["rotation"] not in get_args(RotationName):
        del shown["rotation"]
    shown = {name: value for name, value in shown.items() if value != UNKNOWN}
    notes = [said.get("notes", ""), *_evidence(found)]
    completed = shown | {name: value for name, value in said.items() if value != UNKNOWN}
    if any(notes):
        completed["notes"] = " ".join(filter(None, notes))
    return completed, {dim: one["open_value"] == max(one["values"]) for dim, one in told.items()}


def _check_values(gripper: GripperSpec, found: dict[str, Any] | None, dataset) -> None:
    """Raises ValueError where a dimension with two values is declared to have others: the robot would get what nobody recorded."""
    if found is None:
        return
    low, high = found["values"]
    declared = sorted((gripper.open_value, gripper.closed_value))
    if max(abs(declared[0] - low), abs(declared[1] - high)) > 0.1 * (high - low):
        raise ValueError(
            f"{dataset.origin}: gripper {found['name']!r} is open at {gripper.open_value:g}, closed at "
            f"{gripper.closed_value:g} according to the caller, but its recorded values are {low:g} and {high:g}."
        )


def _agree(declared: str, measured: str) -> bool:
    """Whether a name of a rotation is the measured one, or of its family where the order could not be told."""
    return declared == measured or (measured in ("euler", "quaternion") and declared.startswith(f"{measured}_"))


def _evidence(found: dict[str, Any]) -> list[str]:
    """Sentences for a contract's notes."""
    sentences = [f"{describe(found)}."] if found["mode"] != UNKNOWN else []
    for one in found["evidence"]["rotations"]:
        first, last = one["dims"]
        sentences.append(f"rotation {one['kind']!r} measured in dimensions {first} ... {last}: {one['why']}.")
    sentences += [
        f"gripper {one['name']!r} measured: {one['why']}."
        for one in found["grippers"]
        if one["open_value"] is not None
    ]
    return sentences
