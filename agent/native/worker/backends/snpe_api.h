// The part of the C interface of Qualcomm's Neural Processing SDK (SNPE 2) that the backend uses, declared after its
// public reference. Nothing of the SDK is here, and nothing of it is compiled in: the library is the user's own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/library.h"

namespace edgeflow::snpe {

struct Container;
struct Builder;
struct Network;
struct RuntimeList;
struct StringList;
struct Version;
struct Attributes;
struct Shape;
struct Encoding;
struct UserBuffer;
struct BufferMap;

constexpr int kSuccess = 0;  // Snpe_ErrorCode_t
constexpr int kCpu = 0;      // Snpe_Runtime_t
constexpr int kGpu = 1;
constexpr int kDsp = 2;

struct Functions {
  explicit Functions(const Library& library) {
    library.find(last_error, "Snpe_ErrorCode_GetLastErrorString");
    library.find(library_version, "Snpe_Util_GetLibraryVersion");
    library.find(version_text, "Snpe_DlVersion_ToString");
    library.find(is_available, "Snpe_Util_IsRuntimeAvailable");
    library.find(open_container, "Snpe_DlContainer_Open");
    library.find(create_builder, "Snpe_SNPEBuilder_Create");
    library.find(create_runtimes, "Snpe_RuntimeList_Create");
    library.find(add_runtime, "Snpe_RuntimeList_Add");
    library.find(set_runtimes, "Snpe_SNPEBuilder_SetRuntimeProcessorOrder");
    library.find(set_profile, "Snpe_SNPEBuilder_SetPerformanceProfile");
    library.find(set_user_buffers, "Snpe_SNPEBuilder_SetUseUserSuppliedBuffers");
    library.find(build, "Snpe_SNPEBuilder_Build");
    library.find(input_names, "Snpe_SNPE_GetInputTensorNames");
    library.find(output_names, "Snpe_SNPE_GetOutputTensorNames");
    library.find(size_of_list, "Snpe_StringList_Size");
    library.find(item_of_list, "Snpe_StringList_At");
    library.find(attributes, "Snpe_SNPE_GetInputOutputBufferAttributes");
    library.find(dimensions, "Snpe_IBufferAttributes_GetDims");
    library.find(create_shape, "Snpe_TensorShape_CreateDimsSize");
    library.find(rank, "Snpe_TensorShape_Rank");
    library.find(axes, "Snpe_TensorShape_GetDimensions");
    library.find(create_float, "Snpe_UserBufferEncodingFloat_Create");
    library.find(create_buffer, "Snpe_Util_CreateUserBuffer");
    library.find(create_map, "Snpe_UserBufferMap_Create");
    library.find(add_buffer, "Snpe_UserBufferMap_Add");
    library.find(execute, "Snpe_SNPE_ExecuteUserBuffers");
  }

  const char* (*last_error)() = nullptr;
  Version* (*library_version)() = nullptr;
  const char* (*version_text)(Version*) = nullptr;
  int (*is_available)(int runtime) = nullptr;
  Container* (*open_container)(const char* path) = nullptr;
  Builder* (*create_builder)(Container*) = nullptr;
  RuntimeList* (*create_runtimes)() = nullptr;
  int (*add_runtime)(RuntimeList*, int runtime) = nullptr;
  int (*set_runtimes)(Builder*, RuntimeList*) = nullptr;
  int (*set_profile)(Builder*, int profile) = nullptr;
  int (*set_user_buffers)(Builder*, int on) = nullptr;
  Network* (*build)(Builder*) = nullptr;
  StringList* (*input_names)(Network*) = nullptr;
  StringList* (*output_names)(Network*) = nullptr;
  size_t (*size_of_list)(StringList*) = nullptr;
  const char* (*item_of_list)(StringList*, size_t index) = nullptr;
  Attributes* (*attributes)(Network*, const char* name) = nullptr;
  Shape* (*dimensions)(Attributes*) = nullptr;
  Shape* (*create_shape)(const size_t* axes, size_t count) = nullptr;
  size_t (*rank)(Shape*) = nullptr;
  const size_t* (*axes)(Shape*) = nullptr;
  Encoding* (*create_float)() = nullptr;
  UserBuffer* (*create_buffer)(void* memory, size_t bytes, Shape* strides, Encoding*) = nullptr;
  BufferMap* (*create_map)() = nullptr;
  int (*add_buffer)(BufferMap*, const char* name, UserBuffer*) = nullptr;
  int (*execute)(Network*, BufferMap* inputs, BufferMap* outputs) = nullptr;
};

}  // namespace edgeflow::snpe
