"""A diffusers folder: where in it the U-Net lies, which weights are read, and its configs, field by field.

A field of a U-Net's config is understood in ``unet.py``, a scheduler class or a field of one in ``scheduler.py``.
"""
