"""Which sites of a network carry content and keep style, found without any trained measure: ``probe``."""

from hsx.probing.probing import Probed, probe

__all__ = ["Probed", "probe"]
