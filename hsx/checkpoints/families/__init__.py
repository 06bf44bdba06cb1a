"""Families of checkpoint files whose network is diffusers' ``UNet2DModel`` under other names: one file a family.

A new one subclasses ``UNet2DFamily`` (``base.py``) and is listed in ``hsx/builtin.py``; one whose network is another
subclasses ``hsx.backbones.family.Family``.
"""
