"""ONNX to the program of PaddlePaddle 2.x, which Paddle Lite's opt reads: one family of operators a file.

program.py  what is in the two files, and their bytes (wire.py)
graph.py    the ONNX graph as the families in ops/ see it: constants known, every shape fixed
writer.py   from a prepared model to the two files
"""
