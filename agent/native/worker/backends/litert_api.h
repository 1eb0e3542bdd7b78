// The part of LiteRT's C interface that the backend uses (litert/c/*.h, LiteRT 2.3, Apache-2.0). Functions that give a
// status give 0 for success.
#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/library.h"

namespace edgeflow::litert {

struct Environment;
struct Model;
struct Options;
struct OpaqueOptions;
struct CompiledModel;
struct Signature;
struct Subgraph;
struct ModelTensor;
struct Operation;
struct Requirements;
struct Buffer;

constexpr int kCpu = 1;                  // LiteRtHwAccelerators
constexpr int kLockRead = 0;             // LiteRtTensorBufferLockMode
constexpr int kLockWrite = 1;
constexpr int kDequantize = 6;           // LiteRtOpCode, as tflite::BuiltinOperator
constexpr int kNotQuantized = 0;         // LiteRtQuantizationTypeId
constexpr size_t kMaxRank = 8;

// LiteRtRankedTensorType.
struct Type {
  int element = 0;                       // LiteRtElementType
  uint32_t rank_and_flags = 0;           // bit fields: 7 bits of rank, whether there are strides
  int32_t dimensions[kMaxRank] = {};     // below 0: any
  uint32_t strides[kMaxRank] = {};
};
static_assert(sizeof(Type) == 72, "LiteRT's own headers assert this size");

struct Functions {
  explicit Functions(const Library& library) {
    library.find(create_environment, "LiteRtCreateEnvironment");
    library.find(create_model, "LiteRtCreateModelFromFile");
    library.find(create_options, "LiteRtCreateOptions");
    library.find(set_accelerators, "LiteRtSetOptionsHardwareAccelerators");
    library.find(create_opaque, "LiteRtCreateOpaqueOptions");
    library.find(add_opaque, "LiteRtAddOpaqueOptions");
    library.find(compile, "LiteRtCreateCompiledModel");
    library.find(get_signature, "LiteRtGetModelSignature");
    library.find(get_subgraph, "LiteRtGetSignatureSubgraph");
    library.find(count_inputs, "LiteRtGetNumSignatureInputs");
    library.find(count_outputs, "LiteRtGetNumSignatureOutputs");
    library.find(signature_input, "LiteRtGetSignatureInputTensorByIndex");
    library.find(signature_output, "LiteRtGetSignatureOutputTensorByIndex");
    library.find(subgraph_input, "LiteRtGetSubgraphInput");
    library.find(subgraph_output, "LiteRtGetSubgraphOutput");
    library.find(count_operations, "LiteRtGetNumSubgraphOps");
    library.find(get_operation, "LiteRtGetSubgraphOp");
    library.find(count_operands, "LiteRtGetNumOpInputs");
    library.find(get_code, "LiteRtGetOpCode");
    library.find(get_operand, "LiteRtGetOpInput");
    library.find(get_quantization, "LiteRtGetQuantizationTypeId");
    library.find(get_name, "LiteRtGetTensorName");
    library.find(get_type, "LiteRtGetRankedTensorType");
    library.find(input_requirements, "LiteRtGetCompiledModelInputBufferRequirements");
    library.find(output_requirements, "LiteRtGetCompiledModelOutputBufferRequirements");
    library.find(create_buffer, "LiteRtCreateManagedTensorBufferFromRequirements");
    library.find(packed_bytes, "LiteRtGetTensorBufferPackedSize");
    library.find(lock, "LiteRtLockTensorBuffer");
    library.find(unlock, "LiteRtUnlockTensorBuffer");
    library.find(run, "LiteRtRunCompiledModel");
  }

  int (*create_environment)(int option_count, const void* options, Environment**) = nullptr;
  int (*create_model)(Environment*, const char* path, Model**) = nullptr;
  int (*create_options)(Options**) = nullptr;
  int (*set_accelerators)(Options*, int) = nullptr;
  int (*create_opaque)(const char* identifier, void* payload, void (*free_payload)(void*), OpaqueOptions**) = nullptr;
  int (*add_opaque)(Options*, OpaqueOptions*) = nullptr;
  int (*compile)(Environment*, Model*, Options*, CompiledModel**) = nullptr;
  int (*get_signature)(Model*, size_t index, Signature**) = nullptr;
  int (*get_subgraph)(Signature*, Subgraph**) = nullptr;
  int (*count_inputs)(Signature*, size_t*) = nullptr;
  int (*count_outputs)(Signature*, size_t*) = nullptr;
  int (*signature_input)(Signature*, size_t index, ModelTensor**) = nullptr;
  int (*signature_output)(Signature*, size_t index, ModelTensor**) = nullptr;
  int (*subgraph_input)(Subgraph*, size_t index, ModelTensor**) = nullptr;
  int (*subgraph_output)(Subgraph*, size_t index, ModelTensor**) = nullptr;
  int (*count_operations)(Subgraph*, size_t*) = nullptr;
  int (*get_operation)(Subgraph*, size_t index, Operation**) = nullptr;
  int (*count_operands)(Operation*, size_t*) = nullptr;
  int (*get_code)(Operation*, int* code) = nullptr;
  int (*get_operand)(Operation*, size_t index, ModelTensor**) = nullptr;
  int (*get_quantization)(ModelTensor*, int*) = nullptr;
  int (*get_name)(ModelTensor*, const char**) = nullptr;
  int (*get_type)(ModelTensor*, Type*) = nullptr;
  int (*input_requirements)(CompiledModel*, size_t signature, size_t index, Requirements**) = nullptr;
  int (*output_requirements)(CompiledModel*, size_t signature, size_t index, Requirements**) = nullptr;
  int (*create_buffer)(Environment*, const Type*, Requirements*, Buffer**) = nullptr;
  int (*packed_bytes)(Buffer*, size_t*) = nullptr;
  int (*lock)(Buffer*, void**, int mode) = nullptr;
  int (*unlock)(Buffer*) = nullptr;
  int (*run)(CompiledModel*, size_t signature, size_t inputs, Buffer**, size_t outputs, Buffer**) = nullptr;
};

}  // namespace edgeflow::litert
