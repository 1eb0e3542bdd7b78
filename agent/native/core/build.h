// What this agent was built from and how, given at compile time.
#pragma once

#ifndef EDGEFLOW_BUILD
#error "EDGEFLOW_BUILD is not set: build with CMake, -DEDGEFLOW_BUILD=16 hex digits"
#endif

namespace edgeflow {

inline constexpr const char* kBuild = EDGEFLOW_BUILD;
inline constexpr const char* kVersion = EDGEFLOW_VERSION;
inline constexpr const char* kFlags = EDGEFLOW_FLAGS;

}  // namespace edgeflow
