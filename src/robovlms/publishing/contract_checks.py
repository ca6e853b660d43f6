"""Does the action contract hold together, and is it the one that the model was saved with?"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from robovlms.checkpoint.record import CheckpointRecord
from robovlms.configuration import ActionContract, GripperSpec, VectorSpec
from robovlms.configuration.action_contract import how_to_declare
from robovlms.data.known_embodiments import KNOWN_EMBODIMENTS
from robovlms.hub_cards.evaluation_results import read_evaluation_records

from .findings import Finding


def read_contracts(folder: Path) -> tuple[dict[str, ActionContract], list[Finding]]:
    """Return the contracts of a checkpoint's processor, and what is wrong with those that cannot be read."""
    file = folder / "processor_config.json"
    written = json.loads(file.read_text()).get("robovlms", {}).get("contracts", {}) if file.exists() else {}
    contracts, faults = {}, []
    if file.exists() and not written:
        faults.append(Finding("contract", "problem", "processor_config.json holds no action contract."))
    for name, content in written.items():
        try:
            contracts[name] = ActionContract.from_dict(content)
        except ValueError as error:
            faults.append(Finding("contract", "problem", f"contract of {name!r}: {error}"))
    return contracts, faults


def check_contract(contract: ActionContract, record: CheckpointRecord | None) -> Iterator[Finding]:
    """Statistics, grippers, and differences to the contract on record."""
    faults = [
        *find_vector_faults("action", contract.action),
        *(find_vector_faults("learned", contract.learned.vector) if contract.learned is not None else ()),
        *(find_vector_faults("state", contract.state) if contract.state is not None else ()),
        *find_gripper_faults(contract),
        *find_known_faults(contract),
        *(find_differences(contract, record) if record is not None else ()),
    ]
    for fault in faults:
        yield Finding("contract", "problem", f"contract of {contract.embodiment!r}: {fault}")
    if contract.unknown:
        yield Finding(
            "contract",
            "note",
            f"contract of {contract.embodiment!r}: unknown {', '.join(contract.unknown)}. {how_to_declare(contract.unknown[0])}"
            + (" No robot moves under an unknown mode." if "mode" in contract.unknown else ""),
        )
    if not faults:
        yield Finding("contract", "ok", f"contract of {contract.embodiment!r}, hash {contract.hash}, is sound")


def find_vector_faults(field: str, vector: VectorSpec) -> Iterator[str]:
    """Statistics that are absent or of no use."""
    statistics = vector.statistics
    if vector.normalization == "none":
        return
    if statistics is None:
        yield f"{field} has normalization {vector.normalization!r} and no statistics: they are missing."
        return
    for index, name in enumerate(vector.names):
        if vector.mask is not None and not vector.mask[index]:
            continue
        if not statistics.min[index] - 1e-6 <= statistics.mean[index] <= statistics.max[index] + 1e-6:
            yield f"{field} statistics of {name!r}: the mean lies outside [min, max]."


def find_gripper_faults(contract: ActionContract) -> Iterator[str]:
    """Commands that the training data never held."""
    statistics = contract.action.statistics
    for gripper in contract.grippers:
        name = contract.action.names[gripper.dim]
        if statistics is None:
            continue
        low, high = statistics.min[gripper.dim], statistics.max[gripper.dim]
        slack = 0.01 * (high - low) + 1e-6
        for field in ("open_value", "closed_value"):
            if not low - slack <= getattr(gripper, field) <= high + slack:
                yield (
                    f"gripper {name!r} has {field} = {getattr(gripper, field):g}, but its values in the data lie in "
                    f"[{low:g}, {high:g}]."
                )


def find_known_faults(contract: ActionContract) -> Iterator[str]:
    """Yield what contradicts the published conventions of the robot of that name."""
    known = KNOWN_EMBODIMENTS.get(contract.embodiment)
    if known is None or known.action_names != contract.action.names:
        return
    for ours, theirs in find_inverted(contract.grippers, known.grippers):
        yield (
            f"gripper polarity is inverted: {contract.embodiment!r} opens at {theirs.open_value:g} and closes at "
            f"{theirs.closed_value:g}, the contract says {ours.open_value:g} and {ours.closed_value:g}."
        )


def find_inverted(ours: Iterable[GripperSpec], theirs: Iterable[GripperSpec]) -> list[tuple[GripperSpec, GripperSpec]]:
    """Return the grippers of one dimension that open in opposite directions, in pairs."""
    by_dim = {gripper.dim: gripper for gripper in theirs}
    pairs = [(gripper, by_dim[gripper.dim]) for gripper in ours if gripper.dim in by_dim]
    return [
        (one, two) for one, two in pairs if (one.open_value > one.closed_value) != (two.open_value > two.closed_value)
    ]


def find_differences(contract: ActionContract, record: CheckpointRecord) -> Iterator[str]:
    """Yield what differs from the contract with which the model was saved, in words."""
    recorded = record.contracts.get(contract.embodiment)
    if recorded is None:
        yield f"the model was saved with contracts of {sorted(record.contracts)} only."
        return
    ours, theirs = contract.to_dict(), recorded.to_dict()
    advice = "If the new one is right, save model and processor together again."
    if contract.camera_names != recorded.camera_names and sorted(contract.camera_names) == sorted(
        recorded.camera_names
    ):
        yield (
            f"cameras are swapped: they are in the order {list(contract.camera_names)}, the model was saved with "
            f"{list(recorded.camera_names)}. {advice}"
        )
        ours.pop("cameras")
    inverted = find_inverted(contract.grippers, recorded.grippers)
    for gripper, before in inverted:
        yield (
            f"gripper polarity is inverted: {gripper.open_value:g} opens and {gripper.closed_value:g} closes, the "
            f"model was saved with {before.open_value:g} and {before.closed_value:g}. {advice}"
        )
    told = {gripper.dim: before for gripper, before in inverted}
    if told and [told.get(gripper.dim, gripper) for gripper in contract.grippers] == list(recorded.grippers):
        ours.pop("grippers")  # nothing else differs in them
    for field, value in ours.items():
        if value != theirs.get(field):
            yield f"{field} is {shorten(value)}, the model was saved with {shorten(theirs.get(field))}. {advice}"
    for field in theirs.keys() - ours.keys() - {"cameras", "grippers"}:
        yield f"{field} is gone, the model was saved with {shorten(theirs[field])}. {advice}"


def shorten(value: Any) -> str:
    """Return a value's start."""
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."


def check_evaluations(folder: Path, contracts: dict[str, ActionContract]) -> Iterator[Finding]:
    """Results that belong to another contract."""
    hashes = {contract.hash for contract in contracts.values()}
    for name, record in read_evaluation_records(folder).items():
        if record.contract_hash is not None and record.contract_hash not in hashes:
            yield Finding(
                "results",
                "problem",
                f"{name} was measured under contract {record.contract_hash}, the checkpoint's is {sorted(hashes)}.",
            )
