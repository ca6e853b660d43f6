"""What FAST saves and costs on a dataset, against one token per dimension and step.

    python benchmarks/fast_tokenizer.py FOLDER [FOLDER ...] [--chunk 10] [--json FILE]

Encodings are trained on four of five episodes and measured on the fifth. Chunks are those that training sees: normalised
to the 1 % and 99 % quantiles, the last action repeated behind an episode's end. Errors are in normalised units
(the range is 2), of the action that comes back against the one that went in.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from robovlms.configuration import Statistics, VectorSpec
from robovlms.data import LeRobotDataset, statistics
from robovlms.processing.fast_action_tokenizer import FASTActionTokenizer
from robovlms.processing.normalization import VectorNormalizer
from robovlms.processing.uniform_action_tokenizer import UniformActionTokenizer

SCALES, VOCABULARIES, BINS = (5.0, 10.0, 20.0), (512, 1024), 256


def normalised_chunks(folder: str, chunk_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Those to train on and those to measure, `(chunks, chunk_size, action_dim)`."""
    dataset = LeRobotDataset(folder, window_size=1, chunk_size=chunk_size, cameras=())  # no video is decoded
    figures = Statistics(**statistics(dataset)["action"])
    normalizer = VectorNormalizer(VectorSpec(tuple(dataset.action_names), statistics=figures), "action")
    samples = [dataset[index] for index in range(len(dataset))]
    chunks = normalizer.encode(np.stack([sample["actions"][0] for sample in samples]))
    held_out = np.array([sample["episode"] % 5 == 4 for sample in samples])
    return chunks[~held_out], chunks[held_out]


def row(method: str, chunks: np.ndarray, lengths: list[int], decoded: np.ndarray) -> dict[str, str | float]:
    errors = np.abs(decoded - chunks)
    return {
        "method": method,
        "tokens per chunk": float(np.mean(lengths)),
        "longest": max(lengths),
        "compression": chunks[0].size / float(np.mean(lengths)),
        "error (root mean square)": float(np.sqrt(np.mean(errors**2))),
        "error (largest)": float(errors.max()),
    }


def measure(folder: str, chunk_size: int) -> list[dict[str, str | float]]:
    train, test = normalised_chunks(folder, chunk_size)
    uniform = UniformActionTokenizer(range(BINS))
    lengths = [test[0].size] * len(test)
    rows = [row(f"{BINS} uniform bins", test, lengths, uniform.decode(uniform.encode(test)))]
    for scale in SCALES:
        for vocabulary in VOCABULARIES:
            fast = FASTActionTokenizer.fit(train, vocabulary, scale)
            tokens = [fast.encode(chunk) for chunk in test]
            decoded = np.stack([fast.decode(ids) for ids in tokens])
            name = f"FAST, scale {scale:g}, {len(fast.token_ids)} tokens"
            rows.append(row(name, test, [len(ids) for ids in tokens], decoded))
    return rows


def table(rows: list[dict[str, str | float]]) -> str:
    """Markdown."""
    cells = [[f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="LeRobot datasets")
    parser.add_argument("--chunk", type=int, default=10, help="steps per chunk")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    results = {}
    for folder in options.folders:
        name = Path(folder).resolve().name
        results[name] = measure(folder, options.chunk)
        print(f"\n{name}, chunks of {options.chunk}\n\n{table(results[name])}")
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
