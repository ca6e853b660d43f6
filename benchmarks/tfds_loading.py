"""tensorflow_datasets on an RLDS folder, for rlds_loading.py: prints samples per second of wall and CPU time as JSON.

python tfds_loading.py FOLDER CAMERA WINDOW CHUNK BATCH_SIZE PASSES     (with an interpreter that has tensorflow_datasets)
"""

import json
import sys
import time

import tensorflow as tf
import tensorflow_datasets as tfds


def main(folder: str, camera: str, window: int, chunk: int, batch_size: int, passes: int) -> None:
    def windows(episode):
        steps = next_batch(episode["steps"])
        length = tf.shape(steps["action"])[0]
        frames = tf.range(length)[:, None] + tf.range(-window + 1, 1)[None]
        rows = tf.range(length)[:, None] + tf.range(chunk)[None]
        observation = steps["observation"]
        return tf.data.Dataset.from_tensor_slices(
            {
                "images": tf.gather(observation[camera], tf.maximum(frames, 0)),
                "state": tf.gather(observation["state"], tf.maximum(frames, 0)),
                "frame_mask": frames >= 0,
                "actions": tf.gather(steps["action"], tf.minimum(rows, length - 1)),
                "action_mask": rows < length,
                "instruction": steps["language_instruction"],
            }
        )

    def next_batch(steps):
        return steps.batch(10_000).get_single_element()

    builder = tfds.builder_from_directory(folder)
    features = builder.info.features["steps"]["observation"]
    others = [name for name, one in features.items() if isinstance(one, tfds.features.Image) and name != camera]
    decoders = {"steps": {"observation": {name: tfds.decode.SkipDecoding() for name in others}}}
    dataset = builder.as_dataset(split="train", decoders=decoders, shuffle_files=False)
    dataset = dataset.flat_map(windows).batch(batch_size).prefetch(2)
    samples = sum(len(batch["actions"]) for batch in dataset.as_numpy_iterator())  # builds the graph
    wall, cpu, samples = time.perf_counter(), time.process_time(), 0
    for _ in range(passes):
        samples += sum(len(batch["actions"]) for batch in dataset.as_numpy_iterator())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        json.dumps({"samples_per_second": samples / wall, "samples_per_cpu_second": samples / cpu, "samples": samples})
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7]))
