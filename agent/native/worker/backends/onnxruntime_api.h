// The part of ONNX Runtime's C interface that the backend uses. The library gives a table of functions that only ever
// grows at its end, so each is named by its place (struct OrtApi in onnxruntime_c_api.h, ONNX Runtime, MIT licence).
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgeflow::ort {

struct Status;
struct Env;
struct Options;
struct Session;
struct Value;
struct MemoryInfo;
struct TypeInfo;
struct Allocator;
struct Shape;  // OrtTensorTypeAndShapeInfo

constexpr uint32_t kApiVersion = 20;  // of the first release whose table holds all of these places
constexpr int kTensor = 1;            // ONNXType
constexpr int kSequential = 0;        // ExecutionMode
constexpr int kErrors = 3;            // OrtLoggingLevel
constexpr int kArena = 1;             // OrtAllocatorType
constexpr int kDefaultMemory = 0;     // OrtMemType

struct ApiBase {
  const void* const* (*get_api)(uint32_t version);
  const char* (*get_version)();
};

// A function of the table: its place and its type.
template <size_t kPlace, typename Function>
struct Entry;
template <size_t kPlace, typename Result, typename... Arguments>
struct Entry<kPlace, Result(Arguments...)> {
  static Result call(const void* const* table, Arguments... arguments) {
    using Pointer = Result (*)(Arguments...);
    return reinterpret_cast<Pointer>(const_cast<void*>(table[kPlace]))(arguments...);
  }
};

using GetErrorMessage = Entry<2, const char*(const Status*)>;
using CreateEnv = Entry<3, Status*(int level, const char* name, Env**)>;
using DisableTelemetryEvents = Entry<6, Status*(const Env*)>;
using CreateSession = Entry<7, Status*(const Env*, const char* path, const Options*, Session**)>;
using Run = Entry<9, Status*(Session*, const void* options, const char* const* inputs, const Value* const* values,
                             size_t count, const char* const* outputs, size_t output_count, Value** results)>;
using CreateSessionOptions = Entry<10, Status*(Options**)>;
using SetExecutionMode = Entry<13, Status*(Options*, int mode)>;
using EnableMemPattern = Entry<16, Status*(Options*)>;
using DisableMemPattern = Entry<17, Status*(Options*)>;
using EnableCpuMemArena = Entry<18, Status*(Options*)>;
using DisableCpuMemArena = Entry<19, Status*(Options*)>;
using SetLogSeverityLevel = Entry<22, Status*(Options*, int level)>;
using SetGraphOptimizationLevel = Entry<23, Status*(Options*, int level)>;
using SetIntraOpNumThreads = Entry<24, Status*(Options*, int threads)>;
using SetInterOpNumThreads = Entry<25, Status*(Options*, int threads)>;
using GetInputCount = Entry<30, Status*(const Session*, size_t*)>;
using GetOutputCount = Entry<31, Status*(const Session*, size_t*)>;
using GetInputTypeInfo = Entry<33, Status*(const Session*, size_t index, TypeInfo**)>;
using GetOutputTypeInfo = Entry<34, Status*(const Session*, size_t index, TypeInfo**)>;
using GetInputName = Entry<36, Status*(const Session*, size_t index, Allocator*, char**)>;
using GetOutputName = Entry<37, Status*(const Session*, size_t index, Allocator*, char**)>;
using CreateTensorWithData = Entry<49, Status*(const MemoryInfo*, void* data, size_t bytes, const int64_t* shape,
                                               size_t rank, int type, Value**)>;
using GetTensorData = Entry<51, Status*(Value*, void**)>;
using CastToTensorInfo = Entry<55, Status*(const TypeInfo*, const Shape**)>;
using GetOnnxType = Entry<56, Status*(const TypeInfo*, int*)>;
using GetElementType = Entry<60, Status*(const Shape*, int*)>;
using GetDimensionsCount = Entry<61, Status*(const Shape*, size_t*)>;
using GetDimensions = Entry<62, Status*(const Shape*, int64_t*, size_t)>;
using GetSymbolicDimensions = Entry<63, Status*(const Shape*, const char**, size_t)>;
using GetTensorShape = Entry<65, Status*(const Value*, Shape**)>;
using CreateCpuMemoryInfo = Entry<69, Status*(int allocator, int type, MemoryInfo**)>;
using GetDefaultAllocator = Entry<78, Status*(Allocator**)>;
using ReleaseStatus = Entry<93, void(Status*)>;
using ReleaseValue = Entry<96, void(Value*)>;
using ReleaseShape = Entry<99, void(Shape*)>;
using AddConfigEntry = Entry<130, Status*(Options*, const char* key, const char* value)>;
using GetConfigEntry = Entry<238, Status*(const Options*, const char* key, char* value, size_t* bytes)>;
using SetDeterministicCompute = Entry<273, Status*(Options*, bool)>;

}  // namespace edgeflow::ort
