// Keeps the work folder under a quota: what was used longest ago goes first, nothing that is in use.
#pragma once

#include <cstdint>
#include <string>

#include "common/json.h"
#include "core/folder.h"

namespace edgeflow {

// Removes the least recently used until `max_bytes` hold: {"removed": [paths], "freed_bytes", "kept_bytes", "busy"}.
// Nothing is removed while anybody's job runs, and `busy` then tells whose; nothing that was used within the hour.
Json prune(const WorkFolder& work, const std::string& own_build, int64_t max_bytes);

}  // namespace edgeflow
