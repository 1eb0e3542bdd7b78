"""What Python users import, and all that the cli calls. Each function returns a JSON-able document.

Every function raises EdgeflowError with a documented exit code (edgeflow.errors) and never prints.
"""

from __future__ import annotations

from edgeflow.api.agents import (
    agent_build,
    agent_bundle,
    agent_install,
    agent_logs,
    agent_prune,
    agent_start,
    agent_status,
    agent_stop,
    agent_uninstall,
    doctor,
    toolchain_doctor,
    toolchain_install,
    toolchain_list,
)
from edgeflow.api.devices import (
    check_devices,
    device_facts,
    lab_authorize,
    lab_down,
    lab_power_cut,
    lab_reboot,
    lab_status,
    lab_up,
    list_devices,
    scan_devices,
)
from edgeflow.api.measuring import (
    convert,
    deploy,
    init_recipe,
    run,
    sweep,
    sweep_plan,
    worker,
    zoo_list,
    zoo_path,
    zoo_pull,
)
from edgeflow.api.results import (
    compare,
    export_parquet,
    export_results,
    list_results,
    report,
    result_history,
    show_result,
    show_sweep,
)
from edgeflow.deploy.request import DeployRequest
from edgeflow.sweep.request import SweepRequest

__all__ = [
    "DeployRequest",
    "SweepRequest",
    "agent_build",
    "agent_bundle",
    "agent_install",
    "agent_logs",
    "agent_prune",
    "agent_start",
    "agent_status",
    "agent_stop",
    "agent_uninstall",
    "check_devices",
    "compare",
    "convert",
    "deploy",
    "device_facts",
    "doctor",
    "export_parquet",
    "export_results",
    "init_recipe",
    "lab_authorize",
    "lab_down",
    "lab_power_cut",
    "lab_reboot",
    "lab_status",
    "lab_up",
    "list_devices",
    "list_results",
    "report",
    "result_history",
    "run",
    "scan_devices",
    "show_result",
    "show_sweep",
    "sweep",
    "sweep_plan",
    "toolchain_doctor",
    "toolchain_install",
    "toolchain_list",
    "worker",
    "zoo_list",
    "zoo_path",
    "zoo_pull",
]
