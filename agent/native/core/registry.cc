#include "core/registry.h"

namespace edgeflow {

const std::vector<BackendEntry>& registry() {
  static const std::vector<BackendEntry> entries = {
      {"mnn", {"model"}},        {"ncnn", {"bin", "param"}}, {"null", {}},      {"onnxruntime", {"model"}},
      {"paddlelite", {"model"}}, {"snpe", {"model"}},        {"tflite", {"model"}},
  };
  return entries;
}

const BackendEntry* find_backend(const Json& name) {
  for (const BackendEntry& entry : registry()) {
    if (name.is_string() && name.as_string() == entry.name) return &entry;
  }
  return nullptr;
}

std::string backend_names() {
  std::string names;
  for (const BackendEntry& entry : registry()) names.append(names.empty() ? "" : " ").append(entry.name);
  return names;
}

Json available_backends(const std::vector<Site>& sites) {
  Json found = Json::Object();
  for (const BackendEntry& entry : registry()) {
    const std::string name = entry.name;
    if (name == "null") found[name] = Json::Object{{"available", true}, {"version", "1"}};
    else found[name] = Json::Object{{"available", false}, {"reason", "no worker of " + name + " was brought to this device yet"}};
    for (const Site& site : sites) {
      if (site.runtime != name || name == "null") continue;
      found[name] = Json::Object{{"available", true}, {"version", site.version}, {"site", site.key}};
      break;
    }
  }
  return found;
}

}  // namespace edgeflow
