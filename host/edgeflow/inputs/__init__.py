"""Turning files into the tensors a model expects, and outputs into answers."""
