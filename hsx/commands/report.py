"""``hsx report``: the page of a run, an evaluation or a sweep, or of two runs."""

from __future__ import annotations

from os.path import isdir

from hsx.errors import HsxError, expanded, shown


def report(folder: str, other: str | None = None) -> int:
    """Write report.html, a page with the results of a run, an evaluation or a sweep; or one with those of two runs.

    Args:
        folder: Of a run, an evaluation or a sweep.
        other: Another run with the same pairs: what differs, in a page in the first folder.
    """
    from hsx.report.compared import write_comparison
    from hsx.report.page import write_page
    from hsx.report.rendering import check_page

    paths = [expanded(name, "folder") for name in (folder, other) if name is not None]
    for path in paths:
        if not isdir(path):
            raise HsxError(f"expected a folder of results, found none at {shown(path)}; check the path")
    check_page(paths[0])
    try:
        print(write_page(paths[0]) if other is None else write_comparison(*paths))
    except OSError as error:
        reason = f"could not ({error.strerror or error}); free some space, or check its permissions"
        raise HsxError(f"expected to write in {shown(paths[0])}, {reason}") from None
    return 0
