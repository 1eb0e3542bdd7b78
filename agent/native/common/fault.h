// The one exception that becomes an ERROR frame.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "common/json.h"

namespace edgeflow {

// A failure with an error code of the protocol (agent/PROTOCOL.md). `phase` is the worker's phase.
class Fault : public std::exception {
 public:
  Fault(std::string code, std::string message, std::string phase = "", Json detail = Json::Object())
      : code(std::move(code)), message(std::move(message)), phase(std::move(phase)), detail(std::move(detail)) {}

  const char* what() const noexcept override { return message.c_str(); }

  // The `error` object of an ERROR frame.
  Json to_meta() const;
  // The fault that such an object describes; `internal` where it describes none.
  static Fault from_meta(const Json& error);

  std::string code;
  std::string message;
  std::string phase;
  Json detail;
};

// The fault of a failed write: device_full when the disk or the quota is full, else internal.
Fault storage_fault(int error_number, const std::string& what);

}  // namespace edgeflow
