"""Paddle Lite's opt: a Paddle program to a .nb for one place. Runs in the environment of paddlelite.

Spec: model, parameters, prefix, place (x86 or arm), weights ("fp32" or "int8"). Answer: version.
"""

import json
import sys


def main():
    with open(sys.argv[1]) as file:
        spec = json.load(file)
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
    with open(sys.argv[2], "w") as file:
        json.dump({"ok": {"version": opt.version()}}, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
