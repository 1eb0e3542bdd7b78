// Qualcomm's Neural Processing SDK on the CPU, the Adreno GPU or the Hexagon DSP. File: `model` (.dlc).
//
// The library is the user's own, of an SDK that they have; it lies in the site, with what it loads onto the DSP.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "common/fault.h"
#include "worker/backend.h"
#include "worker/backends/snpe_api.h"
#include "worker/library.h"
#include "worker/shape.h"

namespace edgeflow {
namespace {

constexpr std::string_view kRuntimes[] = {"cpu", "gpu", "dsp"};  // by snpe::kCpu, kGpu, kDsp
// Snpe_PerformanceProfile_t -> the names that Qualcomm's own tools take.
constexpr std::string_view kProfiles[] = {"balanced", "high_performance", "power_saver", "system_settings",
                                          "sustained_high_performance", "burst", "low_power_saver", "high_power_saver",
                                          "low_balanced", "extreme_power_saver"};
// Where systems keep what the DSP loads, beside the site. The DSP's loader parts folders by semicolons.
constexpr const char* kSystemDsp = "/vendor/dsp/cdsp;/vendor/lib/rfsa/adsp;/system/lib/rfsa/adsp;/dsp";

template <size_t count>
int place_of(const std::string_view (&names)[count], const char* option, const Json& value) {
  std::string known;
  for (size_t i = 0; i < count; ++i) {
    if (value.is_string() && value.as_string() == names[i]) return static_cast<int>(i);
    known.append(i ? " " : "").append(names[i]);
  }
  throw Fault("bad_request", "snpe's option " + std::string(option) + " is one of " + known + ", not " + value.excerpt(40));
}

// The DSP's own loader takes its libraries from here; it must be told before SNPE starts.
const char* with_dsp_path(const char* library) {
  const char* site = std::getenv("LD_LIBRARY_PATH");  // which is the site, where no loader was brought
  if (!std::getenv("ADSP_LIBRARY_PATH") && site && *site) {
    ::setenv("ADSP_LIBRARY_PATH", (std::string(site) + ";" + kSystemDsp).c_str(), 1);
  }
  return library;
}

// An input or an output of the network: floats in memory of ours, which SNPE reads and writes.
struct Value {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> data;
};

class SnpeBackend : public Backend {
 public:
  SnpeBackend() : library_(with_dsp_path("libSNPE.so")), api_(library_) {}

  void load(const std::map<std::string, std::string>& files, const Json& options, int threads) override {
    static_cast<void>(threads);  // SNPE has no such setting
    for (const auto& [name, value] : options.as_object()) {
      if (name == "runtime") runtime_ = place_of(kRuntimes, "runtime", value);
      else if (name == "perf_profile") profile_ = place_of(kProfiles, "perf_profile", value);
      else throw Fault("bad_request", "snpe has no option " + name + "; known: perf_profile runtime");
    }
    if (!api_.is_available(runtime_)) {
      throw Fault("unsupported_accelerator", "SNPE has no runtime " + std::string(kRuntimes[runtime_]) + " on this device");
    }
    snpe::Container* container = need(api_.open_container(files.at("model").c_str()), "SNPE cannot open the model");
    snpe::Builder* builder = need(api_.create_builder(container), "SNPE cannot take the model");
    // This runtime alone: with another one behind it, SNPE would compute there what it cannot here.
    snpe::RuntimeList* runtimes = need(api_.create_runtimes(), "SNPE takes no runtimes");
    check(api_.add_runtime(runtimes, runtime_), "load_failed", "SNPE does not take the runtime");
    check(api_.set_runtimes(builder, runtimes), "load_failed", "SNPE does not take the runtime");
    check(api_.set_profile(builder, profile_), "load_failed", "SNPE does not take the perf_profile");
    check(api_.set_user_buffers(builder, 1), "load_failed", "SNPE takes no buffers of ours");
    network_ = need(api_.build(builder), "SNPE cannot prepare the model for " + std::string(kRuntimes[runtime_]));
    inputs_ = values(api_.input_names(network_), input_map_);
    outputs_ = values(api_.output_names(network_), output_map_);
    if (outputs_.empty()) throw Fault("load_failed", "the SNPE model has no output");
  }

  std::vector<std::string> inputs() const override { return names(inputs_); }
  std::vector<std::string> outputs() const override { return names(outputs_); }

  void bind(const std::vector<Tensor>& tensors) override {
    require_inputs(inputs(), tensors);
    for (const Tensor& tensor : tensors) {
      Value& wanted = *std::find_if(inputs_.begin(), inputs_.end(), [&](const Value& each) { return each.name == tensor.name; });
      if (tensor.dtype != "float32" || tensor.shape != wanted.shape) {
        throw Fault("bad_input", "input " + tensor.name + " is " + shown("float32", wanted.shape) + ", got " +
                                     shown(tensor.dtype, tensor.shape));
      }
      std::memcpy(wanted.data.data(), tensor.data.data(), tensor.data.size());
    }
  }

  void run() override { check(api_.execute(network_, input_map_, output_map_), "run_failed", "SNPE cannot run the model"); }

  std::vector<Tensor> read() override {
    std::vector<Tensor> found;
    for (const Value& value : outputs_) {
      const auto* data = reinterpret_cast<const char*>(value.data.data());
      found.push_back({value.name, "float32", value.shape, {data, value.data.size() * sizeof(float)}, {}});
    }
    return found;
  }

  RuntimeInfo info() const override {
    snpe::Version* version = api_.library_version();
    const char* text = version ? api_.version_text(version) : nullptr;
    // As Qualcomm's reference names the runtimes: what the GPU keeps is of half precision, the DSP computes in whole numbers.
    constexpr const char* dtypes[] = {"fp32", "fp16", "int8"};
    return {"snpe", text ? text : "", dtypes[runtime_],
            Json::Object{{"runtime", kRuntimes[runtime_]}, {"perf_profile", kProfiles[profile_]}, {"num_threads", nullptr}}};
  }

 private:
  [[noreturn]] void fail(const char* code, const std::string& what) const {
    const char* words = api_.last_error();
    throw Fault(code, words && *words ? what + ": " + one_line(words) : what);
  }
  void check(int status, const char* code, const std::string& what) const {
    if (status != snpe::kSuccess) fail(code, what);
  }
  template <typename Handle>
  Handle* need(Handle* handle, const std::string& what) const {
    if (!handle) fail("load_failed", what);
    return handle;
  }

  // The values of those names, and the map that SNPE finds their memory by.
  std::vector<Value> values(snpe::StringList* list, snpe::BufferMap*& map) {
    std::vector<Value> found(list ? api_.size_of_list(list) : 0);
    map = need(api_.create_map(), "SNPE makes no map of buffers");
    for (size_t i = 0; i < found.size(); ++i) {
      Value& value = found[i];
      value.name = api_.item_of_list(list, i);
      const std::string failed = "SNPE does not describe " + value.name;
      snpe::Attributes* attributes = need(api_.attributes(network_, value.name.c_str()), failed);
      snpe::Shape* shape = need(api_.dimensions(attributes), failed);
      const size_t rank = api_.rank(shape);
      const size_t* axes = api_.axes(shape);
      std::vector<size_t> strides(rank);
      size_t bytes = sizeof(float);
      for (size_t axis = rank; axis-- > 0;) {
        strides[axis] = bytes;
        if (axes[axis] == 0) throw Fault("load_failed", value.name + " has a free axis; fix it when converting");
        bytes *= axes[axis];
      }
      value.shape.assign(axes, axes + rank);
      value.data.resize(bytes / sizeof(float));
      snpe::UserBuffer* buffer =
          need(api_.create_buffer(value.data.data(), bytes, need(api_.create_shape(strides.data(), rank), failed),
                                  need(api_.create_float(), failed)), "SNPE takes no floats for " + value.name);
      check(api_.add_buffer(map, value.name.c_str(), buffer), "load_failed", failed);
    }
    return found;
  }

  static std::vector<std::string> names(const std::vector<Value>& values) {
    std::vector<std::string> found;
    for (const Value& value : values) found.push_back(value.name);
    return found;
  }

  Library library_;
  snpe::Functions api_;
  int runtime_ = snpe::kCpu;
  int profile_ = 0;
  snpe::Network* network_ = nullptr;
  snpe::BufferMap *input_map_ = nullptr, *output_map_ = nullptr;
  std::vector<Value> inputs_, outputs_;  // SNPE holds the addresses of their data
};

}  // namespace

std::unique_ptr<Backend> create_backend() { return std::make_unique<SnpeBackend>(); }

}  // namespace edgeflow
