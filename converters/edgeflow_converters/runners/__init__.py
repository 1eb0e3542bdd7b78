"""Processes of our own that load what may crash: runtimes, simplifiers, the reference. See process.py."""
