"""Files from the internet: several mirrors, a checksum, a cache, a progress bar.

The cache folder is `MINIGEN_CACHE`, or the one the operating system keeps for such things
(`pooch.os_cache`).  A file is put there only after its checksum was found right, in one rename, so
what lies in the cache is whole even if a download was interrupted or two of them ran at once.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from minigen.data.idx import open_maybe_gzip
from minigen.errors import UserError

TIMEOUT = 10.0
"""Seconds that a mirror may stay silent before the next one is asked."""


def cache_folder() -> Path:
    """Return the folder of downloaded data; it need not exist yet."""
    if folder := os.environ.get("MINIGEN_CACHE"):
        return Path(folder).expanduser()
    import pooch

    return Path(pooch.os_cache("minigen"))


def md5_of_content(path: Path) -> str:
    """Return the MD5 of a file's bytes, after gunzip if it is gzip.

    Mirrors compress the same data in different ways; what counts is what comes out.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with open_maybe_gzip(path) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def download(
    urls: Sequence[str],
    target: Path,
    md5: str,
    digest: Callable[[Path], str] = md5_of_content,
) -> None:
    """Put the first of `urls` whose content has the checksum `md5` at `target`.

    `digest` computes the checksum of a file: of its content, or of what counts in an archive.

    Raises UserError that tells, for each address, why it was of no use.  A bar on stderr shows
    progress where stderr is a terminal.
    """
    import pooch
    from tqdm import tqdm

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-")
    except OSError as error:
        raise UserError(
            f"cache folder {target.parent} must be a writable folder: {error.strerror} "
            f"(set MINIGEN_CACHE to another one)"
        ) from None
    failures = []
    with scratch as folder:
        part = Path(folder) / target.name
        for url in urls:
            # disable=None: no bar where stderr is not a terminal.
            with tqdm(
                desc=target.name, total=0, unit="B", unit_scale=True, leave=False, disable=None
            ) as bar:
                fetch = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT)
                try:
                    fetch(url, str(part), None)
                    found = digest(part)
                # A failing transfer raises OSError (requests' exceptions are), a bad address
                # ValueError, and a page that is no gzip file UserError, itself a ValueError.
                except (OSError, ValueError) as error:
                    failures.append(f"{url} ({_reason(error)})")
                    continue
            if found == md5:
                os.replace(part, target)
                return
            failures.append(f"{url} (MD5 of the content is {found}, expected {md5})")
    raise UserError(f"no mirror gave {target.name}: {'; '.join(failures)}")


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    if isinstance(error, UserError):
        return "damaged gzip file"
    return getattr(error, "strerror", None) or type(error).__name__
