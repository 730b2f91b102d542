"""From scores to names of classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_TOP = 5


def most_probable(scores: Any, folder: Path) -> list[dict[str, Any]]:
    """Classes in descending order of softmax probability; names as in the folder's `labels.json`."""
    path = Path(folder) / "labels.json"
    labels = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    weights = np.exp(scores.astype(np.float64) - scores.max())
    probabilities = weights / weights.sum()
    best = np.argsort(-probabilities, kind="stable")[:_TOP]
    return [
        {
            "index": int(i),
            "class": labels[i] if i < len(labels) else str(i),
            "probability": round(float(probabilities[i]), 6),
        }
        for i in best
    ]
