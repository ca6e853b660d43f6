"""What must not leave a machine: access tokens, paths, its name."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

TEXTS = (".json", ".md", ".yaml", ".yml", ".txt", ".py", ".jinja", ".jsonl", ".csv")
# Vocabularies hold whatever people write, paths included.
VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "added_tokens.json")
# The end of an address such as https://host/home/x, and of a relative path, is none.
PATH = re.compile(
    r"(?<![\w:/.~-])(/(?:home|root|Users|mnt|tmp|work|workspace|scratch|gpfs|lustre|nfs|var|private|data|media|srv)/"
    r"[\w.@-][^\s\"'`)\]]*)|(?<!\w)([A-Za-z]:\\{1,2}[\w.]+\\[^\s\"']*)"
)
TOKEN = re.compile(r"\b(hf_[A-Za-z0-9]{20,}|api_org_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9-]{20,}|ghp_[A-Za-z0-9]{20,})\b")
NOT_NAMES = ("localhost", "")


def private_details(text: str) -> Iterator[str]:
    """What a text gives away, in words; tokens are named by their first letters only."""
    for match in TOKEN.finditer(text):
        yield f"an access token ({match[0][:5]}...)"
    for match in PATH.finditer(text):
        yield f"a path of a machine ({match[0]})"
    host = socket.gethostname()
    if len(host) > 4 and host not in NOT_NAMES and re.search(rf"(?<![\w-]){re.escape(host)}(?![\w-])", text):
        yield f"this machine's name ({host})"


def private_details_of_files(files: list[Path], folder: Path) -> Iterator[tuple[str, str]]:
    """File name and what it gives away, for the text files among `files`."""
    for file in files:
        if file.suffix in TEXTS and file.name not in VOCABULARIES:
            for detail in dict.fromkeys(private_details(file.read_text(encoding="utf-8", errors="replace"))):
                yield file.relative_to(folder).as_posix(), detail
