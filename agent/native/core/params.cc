#include "core/params.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "common/fault.h"
#include "common/text.h"
#include "core/energy.h"
#include "core/registry.h"
#include "worker/bench.h"

namespace edgeflow {
namespace {

constexpr int64_t kMaxThreads = 1024;
constexpr size_t kMaxGovernor = 15;  // CPUFREQ_NAME_LEN (linux/cpufreq.h) less its end
constexpr std::string_view kKinds = "infer bench memory energy";
// Phases of a worker are measured in CPUs of real machines; a longer list is rubbish.
constexpr size_t kMaxAffinity = 8192;

void refuse_unknown(const Json& params, std::initializer_list<const char*> known, const char* method) {
  std::vector<std::string> unknown;
  for (const auto& [name, value] : params.as_object()) {
    if (std::find(known.begin(), known.end(), std::string_view(name)) == known.end()) unknown.push_back(clipped(name, 40));
  }
  if (!unknown.empty()) throw Fault("bad_request", std::string(method) + ": unknown params " + listed(unknown));
}

bool is_kind(const Json& value) {
  return value == Json("infer") || value == Json("bench") || value == Json("memory") || value == Json("energy");
}

// A member of params, or what stands for it.
Json member_or(const Json& params, const char* name, Json otherwise) {
  return params.has(name) ? params[name] : std::move(otherwise);
}

// What a worker must be started with (Setting).
void check_setting(const Json& checked) {
  if (find_backend(checked["backend"]) == nullptr) {
    throw Fault("backend_missing",
                "this agent has no backend " + checked["backend"].excerpt(40) + "; it has: " + backend_names());
  }
  const Json& threads = checked["threads"];
  if (!threads.is_integer() || threads.as_integer() < 1 || threads.as_integer() > kMaxThreads) {
    throw Fault("bad_request", "job.start: threads=" + threads.excerpt(40));
  }
  const Json& affinity = checked["affinity"];
  bool good = affinity.is_null() || (affinity.is_array() && affinity.as_array().size() <= kMaxAffinity);
  if (good && affinity.is_array()) {
    for (const Json& cpu : affinity.as_array()) good = good && cpu.is_count();
  }
  if (!good) throw Fault("bad_request", "job.start: affinity is a list of CPU numbers or null");
}

void check_plan(const std::string& kind, const Json& plan) {
  if (kind == "bench") {
    Plan::from_meta(plan);
  } else if (kind == "energy") {
    EnergyPlan::from_meta(plan);
  } else if (kind == "memory") {
    if (plan.as_object().size() != 1 || !plan["runs"].is_count() || plan["runs"].as_integer() < 1) {
      throw Fault("bad_request", "a memory job's plan is {\"runs\": at least 1}, got " + plan.excerpt());
    }
  } else if (!plan.as_object().empty()) {
    throw Fault("bad_request", "an infer job's plan is empty, got " + plan.excerpt());
  }
}

void check_files(const BackendEntry& backend, const Json& files) {
  std::vector<std::string> roles = backend.roles, given;
  for (const auto& [role, sha256] : files.as_object()) given.push_back(role);
  std::sort(roles.begin(), roles.end());
  if (given != roles) {
    throw Fault("bad_request", std::string(backend.name) + " takes the files " + listed(roles) + ", got " +
                                   clipped(listed(given), 200));
  }
}

void check_governor(const Json& governor) {
  const bool is_name = governor.is_string() && !governor.as_string().empty() && governor.as_string().size() <= kMaxGovernor;
  if (!governor.is_null() && !is_name) {
    throw Fault("bad_request", "job.start: governor is the name of one or null, got " + governor.excerpt(40));
  }
}

void check_limits(const Json& limits) {
  for (const auto& [name, value] : limits.as_object()) {
    if (name != "timeout_ms" && name != "memory_bytes") {
      throw Fault("bad_request", "job.start: unknown limit " + Json(name).excerpt(40));
    }
    if (!value.is_null() && (!value.is_count() || value.as_integer() == 0)) {
      throw Fault("bad_request", "job.start: limit " + name + "=" + value.excerpt(40));
    }
  }
}

}  // namespace

Json checked_start(const Json& params) {
  refuse_unknown(params, {"kind", "backend", "files", "options", "threads", "affinity", "accelerator", "limits", "plan", "site",
                 "governor"}, "job.start");
  const Json empty = Json::Object();
  Json checked = Json::Object{{"kind", params["kind"]},
                              {"backend", params["backend"]},
                              {"files", member_or(params, "files", empty)},
                              {"options", member_or(params, "options", empty)},
                              {"threads", member_or(params, "threads", 1)},
                              {"affinity", params["affinity"]},
                              {"accelerator", member_or(params, "accelerator", "cpu")},
                              {"limits", member_or(params, "limits", empty)},
                              {"plan", member_or(params, "plan", empty)},
                              {"site", params["site"]},
                              {"governor", params["governor"]}};
  const Json& told = checked;
  if (!is_kind(told["kind"])) {
    throw Fault("bad_request", "unknown job kind " + told["kind"].excerpt(40) + "; known: " + std::string(kKinds));
  }
  check_setting(told);
  const Json& accelerator = told["accelerator"];
  if (std::none_of(std::begin(kAccelerators), std::end(kAccelerators),
                   [&](const char* known) { return accelerator == Json(known); })) {
    throw Fault("unsupported_accelerator", "no accelerator " + accelerator.excerpt(40) + " here; this agent has: cpu");
  }
  for (const char* name : {"files", "options", "limits", "plan"}) {
    if (!told[name].is_object()) throw Fault("bad_request", std::string("job.start: ") + name + " is not an object");
  }
  check_files(*find_backend(told["backend"]), told["files"]);
  check_limits(told["limits"]);
  check_governor(told["governor"]);
  check_plan(told["kind"].as_string(), told["plan"]);
  return checked;
}

Json checked_prepare(const Json& params) {
  refuse_unknown(params, {"backend", "threads", "affinity", "site"}, "job.prepare");
  Json checked = Json::Object{{"backend", params["backend"]},
                              {"threads", member_or(params, "threads", 1)},
                              {"affinity", params["affinity"]},
                              {"site", params["site"]}};
  check_setting(checked);
  return checked;
}

}  // namespace edgeflow
