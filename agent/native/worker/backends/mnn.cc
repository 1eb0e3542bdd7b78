// MNN on the CPU. File: `model` (.mnn).
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include "common/fault.h"
#include "worker/backend.h"
#include "worker/backends/mnn_api.h"
#include "worker/library.h"
#include "worker/shape.h"

namespace edgeflow {
namespace {

constexpr std::string_view kModes[] = {"normal", "high", "low"};

int mode_of(const std::string& name, const Json& value) {
  for (int i = 0; i < 3; ++i) {
    if (value.is_string() && value.as_string() == kModes[i]) return i;
  }
  throw Fault("bad_request", "mnn's option " + name + " is one of normal high low, not " + value.excerpt(40));
}

std::string dtype_of(const std::string& name, const mnn::Type& type) {
  const char* kinds[] = {"int", "uint", "float"};
  const std::string dtype = type.code >= 0 && type.code < 3 ? kinds[type.code] + std::to_string(type.bits) : "";
  if (type.lanes != 1 || item_bytes(dtype) == 0) throw Fault("load_failed", name + " holds elements that are not served");
  return dtype;
}

// A .mnn file is a FlatBuffer: tables that begin with the way to the list of where their fields lie.
class ModelFile {
 public:
  explicit ModelFile(const std::string& path) : file_(std::fopen(path.c_str(), "re"), std::fclose) {
    if (!file_) throw Fault("no_file", path + ": " + std::strerror(errno));
  }

  // Whether a tensor is quantized: Net.extraTensorDescribe[].quantInfo (MNN schema/default/MNN.fbs).
  bool has_scales() {
    constexpr int kExtraTensorDescribe = 1, kQuantInfo = 4;
    const int64_t described = field(target(0), kExtraTensorDescribe);
    if (described == 0) return false;
    const int64_t tensors = target(described);
    for (int64_t i = 1; i <= number<uint32_t>(tensors); ++i) {
      if (field(target(tensors + 4 * i), kQuantInfo) != 0) return true;
    }
    return false;
  }

 private:
  template <typename T>
  T number(int64_t at) {
    T found{};
    if (::fseeko(file_.get(), static_cast<off_t>(at), SEEK_SET) != 0 || std::fread(&found, sizeof found, 1, file_.get()) != 1) {
      throw Fault("load_failed", "the MNN model is cut");
    }
    return found;
  }

  int64_t target(int64_t at) { return at + number<uint32_t>(at); }

  // Where the table's field lies; 0 where it has none.
  int64_t field(int64_t table, int index) {
    const int64_t layout = table - number<int32_t>(table), slot = 4 + 2 * index;
    const uint16_t offset = slot < number<uint16_t>(layout) ? number<uint16_t>(layout + slot) : uint16_t{0};
    return offset == 0 ? 0 : table + offset;
  }

  std::unique_ptr<FILE, int (*)(FILE*)> file_;
};

// An input or an output of the session, and the dense memory that its values pass through.
struct Value {
  std::string name;
  mnn::Tensor* tensor = nullptr;
  mnn::Tensor* host = nullptr;
  std::string dtype;
  std::vector<int64_t> shape;
};

class MnnBackend : public Backend {
 public:
  MnnBackend() : library_("libmnncengine.so"), api_(library_) {}

  void load(const std::map<std::string, std::string>& files, const Json& options, int threads) override {
    for (const auto& [name, value] : options.as_object()) {
      if (name == "precision") backend_.precision = mode_of(name, value);
      else if (name == "memory") backend_.memory = mode_of(name, value);
      else if (name == "power") backend_.power = mode_of(name, value);
      else throw Fault("bad_request", "mnn has no option " + name + "; known: memory power precision");
    }
    const std::string& path = files.at("model");
    net_ = api_.create(path.c_str());
    if (!net_) throw Fault("load_failed", "MNN cannot load the model");
    has_scales_ = ModelFile(path).has_scales();
    mnn::ScheduleConfig config;
    config.threads = threads;
    config.backend = &backend_;
    session_ = api_.create_session(net_, config);
    if (!session_) throw Fault("load_failed", "MNN cannot make a session of the model");
    for (const auto& [name, tensor] : api_.inputs(net_, session_)) inputs_.push_back(described(name, tensor));
    for (const auto& [name, tensor] : api_.outputs(net_, session_)) outputs_.push_back({name, tensor, nullptr, "", {}});
    if (outputs_.empty()) throw Fault("load_failed", "the MNN model has no output");
  }

  // MNN keeps its inputs and outputs by name: their order is that of the names.
  std::vector<std::string> inputs() const override { return names(inputs_); }
  std::vector<std::string> outputs() const override { return names(outputs_); }

  void bind(const std::vector<Tensor>& tensors) override {
    require_inputs(inputs(), tensors);
    for (const Tensor& tensor : tensors) {
      const Value& wanted = *std::find_if(inputs_.begin(), inputs_.end(), [&](const Value& each) { return each.name == tensor.name; });
      if (tensor.dtype != wanted.dtype || tensor.shape != wanted.shape) {
        throw Fault("bad_input", "input " + tensor.name + " is " + shown(wanted.dtype, wanted.shape) + ", got " +
                                     shown(tensor.dtype, tensor.shape));
      }
      std::memcpy(wanted.host->host, tensor.data.data(), tensor.data.size());
      if (!api_.copy_in(wanted.tensor, wanted.host)) throw Fault("bad_input", "MNN does not take input " + tensor.name);
    }
  }

  void run() override {
    if (const int code = api_.run(net_, session_)) throw Fault("run_failed", "MNN cannot run the model (code " + std::to_string(code) + ")");
  }

  std::vector<Tensor> read() override {
    std::vector<Tensor> found;
    for (Value& value : outputs_) {
      if (!value.host) value = described(value.name, value.tensor);  // some shapes are known after a run only
      if (!api_.copy_out(value.tensor, value.host)) throw Fault("run_failed", "MNN does not give output " + value.name);
      const auto* data = reinterpret_cast<const char*>(value.host->host);
      found.push_back({value.name, value.dtype, value.shape, {data, tensor_bytes(value.dtype, value.shape)}, {}});
    }
    return found;
  }

  RuntimeInfo info() const override {
    int threads = 0;
    Json told = Json::Object{{"memory", kModes[backend_.memory]}, {"power", kModes[backend_.power]}, {"precision", kModes[backend_.precision]}};
    told["num_threads"] = api_.info(net_, session_, mnn::kInfoThreads, &threads) ? Json(threads) : Json();
    return {"mnn", api_.version(), compute_dtype(), told};
  }

 private:
  Value described(const std::string& name, mnn::Tensor* tensor) const {
    Value value{name, tensor, api_.host_like(tensor, false), dtype_of(name, tensor->type), {}};
    if (!value.host) throw Fault("out_of_memory", "MNN has no memory for " + name);
    const std::vector<int> shape = api_.shape(tensor);
    value.shape.assign(shape.begin(), shape.end());
    return value;
  }

  // A model with scales for its tensors computes in integers; 8-bit weights alone are widened when it is loaded. Low
  // precision is fp16 arithmetic where the CPU has it (ARMv8.2), which MNN serves by an extended backend.
  std::string compute_dtype() const {
    if (has_scales_) return "int8";
#if defined(__aarch64__) || defined(__arm__)
    int backends[4] = {};
    const bool told = api_.info(net_, session_, mnn::kInfoBackends, backends);
    if (told && kModes[backend_.precision] == "low" && backends[0] == mnn::kCpuExtension) return "fp16";
#endif
    return "fp32";
  }

  static std::vector<std::string> names(const std::vector<Value>& values) {
    std::vector<std::string> found;
    for (const Value& value : values) found.push_back(value.name);
    return found;
  }

  Library library_;
  mnn::Functions api_;
  mnn::BackendConfig backend_;
  mnn::Interpreter* net_ = nullptr;
  mnn::Session* session_ = nullptr;
  std::vector<Value> inputs_, outputs_;
  bool has_scales_ = false;
};

}  // namespace

std::unique_ptr<Backend> create_backend() { return std::make_unique<MnnBackend>(); }

}  // namespace edgeflow
