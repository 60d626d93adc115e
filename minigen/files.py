"""Writing a file so that it is either whole or not there at all.

A checkpoint that is half written is worse than none, because it replaced a good one. So every file
that a run leaves behind goes the same way: write a temporary file *in the same folder* (a rename
across file systems is a copy), force it to the disk, and rename it over the old name, which POSIX
promises to be one indivisible act. Whatever happens before the rename, a full disk or a power cut,
the old file is untouched.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from minigen.errors import UserError

__all__ = ["make_folder", "read_json", "write_bytes", "write_json"]


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path` atomically.

    Raises:
        UserError: one line with the path and the system's reason (no space, no permission, no such
            folder). The file that stood there before is kept.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: str | os.PathLike[str]) -> Any:
    """The value in a JSON file; `UserError` in one line when it is missing or is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"cannot read {path}: it is not JSON ({error})") from error


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder and its parents, and prove that it can be written to.

    Raises:
        UserError: one line that names the folder and the system's reason.
    """
    folder = Path(path)
    probe = folder / f".write-test.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"cannot write to folder {folder}: {error.strerror or error}") from error
    return folder


def _sync_folder(folder: Path) -> None:
    """Force the rename itself to the disk. Windows cannot open a folder, and needs no such call."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
