"""Paddle Lite's opt: a Paddle program to a .nb for one place. Runs in the environment of paddlelite.

Spec: model, parameters, prefix, place (x86 or arm), weights ("fp32" or "int8"). Answer: version.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    spec = json.loads(Path(sys.argv[1]).read_text())
    from paddlelite.lite import Opt

    opt = Opt()
    opt.set_model_file(spec["model"])
    opt.set_param_file(spec["parameters"])
    opt.set_model_type("naive_buffer")
    opt.set_optimize_out(spec["prefix"])
    opt.set_valid_places(spec["place"])
    if spec["weights"] == "int8":
        opt.set_quant_model(True)
        opt.set_quant_type("QUANT_INT8")
    opt.run()
    Path(sys.argv[2]).write_text(json.dumps({"ok": {"version": opt.version()}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
