"""What a step of an RLDS folder holds, by its features.json."""

from dataclasses import dataclass

STEPS = "steps/"


@dataclass(frozen=True)
class Feature:
    """One feature of a record: `kind` is TFDS' class ("Tensor", "Scalar", "Text", "Image"), `shape` that of one step
    (-1 where it varies), `encoding` "none" for plain numbers."""

    kind: str
    shape: tuple[int, ...]
    dtype: str
    encoding: str

    @property
    def is_text(self) -> bool:
        return self.kind == "Text" or (self.dtype == "string" and not self.shape)

    @property
    def is_number(self) -> bool:
        is_plain = self.kind in ("Tensor", "Scalar") and self.encoding == "none" and self.dtype != "string"
        return is_plain and len(self.shape) <= 1 and -1 not in self.shape

    @property
    def width(self) -> int:
        """How many numbers a step has of it."""
        return self.shape[0] if self.shape else 1

    @property
    def is_colour(self) -> bool:
        """Whether it is a picture and not depth."""
        return self.kind == "Image" and self.dtype == "uint8"


def step_features(description: dict) -> dict[str, Feature]:
    """Return the features of a step by their path below `steps`, of a features.json."""
    found = _flat(description, "")
    return {path.removeprefix(STEPS): feature for path, feature in found.items() if path.startswith(STEPS)}


def _flat(description: dict, prefix: str) -> dict[str, Feature]:
    kind = description["pythonClassName"].rpartition(".")[2]
    if "featuresDict" in description:
        parts = description["featuresDict"]["features"].items()
        return {path: one for name, part in parts for path, one in _flat(part, f"{prefix}{name}/").items()}
    if "sequence" in description:
        return _flat(description["sequence"]["feature"], prefix)
    details = next((description[name] for name in ("tensor", "image", "text") if name in description), {})
    shape = tuple(int(size) for size in details.get("shape", {}).get("dimensions", ()))
    dtype = details.get("dtype", "string" if kind == "Text" else "uint8")
    return {prefix.rstrip("/"): Feature(kind, shape, dtype, details.get("encoding", "none"))}
