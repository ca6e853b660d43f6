"""The datasets of a run: one, or a mixture over several embodiments, each with its contract."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..configuration.action_contract import ActionContract, Frame, Mode, RotationName, Statistics
from ..configuration.action_transforms import ActionTransform
from ..configuration.serialization import StrictRecord
from ..data import AUGMENTATIONS, Augmented, CalvinDataset, LeRobotDataset, Mixture, RLDSDataset, action_contract
from ..data.contract import GripperChoice
from ..data.formats import Format, find_format
from ..data.lerobot_columns import check_columns
from ..data.resized import Resized, Resizing
from .arguments import VLAArguments

# What rows of different embodiments must have in common to be one batch of one model.
SHARED = ("chunk_size", "window_size")

CONVENTIONS = ("mode", "frame", "rotation", "grippers", "units")
ANY_FORMAT = ("path", "weight", "embodiment", "cameras", "split", "format", "resize", *CONVENTIONS)
KEYS = {  # what else a dataset of each format can be told
    "lerobot": ("episodes", "revision", "columns", "tolerance_s", "transform"),
    "rlds": ("episodes", "fps", "action", "state", "instruction"),
    "calvin": (),
}


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
        fps, action, state, instruction: of an RLDS dataset: its frequency, and which features are what (`RLDSDataset`).
        format: "lerobot", "calvin" or "rlds"; found by the folder's files by default.
        transform: what the model learns in place of the recorded actions, of a LeRobot dataset:
            `{"type": "absolute_to_delta", "dims": [0, 1, 2]}`.
        resize: "pad" or "stretch" the pictures to the sizes of the run's first dataset of this embodiment without `resize`.
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
    fps: float | None = None
    action: tuple[str, ...] | None = None
    state: tuple[str, ...] | None = None
    instruction: str | None = None
    format: Format | None = None
    resize: Resizing | None = None
    mode: Mode | None = None
    frame: Frame | None = None
    rotation: RotationName | None = None
    grippers: tuple[GripperChoice, ...] | None = None
    units: tuple[str, ...] | None = None
    transform: ActionTransform | None = None

    def validate(self) -> None:
        if self.weight is not None and not self.weight > 0:
            raise ValueError(f"DatasetSpec.weight must be positive, got {self.weight}.")
        for name in ("tolerance_s", "fps"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"DatasetSpec.{name} must be positive, got {value}.")
        check_columns(self.columns)
        format = self.format or find_format(self.path)
        others = {key for keys in KEYS.values() for key in keys} - set(KEYS[format])
        if given := sorted(self.said(sorted(others))):
            allowed = [*ANY_FORMAT, *KEYS[format]]
            raise ValueError(
                f"DatasetSpec: {self.path!r} is of format {format!r}, which has no {', '.join(given)}; it has {allowed}."
            )

    def said(self, names: Sequence[str]) -> dict[str, Any]:
        """Those of the fields `names` that have a value."""
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def conventions(self) -> dict[str, Any]:
        """What it says of its actions, for `action_contract`."""
        return self.said(CONVENTIONS)

    @classmethod
    def parse(cls, text: str) -> "DatasetSpec":
        """A folder, a Hub id, or a JSON object of this class's fields (one feature of `action` or `state` as it is)."""
        if not text.lstrip().startswith("{"):
            return cls(text)
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"dataset {text!r} is no JSON object: {error}") from error
        one = {name: [fields[name]] for name in ("action", "state") if isinstance(fields.get(name), str)}
        return cls.from_dict(fields | one)


def build_dataset(
    arguments: VLAArguments, described: Sequence[str] | None = None
) -> LeRobotDataset | CalvinDataset | RLDSDataset | Augmented | Mixture:
    """The windows that the structure trains on, augmented; of the datasets `described` instead, as they are.

    Raises:
        ValueError: for a mixture of which some datasets have a weight and some have none, or pictures to be resized of
            which nothing says the size.
    """
    specs = [DatasetSpec.parse(text) for text in described or arguments.dataset]
    datasets: list[Any] = [_open(spec, arguments, len(specs)) for spec in specs]
    if any(spec.resize for spec in specs):
        datasets = _resize(datasets, specs, arguments)
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
    format = spec.format or find_format(spec.path)
    stride = 1 if arguments.is_one_step else arguments.history_stride
    if cameras := spec.cameras or arguments.cameras:
        options["cameras"] = cameras
    options |= spec.said(("split", "embodiment", *KEYS[format]))
    if format == "calvin":
        if stride != 1:
            raise ValueError(
                f"history_stride: windows of the CALVIN folder {spec.path!r} have stride 1, got {stride}."
            )
        return CalvinDataset(spec.path, **options)
    return {"lerobot": LeRobotDataset, "rlds": RLDSDataset}[format](spec.path, history_stride=stride, **options)


def _resize(datasets: list[Any], specs: Sequence[DatasetSpec], arguments: VLAArguments) -> list[Any]:
    """The datasets, those with `resize` in the sizes of the run's first dataset of their embodiment without it."""
    leading = [spec for spec in map(DatasetSpec.parse, arguments.dataset) if spec.resize is None]
    opened = {spec.path: dataset for spec, dataset in zip(specs, datasets, strict=True)}
    sizes: dict[str, dict] = {}
    for spec in leading:
        dataset = opened.get(spec.path) or _open(spec, arguments, len(specs))
        sizes.setdefault(dataset.embodiment, dataset.camera_shapes)
    resized = []
    for dataset, spec in zip(datasets, specs, strict=True):
        if spec.resize is not None and dataset.embodiment not in sizes:
            raise ValueError(
                f"dataset: {spec.path!r} has resize={spec.resize!r}, and no dataset of embodiment {dataset.embodiment!r} "
                f"without 'resize' says to which size; there are {sorted(sizes)}."
            )
        resized.append(Resized(dataset, sizes[dataset.embodiment], spec.resize) if spec.resize else dataset)
    return resized


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
    sources: dict[str, str] = {}  # the first dataset of each
    specs = [DatasetSpec.parse(text) for text in arguments.dataset]
    for part, spec in zip(parts(dataset), specs, strict=True):
        contract = action_contract(
            part,
            n_action_steps=arguments.n_action_steps,
            normalization=arguments.normalization,
            use_state=arguments.use_state and not arguments.is_discrete,
            **spec.conventions,
        )
        name = contract.embodiment
        if name in contracts and (differing := _differences(contracts[name].to_dict(), contract.to_dict())):
            raise ValueError(
                f"dataset: {sources[name]!r} and {spec.path!r} are both of embodiment {name!r}, and their contracts differ in "
                f"{'; '.join(differing)}. Say what is right with the keys 'grippers', 'units', 'mode', 'frame', 'rotation', "
                "'cameras' or 'resize' (pictures of other sizes) of a dataset; where they are two robots, name them apart "
                "with 'embodiment'."
            )
        if name not in contracts:
            contracts[name], sources[name] = contract, spec.path
    if isinstance(dataset, Mixture):
        contracts = {name: _with_statistics(contract, dataset) for name, contract in contracts.items()}
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


def _differences(theirs: Any, ours: Any, where: str = "") -> list[str]:
    """Where two plain contracts differ but in statistics and notes, each as "cameras[0].height: 480 and 240"."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        keys = {key: f"{where}.{key}" if where else key for key in theirs | ours if key not in ("statistics", "notes")}
        return [text for key, place in keys.items() for text in _differences(theirs.get(key), ours.get(key), place)]
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        pairs = enumerate(zip(theirs, ours, strict=True))
        return [text for number, pair in pairs for text in _differences(*pair, f"{where}[{number}]")]
    return [] if theirs == ours else [f"{where}: {theirs} and {ours}"]


def _with_statistics(contract: ActionContract, mixture: Mixture) -> ActionContract:
    computed = mixture.statistics()[contract.embodiment]
    fields: dict[str, Any] = {}
    if contract.learned is not None:
        vector = contract.learned.vector.replace(statistics=Statistics(**computed["action"]))
        fields["learned"] = contract.learned.replace(vector=vector)
        computed = mixture.as_recorded().statistics()[contract.embodiment]
    fields["action"] = contract.action.replace(statistics=Statistics(**computed["action"]))
    if contract.state is not None:
        fields["state"] = contract.state.replace(statistics=Statistics(**computed["state"]))
    return contract.replace(**fields)
