"""A Paddle program (.pdmodel and .pdiparams) as ONNX: read without PaddlePaddle, a file for each family.

The ONNX model keeps the names of the program's inputs and outputs. An operator that is not known here is
declined by name; what was written is compared with PaddlePaddle itself (judge.py) before it counts.
"""
