"""Calling Paddle Lite's opt, and looking at what it wrote.

opt says success and writes nothing, ends by SIGABRT or SIGSEGV, and stores what memory happened to hold in
the file's header. So it runs in a process of its own, and only a new file that is read here counts.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgeflow_agent.backends import paddlelite_model
from edgeflow_agent.faults import Fault
from edgeflow_converters import foreign
from edgeflow_converters.errors import ConverterFailed, ConverterTimeout, UnsupportedModel

_UNINITIALISED = slice(11, 18)  # of the header: the end of opt's version
_UNSUPPORTED = re.compile(r"These unsupported ops are: '([^']*)'?")
_OWN = {
    "x86": {paddlelite_model.HOST, paddlelite_model.ANY, paddlelite_model.X86},
    "arm": {paddlelite_model.HOST, paddlelite_model.ANY, paddlelite_model.ARM},
}
"""Place -> targets of the kernels that run there."""


def opt(
    python: Path,
    program: Path,
    parameters: Path,
    product: Path,
    place: str,
    weights: str,
    timeout_s: float,
    work: Path,
) -> None:
    """`product` (.nb) for `place`, "x86" or "arm", with `weights` "fp32" or "int8"; scratch goes into `work`.

    Raises UnsupportedModel for operators that Paddle Lite lacks there, ConverterFailed unless the file is
    there, can be read, and is for that place.
    """
    product.unlink(missing_ok=True)
    spec = {
        "model": str(program),
        "parameters": str(parameters),
        "prefix": str(product.with_suffix("")),
        "place": place,
        "weights": weights,
    }
    what = f"Paddle Lite's opt, for {place},"
    try:
        foreign.call("paddle_opt", python, spec, what=what, cwd=work, timeout_s=timeout_s)
    except ConverterTimeout:
        raise
    except ConverterFailed as error:
        lacking = _UNSUPPORTED.search(error.log)
        if lacking is None:
            raise
        raise UnsupportedModel(
            f"Paddle Lite has no {lacking[1].strip(' ,')} for {place}",
            hint="change the model's code there, or use another runtime",
            log=error.log,
        ) from error
    if not product.is_file():
        raise ConverterFailed(f"{what} said success and wrote no model")
    content = bytearray(product.read_bytes())
    content[_UNINITIALISED] = bytes(_UNINITIALISED.stop - _UNINITIALISED.start)
    product.write_bytes(content)
    require_place(product, place)


def require_place(product: Path, place: str) -> None:
    """Raises ConverterFailed unless `product` is a whole .nb whose every kernel runs on `place`."""
    try:
        kernels = paddlelite_model.read_model(str(product)).kernels
    except Fault as fault:
        raise ConverterFailed(f"{product.name}: {fault.message}") from fault
    others = sorted({kernel.operation for kernel in kernels if kernel.target not in _OWN[place]})
    if others:
        raise ConverterFailed(
            f"{product.name} is not for {place}: {others[0]} was optimised for another target"
        )
