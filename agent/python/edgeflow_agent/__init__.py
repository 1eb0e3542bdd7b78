"""The edgeflow agent: runs, times and watches models on a device. Standard library only, Python >= 3.8."""

__version__ = "0.1.0"
