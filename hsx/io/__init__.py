"""Files and pictures: whole or not at all, colours as sRGB, hashes."""
