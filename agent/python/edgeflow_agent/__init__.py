"""The edgeflow agent: runs, times and watches models on a device. Standard library only, Python >= 3.8."""
