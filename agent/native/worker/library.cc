#include "worker/library.h"

#include <dlfcn.h>

#include "common/fault.h"

namespace edgeflow {

Library::Library(const char* name) : name_(name), handle_(::dlopen(name, RTLD_LAZY | RTLD_LOCAL)) {
  if (!handle_) throw Fault("backend_missing", name_ + " cannot be loaded: " + ::dlerror());
}

void* Library::symbol(const char* name) const {
  void* found = ::dlsym(handle_, name);
  if (!found) throw Fault("backend_missing", name_ + " has no " + name + ": it is of another version than its worker");
  return found;
}

}  // namespace edgeflow
