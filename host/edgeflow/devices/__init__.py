"""Devices: what they are, how they are reached, what they told about themselves."""
