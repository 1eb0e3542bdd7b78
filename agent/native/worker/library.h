// The vendor's library of a dynamic worker, loaded when the worker starts.
#pragma once

#include <string>

namespace edgeflow {

// Stays loaded until the process ends.
class Library {
 public:
  // Throws Fault backend_missing with the loader's words.
  explicit Library(const char* name);

  // A function's address. Throws Fault backend_missing: another version of the library than this was made for.
  void* symbol(const char* name) const;

  // Points `function` at the library's function of that name.
  template <typename Function>
  void find(Function*& function, const char* name) const {
    function = reinterpret_cast<Function*>(symbol(name));
  }

 private:
  std::string name_;
  void* handle_;
};

}  // namespace edgeflow
