"""Writes the Keras models of tests/integration/converters/test_keras_source.py, with what Keras answers.

Run by the environment of Keras: `python -I keras_models.py FOLDER`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: str) -> None:
    """Writes all.keras, in which each case is an output, named after it: a layer after a convolution, so that
    both orders of axes are had, with random weights, so that no axis looks like another; and smaller ones."""
    os.environ["KERAS_BACKEND"], os.environ["KERAS_HOME"] = "jax", folder
    import keras
    from keras import layers as L  # noqa: N812

    keras.utils.set_random_seed(3)
    x = keras.Input((9, 12, 3), name="image")
    image = L.Conv2D(4, 3, padding="same", name="stem")(x)
    other = L.Conv2D(4, 3, padding="same", activation="tanh")(x)
    row = L.GlobalAveragePooling2D()(image)
    shared = L.Conv2D(4, 1)
    inner = keras.Sequential([keras.Input((9, 12, 4)), L.Conv2D(5, 2, strides=2), L.ReLU()])
    functions = (
        "relu",
        "relu6",
        "sigmoid",
        "tanh",
        "elu",
        "selu",
        "softplus",
        "softsign",
        "exponential",
        "swish",
        "gelu",
        "leaky_relu",
        "hard_sigmoid",
        "hard_swish",
        "softmax",
        "linear",
    )
    cases: dict[str, Any] = {
        "conv_same": L.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(image),
        "conv_valid": L.Conv2D(6, (3, 2), strides=(1, 2), activation="relu")(image),
        "conv_holes": L.Conv2D(6, 3, dilation_rate=2, padding="same")(image),
        "conv_groups": L.Conv2D(6, 3, groups=2)(image),
        "depthwise": L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)(image),
        "separable": L.SeparableConv2D(6, 3, strides=2, padding="same", depth_multiplier=2, activation="elu")(
            image
        ),
        "transposed": L.Conv2DTranspose(6, 3, strides=2, padding="same")(image),
        "transposed_valid": L.Conv2DTranspose(6, 2, strides=3)(image),
        "batch_norm": L.BatchNormalization(epsilon=0.01)(image),
        "batch_norm_bare": L.BatchNormalization(scale=False, center=False)(row),
        "batch_norm_rows": L.BatchNormalization()(L.Reshape((12, 36))(image)),
        "rescaling": L.Rescaling(0.5, offset=-1.0)(x),
        "relu_bounded": L.ReLU(max_value=0.5)(image),
        "relu_sloped": L.ReLU(negative_slope=0.1, max_value=0.5)(image),
        "leaky": L.LeakyReLU(negative_slope=0.3)(image),
        "elu_layer": L.ELU(alpha=0.5)(image),
        "prelu": L.PReLU(shared_axes=[1, 2], alpha_initializer="random_normal")(image),
        "prelu_own": L.PReLU(alpha_initializer="random_normal")(image),
        "softmax_rows": L.Softmax(axis=2)(image),
        "softmax_row": L.Softmax()(row),
        "max_pool": L.MaxPooling2D(3, strides=2, padding="same")(image),
        "average_pool": L.AveragePooling2D((2, 3), padding="same")(image),
        "average_valid": L.AveragePooling2D(2)(image),
        "global_max": L.GlobalMaxPooling2D()(image),
        "global_kept": L.GlobalAveragePooling2D(keepdims=True)(image),
        "flatten": L.Flatten()(image),
        "reshape": L.Reshape((-1, 6))(image),
        "permute": L.Permute((3, 1, 2))(image),
        "dense": L.Dense(5, activation="softmax")(row),
        "dense_last": L.Dense(5, use_bias=False)(image),
        "dense_rows": L.Dense(5)(L.Reshape((12, 36))(image)),
        "add": L.Add()([image, other, image]),
        "subtract": L.Subtract()([image, other]),
        "multiply": L.Multiply()([image, L.Reshape((1, 1, 4))(row)]),
        "maximum": L.Maximum()([image, other]),
        "minimum": L.Minimum()([image, other]),
        "average": L.Average()([image, other]),
        "concatenate": L.Concatenate()([image, x]),
        "concatenate_high": L.Concatenate(axis=1)([image, other]),
        "concatenate_rows": L.Concatenate()([row, row]),
        "upsampling": L.UpSampling2D((2, 3))(image),
        "upsampling_linear": L.UpSampling2D(2, interpolation="bilinear")(image),
        "padded": L.ZeroPadding2D(((1, 2), (3, 0)))(image),
        "cropped": L.Cropping2D(((1, 2), (3, 0)))(image),
        "dropout": L.Dropout(0.5)(L.SpatialDropout2D(0.5)(L.GaussianNoise(1.0)(image))),
        "others": L.ActivityRegularization(1e-3)(L.Identity()(L.GaussianDropout(0.5)(image))),
        "shared": L.Add()([shared(image), shared(other)]),
        "nested": inner(image),
        **{f"act_{each}": L.Activation(each)(image) for each in functions},
    }
    model = keras.Model(x, [L.Identity(name=f"{name}_out")(value) for name, value in cases.items()])
    rng = np.random.default_rng(4)
    for weight in model.weights:
        drawn = rng.standard_normal(weight.shape) * 0.3
        weight.assign(np.abs(drawn) + 0.5 if "variance" in weight.name else drawn)
    image = rng.standard_normal((1, 9, 12, 3)).astype("f4")
    np.savez(folder + "/all.npz", image, *map(np.asarray, model.predict_on_batch(image)))
    model.save(folder + "/all.keras")
    Path(folder, "names.json").write_text(json.dumps([f"{name}_out" for name in cases]))

    a, b = keras.Input((None, None, 2), name="left"), keras.Input((4,), name="right")
    both = L.Concatenate()([L.GlobalAveragePooling2D()(L.Conv2D(3, 3, strides=2, padding="same")(a)), b])
    keras.Model([a, b], [L.Dense(2, name="one")(both), b]).save(folder + "/two.h5")
    small = keras.Sequential([keras.Input((5,)), L.Dense(3)])
    small.save_weights(folder + "/only.weights.h5")
    keras.Sequential([keras.Input((5,)), L.Lambda(lambda v: v * 2)]).save(folder + "/code.keras")
    keras.Sequential([keras.Input((5, 3)), L.GRU(3)]).save(folder + "/gru.h5")
    keras.Sequential([keras.Input((5,)), L.Dense(3, activation="mish", name="odd")]).save(
        folder + "/odd.keras"
    )
    first = L.Conv2D(3, 1, data_format="channels_first", name="first")
    keras.Sequential([keras.Input((2, 5, 5)), first]).save(folder + "/first.keras")


if __name__ == "__main__":
    main(sys.argv[1])
