"""`metrics.jsonl`: one JSON object per line, appended as the run goes.

    {"step": 0, "split": "oracle", "metric": "nelbo_nats", "label": "independent pixels", …}
    {"step": 50, "split": "train", "nelbo_nats": 241.3, "kl_nats": 4.1}
    {"step": 500, "split": "val", "nelbo_nats": 150.2, "kl_nats": 18.7}

A `train` line is the mean over the steps since the line before; a `val` line is a measurement.
There is no clock in it: two runs with one seed give the same file, so `diff` compares them, and a
run that was stopped and resumed leaves the log of a run that never was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from minigen.errors import UserError
from minigen.files import write_bytes

__all__ = ["MetricsLog"]


class MetricsLog:
    """An append-only log of numbers; each line reaches the operating system when it is written."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file: BinaryIO | None = None

    def append(self, step: int, split: str, numbers: Mapping[str, Any]) -> None:
        """Write one line; `UserError` in one line when the disk is full or the folder is gone."""
        line = json.dumps({"step": step, "split": split, **numbers})
        try:
            if self._file is None:
                self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115
            self._file.write(line.encode() + b"\n")
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from error

    def sync(self) -> None:
        """Force all lines to the disk: a checkpoint must never be ahead of its log."""
        if self._file is None:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the file; a later `append` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def records(self) -> list[dict[str, Any]]:
        """All lines as dicts. A last line that a power cut left unfinished is dropped."""
        return list(self._read())

    def rewind(self, step: int) -> None:
        """Drop the lines after `step`, written by a run that was killed past its checkpoint."""
        self.close()
        kept = [record for record in self._read() if record["step"] <= step]
        write_bytes(self.path, "".join(json.dumps(record) + "\n" for record in kept).encode())

    def _read(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror or error}") from error
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                record["step"], record["split"]
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines):
                    return
                raise UserError(f"{self.path}, line {number} is no line of a log") from error
            yield record
