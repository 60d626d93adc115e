"""Files of data sets: the user's own folder, the cache, the internet; looked for in that order.

The user's folder is `data_dir` (or, where that is not given, the folder `MINIGEN_DATA`), itself or
a subfolder of it.  From the internet: several mirrors, a checksum, a progress bar.

The cache folder is `MINIGEN_CACHE`, or the one the operating system keeps for such things
(`pooch.os_cache`).  A file is put there only after its checksum was found right, in one rename, so
what lies in the cache is whole even if a download was interrupted or two of them ran at once.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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


def own_folders(data_dir: Path | None, subfolder: str) -> tuple[Path, ...]:
    """The user's folder of data and its subfolder; () where there is none.

    Raises UserError for a folder that does not exist.
    """
    origin = "data_dir"
    if data_dir is None and (named := os.environ.get("MINIGEN_DATA")):
        origin, data_dir = "MINIGEN_DATA", Path(named)
    if data_dir is None:
        return ()
    folder = data_dir.expanduser()
    if not folder.is_dir():
        raise UserError(f"{origin} must be an existing folder, got '{folder}'")
    return (folder, folder / subfolder)


def md5_of_content(path: Path) -> str:
    """Return the MD5 of a file's bytes, after gunzip if it is gzip.

    Mirrors compress the same data in different ways; what counts is what comes out.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with open_maybe_gzip(path) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def find_or_download(
    dataset: str,
    file: str,
    subfolder: str,
    data_dir: Path | None,
    urls: Sequence[str],
    md5: str,
    digest: Callable[[Path], str] = md5_of_content,
) -> Path:
    """Where `file` lies: in the user's folders, else in the cache, fetched if need be.

    Raises UserError that tells where it was looked for and why no mirror was of use.
    """
    folders = own_folders(data_dir, subfolder)
    for folder in folders:
        if (folder / file).exists():
            return folder / file
    cached = cache_folder() / subfolder / file
    if not cached.exists():
        with report_missing(dataset, file, (*folders, cached.parent)):
            download(urls, cached, md5, digest)
    return cached


@contextmanager
def report_missing(dataset: str, file: str, searched: Sequence[Path]) -> Iterator[None]:
    """Around a download: where it fails, the error tells where else `file` was looked for."""
    try:
        yield
    except UserError as error:
        raise UserError(
            f"{dataset}: {file} is not in {', '.join(map(str, searched))}, and {error}; accepted: "
            f"a folder that holds it, as data_dir or in MINIGEN_DATA"
        ) from None


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
