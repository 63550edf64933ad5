"""tiktoken's encodings: which model has which, and whether its file lies in tiktoken's cache.

Loading an encoding that is not in the cache makes tiktoken download it, without asking and without a time limit. So
the cache is looked at first. A file whose hash is wrong counts as absent: tiktoken would replace it.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from tiktoken.model import encoding_name_for_model

DEFAULT = "o200k_base"
"""Encoding of models that tiktoken does not know: newer ones have had it since 2024."""

_ALIKE = {"o200k_harmony": "o200k_base", "p50k_edit": "p50k_base", "gpt2": "r50k_base"}
"""Encodings that differ from another in special tokens only, which are no matter in counting text."""

_FOLDER = "https://openaipublic.blob.core.windows.net/encodings/"
HASHES: Mapping[str, str] = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "p50k_base": "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
    "r50k_base": "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
}
"""SHA-256 of each encoding's file, as tiktoken has it."""


@lru_cache(maxsize=1024)
def encoding_name(model: str) -> str:
    """Return the name of the encoding of *model*; fine-tuned models have that of their base."""
    for name in (model, model.removeprefix("ft:").partition(":")[0]):
        try:
            found = encoding_name_for_model(name)
        except KeyError:
            continue
        return _ALIKE.get(found, found)
    return DEFAULT


def cache_file(encoding: str) -> Path | None:
    """Return where tiktoken's cache has the file of *encoding*, or None where the cache is off."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR")
    if folder is None:
        folder = os.environ.get("DATA_GYM_CACHE_DIR")
    if folder is None:
        folder = str(Path(tempfile.gettempdir()) / "data-gym-cache")
    if not folder:
        return None
    # The name is the one that tiktoken gives it; nothing is secured by it.
    return Path(folder) / hashlib.sha1(f"{_FOLDER}{encoding}.tiktoken".encode(), usedforsecurity=False).hexdigest()


def is_cached(encoding: str) -> bool:
    """Return whether *encoding* can be loaded without a download."""
    file = cache_file(encoding)
    if file is None or encoding not in HASHES:
        return False
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == HASHES[encoding]
    except OSError:
        return False
