// The daemon as a systemd user unit, so that it comes back after a reboot (systemd.service(5)).
#pragma once

#include <string>

#include "common/json.h"

namespace edgeflow {

// Starts the daemon by a unit that also starts it after a reboot:
// {"service": unit name, "started": bool, "reason": "", "lingering": bool}; where the system has no systemd for
// users, {"service": null, "started": false, "reason": why, "lingering": null} and nothing is changed.
// Throws Fault (busy: a daemon that was started by hand runs a job; internal: systemd refused the unit).
Json install_service(const std::string& work);
// Stops and removes the unit of this work folder; false where there is none. Throws Fault.
bool remove_service(const std::string& work);

}  // namespace edgeflow
