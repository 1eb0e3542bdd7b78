"""Products of matrices."""

from __future__ import annotations

from edgeflow_converters.paddle.read import Operation
from edgeflow_converters.sources.paddle.builder import Builder, Mirror


def matmul(builder: Builder, operation: Operation) -> None:
    """matmul_v2, and matmul of Paddle 1.x, which may also scale."""
    sides = [_side(builder, operation, slot, letter) for slot, letter in (("X", "x"), ("Y", "y"))]
    made = builder.node("MatMul", *sides)
    alpha = float(operation.attributes.get("alpha", 1.0))
    if alpha != 1.0:
        made = builder.node("Mul", made, builder.constant(alpha, dtype="float32"))
    builder.write(operation, "Out", made)


def product(builder: Builder, operation: Operation) -> None:
    """bmm."""
    inputs = [builder.read(operation, slot) for slot in ("X", "Y")]
    builder.write(operation, "Out", builder.node("MatMul", *inputs))


def mul(builder: Builder, operation: Operation) -> None:
    """The axes of each tensor are joined to two; the ones of the result are those that are left."""
    rows = int(operation.attributes.get("x_num_col_dims", 1))
    if int(operation.attributes.get("y_num_col_dims", 1)) != 1 or builder.rank(operation, "Y") != 2:
        raise builder.declined(operation, "its second tensor is no matrix")
    source, weights = builder.read(operation, "X"), builder.read(operation, "Y")
    if rows != builder.rank(operation, "X") - 1:
        if rows != 1:
            raise builder.declined(operation, "it joins axes of the first tensor on both sides")
        source = builder.node("Flatten", source, axis=1)
    builder.write(operation, "Out", builder.node("MatMul", source, weights))


def _side(builder: Builder, operation: Operation, slot: str, letter: str) -> str:
    attributes, name = operation.attributes, builder.read(operation, slot)
    if not (attributes.get(f"trans_{letter}") or attributes.get(f"transpose_{slot}")):
        return name
    rank = builder.rank(operation, slot)
    if rank < 2:
        raise builder.declined(operation, "it transposes a vector")
    return builder.node("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])


MIRRORS: dict[str, Mirror] = {"matmul": matmul, "matmul_v2": matmul, "bmm": product, "mul": mul}
