"""The one exception that means "the input is at fault, not the program".

Whatever a user can get wrong (a file, a name, a number) ends in a `UserError` whose message is a
single line that says three things: what was looked at, what came, and what is accepted::

    batch_size must be an integer > 0, got 0

The command line prints that line without a traceback and exits with status 2.  Anything else that
escapes is a bug in minigen and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in the user's input, told in one line.

    The message is folded onto one line here, because parts of it (file names, the text of another
    library's exception) may carry line breaks of their own.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def unknown_name(argument: str, given: object, known: Iterable[str], also: str = "") -> UserError:
    """Return (not raise) the error for a `given` name that is none of the `known` ones.

    `also` names what else would have been accepted, such as ``"a path"``.  The nearest known name,
    if one is near, is offered::

        >>> unknown_name("split", "trian", ["train", "val", "test"])
        UserError("split must be one of train, val, test, got 'trian' (did you mean 'train'?)")
    """
    import difflib  # not loaded by those who make no mistake

    names = list(known)
    near = difflib.get_close_matches(str(given), names, n=1)
    return UserError(
        f"{argument} must be one of {', '.join(names)}"
        + (f", or {also}" if also else "")
        + f", got {given!r}"
        + (f" (did you mean {near[0]!r}?)" if near else "")
    )
