"""A Keras model (.keras, .h5, .hdf5) as ONNX: a file for each family of layers.

importer.py     what a file is, and the two calls of Keras: to read it, and to run it
translation.py  the ONNX graph in the making, as the families in ops/ see it

Keras itself, in an environment of its own, reads the file, whichever of its versions wrote it; what the
layers compute is written here. Inputs and outputs keep their names, and their channels where Keras has them:
last.
"""
