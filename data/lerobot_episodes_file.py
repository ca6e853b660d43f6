"""`meta/episodes/*.parquet` and `meta/tasks.parquet` with LeRobot's columns, in its order and types."""

import json

import pyarrow as pa

STATS = ("min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99")


def episodes_table(rows: list[dict], features: dict[str, dict], file: int = 0) -> pa.Table:
    """Return the `file`-th file of the episode table; `rows` come with every column but `meta/episodes/*`."""
    integer, real = pa.int64(), pa.float64()
    fields = [
        pa.field("episode_index", integer),
        pa.field("tasks", pa.list_(pa.string())),
        pa.field("length", integer),
        *(pa.field(f"data/{name}", integer) for name in ("chunk_index", "file_index")),
        *(pa.field(f"dataset_{name}_index", integer) for name in ("from", "to")),
    ]
    for key, feature in features.items():
        if feature["dtype"] == "video":
            fields += [pa.field(f"videos/{key}/{name}", integer) for name in ("chunk_index", "file_index")]
            fields += [pa.field(f"videos/{key}/{name}", real) for name in ("from_timestamp", "to_timestamp")]
    for key, feature in features.items():
        is_image = feature["dtype"] in ("video", "image")
        vector = pa.list_(pa.list_(pa.list_(real))) if is_image else pa.list_(real)
        fields += [pa.field(f"stats/{key}/{name}", pa.list_(integer) if name == "count" else vector) for name in STATS]
    fields += [pa.field("meta/episodes/chunk_index", integer), pa.field("meta/episodes/file_index", integer)]
    where = {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": file}
    return pa.Table.from_pylist([row | where for row in rows], schema=pa.schema(fields))


def tasks_table(tasks: dict[str, int]) -> pa.Table:
    """task_index by task, the text being pandas' index as LeRobot expects it."""
    integer = {"pandas_type": "int64", "numpy_type": "int64", "metadata": None}
    text = {"pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    index_name = {"name": None, "field_name": None, **text, "metadata": {"encoding": "UTF-8"}}
    columns = [{"name": name, "field_name": name, **kind} for name, kind in (("task_index", integer), ("task", text))]
    pandas = {"index_columns": ["task"], "column_indexes": [index_name], "columns": columns, "attributes": {}}
    schema = pa.schema([("task_index", pa.int64()), ("task", pa.string())], {"pandas": json.dumps(pandas)})
    return pa.Table.from_arrays(
        [pa.array(tasks.values(), pa.int64()), pa.array(tasks.keys(), pa.string())], schema=schema
    )
