"""What plugins may supply, and how each is loaded by itself."""

from hsx.plugins.hookspecs import hookimpl

__all__ = ["hookimpl"]
