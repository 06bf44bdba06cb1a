"""What is this file?  A checkpoint of whatever kind becomes a Backbone.

``load.py``       where all begins: a file, a folder, a Hub id or a URL
``options.py``    what a user may say of it, and what is assumed otherwise
``families/``     one file a family: the names of its tensors mapped onto ``UNet2DModel``
``files/``        a file of weights: what its bytes are, what lies in it, which of its weights are taken
``folders/``      a diffusers folder: its U-Net, its weights, its configs field by field, its scheduler
``cards.yaml``    the published models: files, URL, licence, architecture, settings (read by ``cards.py``)
``fetch.py``      the Hub and URLs
``export.py``     a Backbone as a folder, for ``hsx convert``
"""
