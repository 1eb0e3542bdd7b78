// The commands that keep the work folder: each prints one JSON document, an error as {"error": {..}}.
#pragma once

#include <string>
#include <vector>

namespace edgeflow {

// unpack, prune, service, uninstall.
bool is_maintenance(const std::string& command);
// Runs one of them and gives its exit code: 0, 1 for an error, 2 for wrong options.
int maintain(const std::string& command, const std::string& work, const std::vector<std::string>& options);

}  // namespace edgeflow
