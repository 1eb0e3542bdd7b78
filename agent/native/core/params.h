// What job.start and job.prepare take: every field checked, by name.
#pragma once

#include "common/json.h"

namespace edgeflow {

// job.start's params with every field there and of its type. Throws Fault naming the field.
Json checked_start(const Json& params);
// job.prepare's params, likewise.
Json checked_prepare(const Json& params);

}  // namespace edgeflow
