"""Vision-language pre-training in miniature: questions about where things are, answered in words of a small grid."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import AutoModelForImageTextToText, AutoProcessor, Trainer, TrainingArguments

from ..data import LeRobotDataset

GRID = 8


def questions(things: Iterable[str]) -> list[str]:
    """Return one question per thing."""
    return [f"where is the {thing.replace('_', ' ')}?" for thing in things]


def answer(point: np.ndarray) -> str:
    """Return a point `(x, y, ...)` in [-1, 1] as column and row of the grid."""
    column, row = np.clip((np.asarray(point)[:2] + 1) / 2 * GRID, 0, GRID - 1).astype(int)
    return f" column {column} row {row}"


def sentences(things: Sequence[str]) -> list[str]:
    """Return all that is ever said, for a tokenizer."""
    return [*questions(things), *(f" column {place} row {place}" for place in range(GRID))]


class SceneQuestions(Dataset):
    """An image with a question and its answer, from a dataset of windows whose `grounding` says where things are.

    Args:
        windows: samples of one camera with `grounding` `(window, grounding_dim)`.
        names: of the grounding's columns, `<thing>_x`, `<thing>_y`, `<thing>_z`.
        things: those asked about, in turn.
    """

    def __init__(self, windows: LeRobotDataset, names: Sequence[str], things: Sequence[str]):
        self.windows, self.things = windows, list(things)
        self._columns = [[names.index(f"{thing}_{axis}") for axis in "xy"] for thing in self.things]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.windows[index]
        number = (index * 7919 + index // len(self.things)) % len(self.things)
        (image,) = (frames[-1] for frames in sample["images"].values())
        point = sample["grounding"][-1][self._columns[number]]
        return {"image": image, "question": questions(self.things)[number], "answer": answer(point)}


class AnswerCollator:
    """Image, question and answer to one sequence; only the answer's tokens count in the loss."""

    def __init__(self, processor: Any):
        self.processor = processor

    def __call__(self, samples: Sequence[dict[str, Any]]) -> Any:
        end, image = self.processor.tokenizer.eos_token, self.processor.image_token
        prompts = [f"{image}{sample['question']}" for sample in samples]
        texts = [f"{prompt}{sample['answer']}{end}" for prompt, sample in zip(prompts, samples, strict=True)]
        images = [[sample["image"]] for sample in samples]
        inputs = self.processor(text=texts, images=images, padding=True, padding_side="right", return_tensors="pt")
        answers = [self.processor.tokenizer(s["answer"] + end, add_special_tokens=False)["input_ids"] for s in samples]
        labels = torch.full_like(inputs["input_ids"], -100)
        for row, (length, ids) in enumerate(zip(inputs["attention_mask"].sum(dim=1).tolist(), answers, strict=True)):
            labels[row, length - len(ids) : length] = inputs["input_ids"][row, length - len(ids) : length]
        inputs["labels"] = labels
        return inputs


def pretrain(backbone: str | Path, questions: SceneQuestions, output: Path, training: TrainingArguments) -> float:
    """Train a vision-language model on the questions and write it to `output`.

    Returns:
        The share of the last hundred questions' answers that are right, word for word.
    """
    model = AutoModelForImageTextToText.from_pretrained(backbone)
    processor = AutoProcessor.from_pretrained(backbone)
    collate = AnswerCollator(processor)
    Trainer(model, training, train_dataset=questions, data_collator=collate).train()
    model.save_pretrained(output)
    processor.save_pretrained(output)
    return accuracy(model.eval(), [questions[index] for index in range(len(questions))[-100:]], collate)


@torch.no_grad()
def accuracy(model: torch.nn.Module, samples: Sequence[dict[str, Any]], collate: AnswerCollator) -> float:
    """Return the share of answers all of whose tokens are the likeliest."""
    inputs = collate(samples).to(model.device)
    labels = inputs.pop("labels")[:, 1:]
    right = (model(**inputs).logits[:, :-1].argmax(dim=-1) == labels) | (labels == -100)
    return right.all(dim=1).float().mean().item()


def things_of(names: Sequence[str]) -> list[str]:
    """Return the things with positions of their own among the grounding's columns."""
    found = dict.fromkeys(re.sub(r"_[xyz]$", "", name) for name in names)
    return [name for name in found if name not in ("target", "goal")]
