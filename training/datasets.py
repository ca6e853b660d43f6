"""The datasets of a run: one, or a mixture over several embodiments, each with its contract."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..configuration.action_contract import ActionContract, Frame, Mode, RotationName, Statistics
from ..configuration.serialization import StrictRecord
from ..data import AUGMENTATIONS, Augmented, CalvinDataset, LeRobotDataset, Mixture, RLDSDataset, action_contract
from ..data.contract import GripperChoice
from ..data.lerobot_columns import check_columns
from .arguments import VLAArguments

# What rows of different embodiments must have in common to be one batch of one model.
SHARED = ("action_dim", "gripper_dims", "chunk_size", "window_size", "state_dim")

OF_LEROBOT = ("episodes", "revision", "columns", "tolerance_s")  # keys that CALVIN folders have no use for


@dataclass(frozen=True)
class DatasetSpec(StrictRecord):
    """One dataset of a run.

    Args:
        path: folder or Hub id.
        weight: share in the mixture, in any unit; all datasets of a mixture have one, or none.
        embodiment: name of its contract; the dataset's own by default.
        cameras: in order; those of the run by default.
        episodes: episode indices; all by default.
        split: one of the dataset's splits.
        revision: of a Hub id.
        columns: which of a LeRobot dataset's columns are what, where it calls them otherwise (see `LeRobotDataset`).
        tolerance_s: how far a video frame may be from its row's timestamp, of a LeRobot dataset.
        format: "lerobot", "calvin" or "rlds".
        mode, frame, rotation, grippers, units: what its actions mean, where its files don't say; as in `action_contract`.
    """

    path: str
    weight: float | None = None
    embodiment: str | None = None
    cameras: tuple[str, ...] | None = None
    episodes: tuple[int, ...] | None = None
    split: str | None = None
    revision: str | None = None
    columns: dict | None = None
    tolerance_s: float | None = None
    format: Literal["lerobot", "calvin", "rlds"] = "lerobot"
    mode: Mode | None = None
    frame: Frame | None = None
    rotation: RotationName | None = None
    grippers: tuple[GripperChoice, ...] | None = None
    units: tuple[str, ...] | None = None

    def validate(self) -> None:
        if self.weight is not None and not self.weight > 0:
            raise ValueError(f"DatasetSpec.weight must be positive, got {self.weight}.")
        if self.tolerance_s is not None and not self.tolerance_s > 0:
            raise ValueError(f"DatasetSpec.tolerance_s must be positive, got {self.tolerance_s}.")
        check_columns(self.columns)
        given = [name for name in OF_LEROBOT if getattr(self, name) is not None]
        if self.format != "lerobot" and given:
            raise ValueError(
                f"DatasetSpec: {', '.join(given)} are of LeRobot datasets, not of CALVIN or RLDS folders."
            )

    @property
    def conventions(self) -> dict[str, Any]:
        """What it says of its actions, for `action_contract`."""
        values = {name: getattr(self, name) for name in ("mode", "frame", "rotation", "grippers", "units")}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def parse(cls, text: str) -> "DatasetSpec":
        """A folder, a Hub id, or a JSON object of this class's fields."""
        if not text.lstrip().startswith("{"):
            return cls(text)
        try:
            return cls.from_dict(json.loads(text))
        except json.JSONDecodeError as error:
            raise ValueError(f"dataset {text!r} is no JSON object: {error}") from error


def build_dataset(
    arguments: VLAArguments, described: Sequence[str] | None = None
) -> LeRobotDataset | CalvinDataset | RLDSDataset | Augmented | Mixture:
    """The windows that the structure trains on, augmented; of the datasets `described` instead, as they are.

    Raises:
        ValueError: for a mixture of which some datasets have a weight and some have none.
    """
    specs = [DatasetSpec.parse(text) for text in described or arguments.dataset]
    datasets: list[Any] = [_open(spec, arguments, len(specs)) for spec in specs]
    if described is None and arguments.augmentation != "none":
        datasets = [Augmented(dataset, AUGMENTATIONS[arguments.augmentation]()) for dataset in datasets]
    if len(datasets) == 1:
        return datasets[0]
    weights = [spec.weight for spec in specs if spec.weight is not None]
    if weights and len(weights) < len(specs):
        given = [spec.weight for spec in specs]
        raise ValueError(f"dataset: give every dataset of a mixture a 'weight', or none, got {given}.")
    return Mixture(datasets, weights or arguments.mixture_weights)


def _open(spec: DatasetSpec, arguments: VLAArguments, count: int) -> LeRobotDataset | CalvinDataset | RLDSDataset:
    options: dict[str, Any] = {
        "window_size": 1 if arguments.is_one_step else arguments.window_size,
        "chunk_size": arguments.chunk_size,
        "cache_bytes": int(arguments.cache_gib * 2**30) // count,
    }
    cameras = spec.cameras or arguments.cameras
    if spec.format != "lerobot":
        options |= {"cameras": cameras} if cameras else {}
        options |= {"split": spec.split} if spec.split else {}
        options |= {"embodiment": spec.embodiment} if spec.embodiment else {}
        return (CalvinDataset if spec.format == "calvin" else RLDSDataset)(spec.path, **options)
    if spec.tolerance_s is not None:
        options["tolerance_s"] = spec.tolerance_s
    return LeRobotDataset(
        spec.path,
        columns=spec.columns,
        history_stride=1 if arguments.is_one_step else arguments.history_stride,
        cameras=cameras,
        episodes=spec.episodes,
        split=spec.split,
        embodiment=spec.embodiment,
        revision=spec.revision,
        **options,
    )


def parts(dataset: Any) -> Sequence[Any]:
    """The datasets of a mixture, or the dataset alone."""
    return dataset.datasets if isinstance(dataset, Mixture) else [dataset]


def build_contracts(dataset: Any, arguments: VLAArguments) -> dict[str, ActionContract]:
    """A contract per embodiment; datasets of one embodiment share it, with statistics over all of them.

    Raises:
        ValueError: where datasets of one embodiment differ in more than statistics, or embodiments in what one model
            must have in common.
    """
    contracts: dict[str, ActionContract] = {}
    specs = [DatasetSpec.parse(text) for text in arguments.dataset]
    for part, spec in zip(parts(dataset), specs, strict=True):
        contract = action_contract(
            part,
            n_action_steps=arguments.n_action_steps,
            normalization=arguments.normalization,
            use_state=arguments.use_state and not arguments.is_discrete,
            **spec.conventions,
        )
        contract = _with_statistics(contract, dataset) if isinstance(dataset, Mixture) else contract
        name = contract.embodiment
        if name in contracts:  # the evidence that notes tell of is each dataset's own
            contract = contract.replace(notes=contracts[name].notes)
        if name in contracts and contract != contracts[name]:
            theirs, ours = contracts[name].to_dict(), contract.to_dict()
            differing = "; ".join(f"{f}: {theirs.get(f)} and {ours.get(f)}" for f in ours if ours[f] != theirs.get(f))
            raise ValueError(
                f"dataset: two datasets of embodiment {name!r} have different contracts ({differing}). Name them apart "
                "with 'embodiment'."
            )
        contracts[name] = contract
    first, *others = contracts.values()
    for other in others:
        for field in SHARED:
            ours, theirs = getattr(first, field), getattr(other, field)
            if ours != theirs:
                raise ValueError(
                    f"dataset: {field} is {ours} for embodiment {first.embodiment!r} and {theirs} for "
                    f"{other.embodiment!r}; one model needs one {field}."
                )
    return contracts


def _with_statistics(contract: ActionContract, mixture: Mixture) -> ActionContract:
    computed = mixture.statistics()[contract.embodiment]
    fields = {"action": contract.action.replace(statistics=Statistics(**computed["action"]))}
    if contract.state is not None:
        fields["state"] = contract.state.replace(statistics=Statistics(**computed["state"]))
    return contract.replace(**fields)
