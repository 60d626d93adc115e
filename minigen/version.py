"""The installed version, read from the package's metadata: `pyproject.toml` is its only source."""

from __future__ import annotations

from importlib import metadata

__all__ = ["version"]


def version() -> str:
    """Such as `"0.1.0"`; `"unknown"` when minigen is run from a folder without being installed."""
    try:
        return metadata.version("minigen")
    except metadata.PackageNotFoundError:
        return "unknown"
