// ONNX Runtime on the CPU. File: `model` (.onnx).
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "common/fault.h"
#include "worker/backend.h"
#include "worker/backends/onnxruntime_api.h"
#include "worker/library.h"
#include "worker/shape.h"

namespace edgeflow {
namespace {

constexpr const char* kSpinning = "session.intra_op.allow_spinning";

// ONNXTensorElementDataType -> ours; empty where no tensor of the protocol has it.
constexpr std::array<std::string_view, 14> kDtypes = {
    "", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "", "bool", "float16", "float64", "uint32", "uint64"};

struct Level {
  std::string_view name;
  int value;
};
constexpr Level kLevels[] = {{"disable", 0}, {"basic", 1}, {"extended", 2}, {"layout", 3}, {"all", 99}};
constexpr std::string_view kFlags[] = {"enable_cpu_mem_arena", "enable_mem_pattern", "enable_mem_reuse",
                                       "use_deterministic_compute"};

// Graph operators that compute in int8, as a NodeProto holds them: op_type is field 4, a string: tag, length, name.
constexpr std::string_view kInt8Ops[] = {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger",
                                         "DequantizeLinear", "QGemm", "DynamicQuantizeLinear"};

struct Value {
  std::string name;
  int type = 0;
  std::vector<int64_t> shape;          // -1: any
  std::vector<std::string> symbols;  // names of the free axes, empty for the others

  std::string text() const {
    std::string out = std::string(kDtypes[static_cast<size_t>(type)]) + "[";
    for (size_t i = 0; i < shape.size(); ++i) {
      const std::string free = symbols[i].empty() ? "None" : "'" + symbols[i] + "'";
      out.append(i == 0 ? "" : ", ").append(shape[i] < 0 ? free : std::to_string(shape[i]));
    }
    return out + "]";
  }

  bool takes(const Tensor& tensor) const {
    if (tensor.dtype != kDtypes[static_cast<size_t>(type)] || tensor.shape.size() != shape.size()) return false;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] >= 0 && shape[i] != tensor.shape[i]) return false;
    }
    return true;
  }
};

// "int8" where the graph holds quantized operators, else "fp32". Half-precision graphs are "fp32" too: the CPU provider
// casts them to float around its kernels (onnxruntime/core/optimizer/insert_cast_transformer.cc).
std::string compute_dtype(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) throw Fault("no_file", path + ": " + std::strerror(errno));
  std::string window(1 << 20, '\0');
  size_t kept = 0;  // an operator may lie across two windows
  while (const size_t count = std::fread(window.data() + kept, 1, window.size() - kept, file.get())) {
    const std::string_view seen(window.data(), kept + count);
    for (const std::string_view op : kInt8Ops) {
      const std::string field = std::string("\x22") + static_cast<char>(op.size()) + std::string(op);
      if (seen.find(field) != seen.npos) return "int8";
    }
    kept = std::min<size_t>(seen.size(), 64);
    std::memmove(window.data(), seen.data() + seen.size() - kept, kept);
  }
  return "fp32";
}

class OnnxRuntimeBackend : public Backend {
 public:
  OnnxRuntimeBackend() : library_("libonnxruntime.so.1") {
    const ort::ApiBase* (*get_base)() = nullptr;
    library_.find(get_base, "OrtGetApiBase");
    const ort::ApiBase* base = get_base();
    version_ = base->get_version();
    table_ = base->get_api(ort::kApiVersion);
    if (!table_) throw Fault("backend_missing", "ONNX Runtime " + version_ + " is older than its worker");
  }

  void load(const std::map<std::string, std::string>& files, const Json& options, int threads) override {
    path_ = files.at("model");
    doing_ = "ONNX Runtime cannot be set up: ";
    ort::Env* env = nullptr;
    call<ort::CreateEnv>(ort::kErrors, "edgeflow", &env);
    call<ort::DisableTelemetryEvents>(env);
    call<ort::CreateSessionOptions>(&options_);
    call<ort::SetLogSeverityLevel>(options_, ort::kErrors);
    call<ort::SetExecutionMode>(options_, ort::kSequential);
    call<ort::SetIntraOpNumThreads>(options_, threads);
    call<ort::SetInterOpNumThreads>(options_, 1);
    told_ = Json::Object{{"enable_cpu_mem_arena", true}, {"enable_mem_pattern", true}, {"enable_mem_reuse", true},
                         {"use_deterministic_compute", false}, {"graph_optimization_level", "all"},
                         {"allow_spinning", true}, {"intra_op_num_threads", threads}, {"inter_op_num_threads", 1}};
    // ONNX Runtime's own default (onnxruntime_session_options_config_keys.h), set so that it reads back.
    call<ort::AddConfigEntry>(options_, kSpinning, "1");
    for (const auto& [name, value] : options.as_object()) apply(name, value);
    doing_ = "ONNX Runtime cannot load the model: ";
    call<ort::CreateSession>(env, path_.c_str(), options_, &session_);
    size_t inputs = 0, outputs = 0;
    call<ort::GetInputCount>(session_, &inputs);
    call<ort::GetOutputCount>(session_, &outputs);
    for (size_t i = 0; i < inputs; ++i) inputs_.push_back(describe<ort::GetInputName, ort::GetInputTypeInfo>(i));
    for (size_t i = 0; i < outputs; ++i) outputs_.push_back(describe<ort::GetOutputName, ort::GetOutputTypeInfo>(i));
    call<ort::CreateCpuMemoryInfo>(ort::kArena, ort::kDefaultMemory, &memory_);
    for (const Value& value : outputs_) output_names_.push_back(value.name.c_str());
    results_.assign(outputs_.size(), nullptr);
    code_ = "run_failed";
    doing_ = "ONNX Runtime: ";
  }

  std::vector<std::string> inputs() const override { return names(inputs_); }
  std::vector<std::string> outputs() const override { return names(outputs_); }

  void bind(const std::vector<Tensor>& tensors) override {
    require_inputs(inputs(), tensors);
    for (ort::Value* value : bound_) ort::ReleaseValue::call(table_, value);
    bound_.clear();
    input_names_.clear();
    data_.clear();
    for (const Tensor& tensor : tensors) {
      const Value& wanted = input(tensor.name);
      if (!wanted.takes(tensor)) {
        throw Fault("bad_input", "input " + tensor.name + " is " + wanted.text() + ", got " + shown(tensor.dtype, tensor.shape));
      }
      // A copy: the frame's bytes may lie unaligned.
      data_.push_back(std::make_unique<std::string>(tensor.data));
      ort::Value* value = nullptr;
      call<ort::CreateTensorWithData>(memory_, data_.back()->data(), data_.back()->size(), tensor.shape.data(),
                                      tensor.shape.size(), wanted.type, &value);
      bound_.push_back(value);
      input_names_.push_back(wanted.name.c_str());
    }
  }

  void run() override {
    for (ort::Value*& result : results_) {
      if (result) ort::ReleaseValue::call(table_, result);
      result = nullptr;  // ONNX Runtime makes another
    }
    call<ort::Run>(session_, nullptr, input_names_.data(), bound_.data(), bound_.size(), output_names_.data(),
                   output_names_.size(), results_.data());
  }

  std::vector<Tensor> read() override {
    std::vector<Tensor> found;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      ort::Shape* shape = nullptr;
      call<ort::GetTensorShape>(results_[i], &shape);
      const Value value = typed(outputs_[i].name, shape);
      ort::ReleaseShape::call(table_, shape);
      void* data = nullptr;
      call<ort::GetTensorData>(results_[i], &data);
      const std::string dtype(kDtypes[static_cast<size_t>(value.type)]);
      found.push_back({value.name, dtype, value.shape, {static_cast<const char*>(data), tensor_bytes(dtype, value.shape)}, {}});
    }
    return found;
  }

  RuntimeInfo info() const override {
    Json options = told_;
    char spinning[8] = "";
    size_t bytes = sizeof spinning;
    call<ort::GetConfigEntry>(options_, kSpinning, spinning, &bytes);
    options["allow_spinning"] = std::string_view(spinning) == "1";
    return {"onnxruntime", version_, compute_dtype(path_), options};
  }

 private:
  // Throws Fault with ONNX Runtime's words.
  template <typename Function, typename... Arguments>
  void call(Arguments... arguments) const {
    ort::Status* status = Function::call(table_, arguments...);
    if (!status) return;
    const std::string words = one_line(ort::GetErrorMessage::call(table_, status));
    ort::ReleaseStatus::call(table_, status);
    throw Fault(code_, doing_ + words);
  }

  void apply(const std::string& name, const Json& value) {
    const bool flag = value.is_bool();
    const bool on = flag && value.as_bool();
    bool known = false;
    if (name == "graph_optimization_level" && value.is_string()) {
      for (const Level& level : kLevels) {
        if (level.name != value.as_string()) continue;
        call<ort::SetGraphOptimizationLevel>(options_, level.value);
        known = true;
      }
    } else if (name == "allow_spinning" && flag) {
      call<ort::AddConfigEntry>(options_, kSpinning, on ? "1" : "0");
      known = true;
    } else if (name == "enable_cpu_mem_arena" && flag) {
      on ? call<ort::EnableCpuMemArena>(options_) : call<ort::DisableCpuMemArena>(options_);
      known = true;
    } else if (name == "enable_mem_pattern" && flag) {
      on ? call<ort::EnableMemPattern>(options_) : call<ort::DisableMemPattern>(options_);
      known = true;
    } else if (name == "use_deterministic_compute" && flag) {
      call<ort::SetDeterministicCompute>(options_, on);
      known = true;
    } else if (name == "enable_mem_reuse" && flag) {
      if (!on) throw Fault("bad_request", "enable_mem_reuse cannot be switched off in ONNX Runtime's C interface: use the Python agent");
      known = true;
    }
    if (!known) {
      std::string levels, flags = "allow_spinning";
      for (const Level& level : kLevels) levels.append(levels.empty() ? "" : " ").append(level.name);
      for (const std::string_view each : kFlags) flags.append(" ").append(each);
      throw Fault("bad_request", "onnxruntime has no option " + name + "=" + value.excerpt(40) +
                                     "; known: graph_optimization_level (" + levels + "), and true or false for " + flags);
    }
    told_[name] = value;
  }

  template <typename NameOf, typename TypeOf>
  Value describe(size_t index) {
    ort::Allocator* allocator = nullptr;
    char* name = nullptr;  // a few names for the life of the process
    ort::TypeInfo* type = nullptr;
    int kind = 0;
    call<ort::GetDefaultAllocator>(&allocator);
    call<NameOf>(session_, index, allocator, &name);
    call<TypeOf>(session_, index, &type);
    call<ort::GetOnnxType>(type, &kind);
    const ort::Shape* shape = nullptr;
    if (kind == ort::kTensor) call<ort::CastToTensorInfo>(type, &shape);
    if (!shape) throw Fault("load_failed", std::string(name) + " is no tensor; only tensors are served");
    return typed(name, shape);
  }

  Value typed(const std::string& name, const ort::Shape* shape) const {
    Value value{name, 0, {}, {}};
    size_t rank = 0;
    call<ort::GetElementType>(shape, &value.type);
    call<ort::GetDimensionsCount>(shape, &rank);
    value.shape.resize(rank);
    std::vector<const char*> symbols(rank, "");
    call<ort::GetDimensions>(shape, value.shape.data(), rank);
    call<ort::GetSymbolicDimensions>(shape, symbols.data(), rank);
    value.symbols.assign(symbols.begin(), symbols.end());
    const auto type = static_cast<size_t>(value.type);
    if (type >= kDtypes.size() || kDtypes[type].empty()) {
      throw Fault("load_failed", name + " holds elements of type " + std::to_string(type) + ", which are not served");
    }
    return value;
  }

  const Value& input(const std::string& name) const {
    for (const Value& value : inputs_) {
      if (value.name == name) return value;
    }
    throw Fault("bad_input", "the model has no input " + name);
  }

  static std::vector<std::string> names(const std::vector<Value>& values) {
    std::vector<std::string> found;
    for (const Value& value : values) found.push_back(value.name);
    return found;
  }

  Library library_;
  std::string version_;
  const void* const* table_ = nullptr;
  const char* code_ = "load_failed";  // of the fault that an error becomes
  std::string doing_;
  std::string path_;
  Json told_;
  ort::Options* options_ = nullptr;
  ort::Session* session_ = nullptr;
  ort::MemoryInfo* memory_ = nullptr;
  std::vector<Value> inputs_, outputs_;
  std::vector<const char*> input_names_, output_names_;
  std::vector<std::unique_ptr<std::string>> data_;
  std::vector<ort::Value*> bound_, results_;
};

}  // namespace

std::unique_ptr<Backend> create_backend() { return std::make_unique<OnnxRuntimeBackend>(); }

}  // namespace edgeflow
