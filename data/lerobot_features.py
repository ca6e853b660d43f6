"""Features of a LeRobotDataset: their description in info.json and their columns in the parquet files."""

import io
import json

import numpy as np
import pyarrow as pa
from PIL import Image

from .video_writer import ALIASES, ENCODERS, pixel_format

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
ARROW_TYPES = {"float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_()}


def image_feature(images: np.ndarray, fps: float, codec: str, as_video: bool) -> dict:
    """Return the feature of a camera with images uint8 (frames, height, width, 3)."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"images must be uint8 (frames, height, width, 3), got {images.dtype} {images.shape}")
    height, width = images.shape[1:3]
    feature = {"dtype": "image", "shape": [height, width, 3], "names": ["height", "width", "channels"]}
    if not as_video:
        return feature
    codec = ALIASES.get(codec, codec)
    options = ENCODERS[codec][1] if codec in ENCODERS else {}
    info = {
        "video.height": height,
        "video.width": width,
        "video.codec": codec,
        "video.pix_fmt": pixel_format(codec, height, width),
        "video.fps": int(fps) if float(fps).is_integer() else fps,
        "video.channels": 3,
        "has_audio": False,
        "video.g": int(options.get("g", 0)),
        "is_depth_map": False,
    }
    return feature | {"dtype": "video", "info": info}


def numeric_feature(key: str, values: np.ndarray, names: list[str] | None, units: list[str] | None) -> dict:
    """Return the feature of a numeric column (frames,) or (frames, width)."""
    dtype = {"f": "float32", "i": "int64", "u": "int64", "b": "bool"}.get(values.dtype.kind)
    if dtype is None or values.ndim not in (1, 2):
        raise ValueError(
            f"column {key!r} must be numbers (frames,) or (frames, width), got {values.dtype} {values.shape}"
        )
    width = 1 if values.ndim == 1 else values.shape[1]
    for what, given in (("names", names), ("units", units)):
        if given is not None and len(given) != width:
            raise ValueError(f"column {key!r} has width {width}, but {len(given)} {what}: {given}")
    feature = {"dtype": dtype, "shape": [width], "names": names}
    return feature if units is None else feature | {"units": units}


def arrow_schema(features: dict[str, dict]) -> pa.Schema:
    """Return the parquet schema, with the metadata by which the `datasets` library knows images from structs."""
    fields, described = [], {}
    for key, feature in features.items():
        if feature["dtype"] == "video":
            continue
        if feature["dtype"] == "image":
            fields.append(pa.field(key, IMAGE_TYPE))
            described[key] = {"_type": "Image"}
            continue
        value, width = ARROW_TYPES[feature["dtype"]], feature["shape"][0]
        described[key] = {"dtype": feature["dtype"], "_type": "Value"}
        if width == 1:
            fields.append(pa.field(key, value))
        else:
            fields.append(pa.field(key, pa.list_(pa.field("element", value), width)))
            described[key] = {"feature": described[key], "length": width, "_type": "List"}
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": described}})})


def image_column(images: np.ndarray) -> pa.StructArray:
    """PNG files of images uint8 (frames, height, width, 3) as struct<bytes, path>."""
    encoded = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG", compress_level=1)
        encoded.append(file.getvalue())
    paths = [f"frame-{number:06d}.png" for number in range(len(encoded))]
    return pa.StructArray.from_arrays([pa.array(encoded, pa.binary()), pa.array(paths)], fields=list(IMAGE_TYPE))
