"""Errors are part of the interface: one line with what was expected, what was got, and what to do."""


class HsxError(Exception):
    """Anything a user can cause.  The command line prints its one line and exits with code 2, without a traceback."""
