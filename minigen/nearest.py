"""What is said when a name is not here: one line with the nearest name that is.

Those who come from PyTorch will ask for names that minigen does not have, or has elsewhere::

    >>> mg.cros_entropy
    AttributeError: mg has no 'cros_entropy'; the nearest name is mg.cross_entropy
    >>> mg.Linear
    AttributeError: mg has no 'Linear'; the nearest name is mg.nn.Linear
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def missing(owner: str, name: str, places: Mapping[str, Iterable[str]]) -> AttributeError:
    """The error (returned, not raised) for the attribute ``name`` that ``owner`` does not have.

    Args:
        owner: what was asked, such as ``mg``.
        name: for what.
        places: where names are (``"mg.nn."``), and which; on a tie the earlier place wins.
    """
    if name.startswith("_"):  # asked by Python and its tools, and not by people
        return AttributeError(f"{owner} has no {name!r}")
    import difflib  # not loaded by those who ask for what is there

    best, likeness = "", -1.0
    compare = difflib.SequenceMatcher(None, "", name.lower())
    for place, names in places.items():
        for candidate in sorted(names):
            compare.set_seq1(candidate.lower())
            found = compare.ratio() + 0.1 * (candidate[:1].isupper() == name[:1].isupper())
            if found > likeness:
                best, likeness = place + candidate, found
    return AttributeError(f"{owner} has no {name!r}; the nearest name is {best}")


def public(names: Iterable[str]) -> list[str]:
    """Those that do not begin with an underscore."""
    return [name for name in names if not name.startswith("_")]
