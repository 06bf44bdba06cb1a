"""Errors are part of the interface: one line with what was expected, what was got, and what to do."""


class HsxError(Exception):
    """Anything a user can cause.  The command line prints its one line and exits with code 2, without a traceback."""


class BackboneError(HsxError):
    """A checkpoint that cannot be used, and why."""


class ImageError(HsxError):
    """A picture that cannot be read.  It fails only the pairs it belongs to."""


def first_line(error: Exception) -> str:
    """The first line of an exception's message, short."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
