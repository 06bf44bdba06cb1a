"""Ways in which a checkpoint file is wrapped, named, cut or stored, as rows for tests/unit/test_ways_files.py."""
