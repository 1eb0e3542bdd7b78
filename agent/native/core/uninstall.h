// Takes everything of edgeflow off the device again.
#pragma once

#include <string>

#include "common/json.h"

namespace edgeflow {

// Ends the daemons of every build, removes the unit and the work folder's content.
// {"removed": bool, "service": bool, "left": [names]}: a work folder in which other things lie is not removed itself.
// Throws Fault busy while a job runs, unless `force`.
Json uninstall(const std::string& work, bool force);

}  // namespace edgeflow
