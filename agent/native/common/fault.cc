#include "common/fault.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "common/text.h"

namespace edgeflow {
namespace {

constexpr std::array<std::string_view, 20> kCodes = {
    "bad_frame",    "bad_request",  "unknown_method", "not_attached",    "busy",
    "no_job",       "no_file",      "file_corrupt",   "backend_missing", "unsupported_accelerator",
    "load_failed",  "bad_input",    "run_failed",     "worker_crashed",  "timeout",
    "out_of_memory", "cancelled",   "device_full",    "internal",
    "unsupported_setting",
};

std::string text_of(const Json& value) { return value.is_string() ? value.as_string() : std::string(); }

}  // namespace

Json Fault::to_meta() const {
  // A path within it may hold bytes that are not UTF-8.
  return Json::Object{{"code", code}, {"message", valid_utf8(message)}, {"phase", valid_utf8(phase)}, {"detail", detail}};
}

Fault Fault::from_meta(const Json& error) {
  const std::string code = text_of(error["code"]);
  if (std::find(kCodes.begin(), kCodes.end(), code) == kCodes.end()) {
    return Fault("internal", "an ERROR frame without a known code: " + error.excerpt(200));
  }
  const Json& detail = error["detail"];
  return Fault(code, text_of(error["message"]), text_of(error["phase"]), detail.is_object() ? detail : Json::Object());
}

Fault storage_fault(int error_number, const std::string& what) {
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  return Fault(full ? "device_full" : "internal", what + ": " + std::strerror(error_number));
}

}  // namespace edgeflow
