// The runtimes that this agent knows. A new one is a line in registry.cc and a file in worker/backends.
#pragma once

#include <string>
#include <vector>

#include "common/json.h"
#include "core/sites.h"

namespace edgeflow {

// A runtime's name in the protocol, and the roles of the files that its jobs need.
struct BackendEntry {
  const char* name;
  std::vector<std::string> roles;
};

// Every backend by name.
const std::vector<BackendEntry>& registry();
// The entry of that name; null where there is none.
const BackendEntry* find_backend(const Json& name);
// Their names with blanks between, for messages.
std::string backend_names();

// What this core runs things on.
inline constexpr const char* kAccelerators[] = {"cpu"};

// HELLO's `backends`, of the whole sites here, the newest first.
Json available_backends(const std::vector<Site>& sites);

}  // namespace edgeflow
