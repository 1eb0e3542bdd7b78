// The part of MNN's C++ interface that the backend uses (MNN 3.6, include/MNN, Apache-2.0). The library is the one of
// MNN's wheel: it exports these, with the strings of the older ABI of libstdc++, and so this program is compiled with
// _GLIBCXX_USE_CXX11_ABI=0 (mnn.cmake).
//
// A member function is called as a function that takes the object first, which is what the Itanium C++ ABI makes of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "worker/library.h"

namespace edgeflow::mnn {

class Interpreter;
class Session;

constexpr int kCpu = 0;             // MNNForwardType
constexpr int kCpuExtension = 13;   // the CPU with instructions beyond its base: ARMv8.2 arithmetic, AVX2
constexpr int kInfoBackends = 2;    // Interpreter::SessionInfoCode
constexpr int kInfoThreads = 4;
constexpr int kRelease = 1;         // Interpreter::SessionMode: no callbacks
constexpr int kNchw = 1;            // Tensor::DimensionType
constexpr int kTensorflow = 0;

struct BackendConfig {
  int memory = 0;
  int power = 0;
  int precision = 0;
  void* shared_context = nullptr;
};

struct ScheduleConfig {
  std::vector<std::string> kept;
  int type = kCpu;
  int threads = 4;
  struct {
    std::vector<std::string> inputs, outputs;
    int mode = 0;
  } path;
  int backup_type = kCpu;
  BackendConfig* backend = nullptr;
};

// halide_type_t and halide_buffer_t, whose first field a Tensor is.
struct Type {
  int code;  // 0 int, 1 uint, 2 float
  uint8_t bits;
  uint16_t lanes;
};
struct Tensor {
  uint64_t device;
  const void* device_interface;
  uint8_t* host;
  uint64_t flags;
  Type type;
  int32_t dimensions;
  void* dim;
  void* padding;
};
static_assert(sizeof(Type) == 8 && offsetof(Tensor, dimensions) == 40, "as MNN's headers lay it out");

using Tensors = std::map<std::string, Tensor*>;

struct Functions {
  explicit Functions(const Library& library) {
    library.find(version, "_ZN3MNN10getVersionEv");
    library.find(create, "_ZN3MNN11Interpreter14createFromFileEPKc");
    library.find(create_session, "_ZN3MNN11Interpreter13createSessionERKNS_14ScheduleConfigE");
    library.find(set_mode, "_ZN3MNN11Interpreter14setSessionModeENS0_11SessionModeE");
    library.find(inputs, "_ZNK3MNN11Interpreter18getSessionInputAllEPKNS_7SessionE");
    library.find(outputs, "_ZNK3MNN11Interpreter19getSessionOutputAllEPKNS_7SessionE");
    library.find(run, "_ZNK3MNN11Interpreter10runSessionEPNS_7SessionE");
    library.find(info, "_ZN3MNN11Interpreter14getSessionInfoEPKNS_7SessionENS0_15SessionInfoCodeEPv");
    library.find(shape, "_ZNK3MNN6Tensor5shapeEv");
    library.find(layout, "_ZNK3MNN6Tensor16getDimensionTypeEv");
    library.find(host_like, "_ZN3MNN6Tensor26createHostTensorFromDeviceEPKS0_b");
    library.find(copy_in, "_ZN3MNN6Tensor18copyFromHostTensorEPKS0_");
    library.find(copy_out, "_ZNK3MNN6Tensor16copyToHostTensorEPS0_");
  }

  const char* (*version)() = nullptr;
  Interpreter* (*create)(const char* path) = nullptr;
  Session* (*create_session)(Interpreter*, const ScheduleConfig&) = nullptr;
  void (*set_mode)(Interpreter*, int) = nullptr;
  const Tensors& (*inputs)(const Interpreter*, const Session*) = nullptr;
  const Tensors& (*outputs)(const Interpreter*, const Session*) = nullptr;
  int (*run)(const Interpreter*, Session*) = nullptr;
  bool (*info)(Interpreter*, const Session*, int code, void*) = nullptr;
  std::vector<int> (*shape)(const Tensor*) = nullptr;
  int (*layout)(const Tensor*) = nullptr;
  Tensor* (*host_like)(const Tensor*, bool copies) = nullptr;
  bool (*copy_in)(Tensor*, const Tensor* host) = nullptr;
  bool (*copy_out)(const Tensor*, Tensor* host) = nullptr;
};

}  // namespace edgeflow::mnn
