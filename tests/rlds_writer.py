"""RLDS folders for tests: features.json, dataset_info.json and TFRecords, written from what the formats' specifications say."""

import io
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from robovlms.data.tfrecord import masked_crc32c

FEATURES = "tensorflow_datasets.core.features"


def write_rlds(
    folder: Path,
    name: str,
    episodes: Sequence[Mapping[str, Any]],
    files: int = 1,
    split: str = "train",
    double: bool = False,
) -> Path:
    """A TFDS folder `name`/1.0.0 of episodes {path of a feature: values (steps, ...)}: text as lists of strings (as
    `Tensor`s of strings, as Fractal and DROID have them), pictures as uint8 (steps, height, width, 3) (JPEG) or uint16
    (steps, height, width) (PNG). `double` declares numbers as float64, as DROID does; records hold float32 all the same."""
    root = folder / name / "1.0.0"
    root.mkdir(parents=True)
    tree: dict = {}
    for path, values in episodes[0].items():
        *parents, leaf = path.split("/")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = _description(values, double)
    steps = {
        "pythonClassName": f"{FEATURES}.dataset_feature.Dataset",
        "sequence": {"feature": _dict(tree), "length": "-1"},
    }
    (root / "features.json").write_text(json.dumps(_dict({"steps": steps})))
    parts = np.array_split(np.arange(len(episodes)), files)
    shards = {"name": split, "shardLengths": [str(len(part)) for part in parts]}
    (root / "dataset_info.json").write_text(json.dumps({"name": name, "fileFormat": "tfrecord", "splits": [shards]}))
    for number, part in enumerate(parts):
        content = b"".join(_record(_example(episodes[index])) for index in part)
        (root / f"{name}-{split}.tfrecord-{number:05d}-of-{files:05d}").write_bytes(content)
    return root


def _dict(tree: dict) -> dict:
    features = {name: one if "pythonClassName" in one else _dict(one) for name, one in tree.items()}
    return {"pythonClassName": f"{FEATURES}.features_dict.FeaturesDict", "featuresDict": {"features": features}}


def _description(values: Any, double: bool) -> dict:
    tensor = f"{FEATURES}.tensor_feature.Tensor"
    if isinstance(values, list):
        return {"pythonClassName": tensor, "tensor": {"shape": {}, "dtype": "string", "encoding": "none"}}
    shape = {"dimensions": [str(size) for size in values.shape[1:]]}
    if values.dtype in (np.uint8, np.uint16):
        shape = shape if values.ndim == 4 else {"dimensions": [*shape["dimensions"], "1"]}
        return {
            "pythonClassName": f"{FEATURES}.image_feature.Image",
            "image": {"shape": shape, "dtype": str(values.dtype)},
        }
    dtype = "float64" if double and values.dtype.kind == "f" else str(values.dtype)
    return {"pythonClassName": tensor, "tensor": {"shape": shape, "dtype": dtype, "encoding": "none"}}


def _example(episode: Mapping[str, Any]) -> bytes:
    """A tf.train.Example: Features features = 1; map<string, Feature> feature = 1; one of bytes, float, int64 lists."""
    entries = b""
    for path, values in episode.items():
        if isinstance(values, list) or values.dtype in (np.uint8, np.uint16):
            items = [item.encode() if isinstance(item, str) else _encoded(item) for item in values]
            feature = _field(1, b"".join(_field(1, item) for item in items))
        elif values.dtype.kind == "f":
            feature = _field(2, _field(1, values.astype("<f4").tobytes()))
        else:
            feature = _field(3, _field(1, b"".join(_varint(int(number)) for number in values.ravel())))
        entries += _field(1, _field(1, f"steps/{path}".encode()) + _field(2, feature))
    return _field(1, entries)


def _encoded(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG" if picture.ndim == 3 else "PNG")
    return file.getvalue()


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    number &= 2**64 - 1
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*content, number])


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    checksums = (struct.pack("<I", masked_crc32c(part)) for part in (length, content))
    return length + next(checksums) + content + next(checksums)
