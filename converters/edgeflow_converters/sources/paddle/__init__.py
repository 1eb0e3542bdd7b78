"""A Paddle program (.pdmodel and .pdiparams) as ONNX: read without PaddlePaddle, a file for each family.

The ONNX model keeps the names of the program's inputs and outputs. An operator that is not known here is
declined by name. Nothing here compares what was written with PaddlePaddle: who imports has to.
"""
