// Paddle Lite on the CPU. File: `model` (.nb, as Paddle Lite's opt writes it for this processor).
//
// Paddle Lite ends the process where it meets an error, after it printed what was wrong; the core collects that.
#include <algorithm>
#include <cstring>
#include <string_view>

#include "common/fault.h"
#include "worker/backend.h"
#include "worker/backends/paddlelite_bridge.h"
#include "worker/backends/paddlelite_model.h"
#include "worker/library.h"
#include "worker/shape.h"

namespace edgeflow {
namespace {

// PrecisionType -> ours; empty where no tensor of the protocol has it.
constexpr std::string_view kDtypes[] = {"", "float32", "int8", "int32", "", "", "bool", "int64", "int16", "uint8", "float64"};
// PowerMode -> its name.
constexpr std::string_view kPowerModes[] = {"LITE_POWER_HIGH", "LITE_POWER_LOW", "LITE_POWER_FULL",
                                            "LITE_POWER_NO_BIND", "LITE_POWER_RAND_HIGH", "LITE_POWER_RAND_LOW"};
constexpr int kNoBind = 3;

std::string dtype_of(const std::string& name, int precision) {
  const auto index = static_cast<size_t>(precision);
  if (precision < 0 || index >= std::size(kDtypes) || kDtypes[index].empty()) {
    throw Fault("load_failed", name + " holds elements of precision " + std::to_string(precision) + ", which are not served");
  }
  return std::string(kDtypes[index]);
}

int power_mode_of(const Json& value) {
  std::string known;
  for (size_t i = 0; i < std::size(kPowerModes); ++i) {
    if (value.is_string() && value.as_string() == kPowerModes[i]) return static_cast<int>(i);
    known.append(i ? " " : "").append(kPowerModes[i]);
  }
  throw Fault("bad_request", "paddlelite's option power_mode is one of " + known + ", not " + value.excerpt(40));
}

struct Input {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;  // -1: any
};

bool fits(const std::vector<int64_t>& wanted, const std::vector<int64_t>& given) {
  return std::equal(wanted.begin(), wanted.end(), given.begin(), given.end(),
                    [](int64_t axis, int64_t size) { return axis < 0 || axis == size; });
}

class PaddleLiteBackend : public Backend {
 public:
  PaddleLiteBackend() : library_("libedgeflow-paddlelite.so") {
    paddlelite::Bridge* (*make)() = nullptr;
    library_.find(make, "edgeflow_paddlelite_bridge");
    lite_ = make();
  }

  void load(const std::map<std::string, std::string>& files, const Json& options, int threads) override {
    int power_mode = kNoBind;
    for (const auto& [name, value] : options.as_object()) {
      if (name == "power_mode") power_mode = power_mode_of(value);
      else throw Fault("bad_request", "paddlelite has no option " + name + "; known: power_mode");
    }
    path_ = files.at("model");
    const paddlelite::Model model = paddlelite::read_model(path_);
    paddlelite::require_target(model);
    compute_dtype_ = paddlelite::compute_dtype(model);
    if (!lite_->load(path_.c_str(), threads, power_mode)) throw Fault("load_failed", "Paddle Lite cannot load the model");
    if (lite_->power_mode() != power_mode) {
      throw Fault("bad_request", "Paddle Lite does not take power_mode " + std::string(kPowerModes[power_mode]) + " on this device");
    }
    for (int i = 0; i < lite_->inputs(); ++i) {
      const std::string name = lite_->input_name(i);
      const auto told = model.inputs.find(name);
      if (told == model.inputs.end()) throw Fault("load_failed", "the file does not tell the shape of input " + name);
      inputs_.push_back({name, dtype_of(name, lite_->input_precision(i)), told->second});
    }
    if (lite_->outputs() == 0) throw Fault("load_failed", "the Paddle Lite model has no output");
  }

  std::vector<std::string> inputs() const override {
    std::vector<std::string> names;
    for (const Input& input : inputs_) names.push_back(input.name);
    return names;
  }
  std::vector<std::string> outputs() const override {
    std::vector<std::string> names;
    for (int i = 0; i < lite_->outputs(); ++i) names.emplace_back(lite_->output_name(i));
    return names;
  }

  void bind(const std::vector<Tensor>& tensors) override {
    require_inputs(inputs(), tensors);
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Input& wanted = inputs_[i];
      const Tensor& tensor = *std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& each) { return each.name == wanted.name; });
      if (tensor.dtype != wanted.dtype || !fits(wanted.shape, tensor.shape)) {
        throw Fault("bad_input", "input " + tensor.name + " is " + shown(wanted.dtype, wanted.shape) + ", got " +
                                     shown(tensor.dtype, tensor.shape));
      }
      void* memory = lite_->resize(static_cast<int>(i), tensor.shape.data(), tensor.shape.size());
      if (!memory) throw Fault("bad_input", "Paddle Lite does not take input " + tensor.name);
      std::memcpy(memory, tensor.data.data(), tensor.data.size());
    }
  }

  void run() override { lite_->run(); }

  std::vector<Tensor> read() override {
    std::vector<Tensor> found;
    for (int i = 0; i < lite_->outputs(); ++i) {
      const std::string name = lite_->output_name(i);
      paddlelite::View view;
      if (!lite_->output(i, view)) throw Fault("run_failed", "Paddle Lite gives an output " + name + " that is not served");
      const std::string dtype = dtype_of(name, view.precision);
      const std::vector<int64_t> shape(view.shape, view.shape + view.axes);
      found.push_back({name, dtype, shape, {static_cast<const char*>(view.data), tensor_bytes(dtype, shape)}, {}});
    }
    return found;
  }

  RuntimeInfo info() const override {
    const int threads = lite_->threads();
    Json told = Json::Object{{"power_mode", kPowerModes[lite_->power_mode()]}};
    told["num_threads"] = threads < 0 ? Json() : Json(threads);
    return {"paddlelite", lite_->version(), compute_dtype_, told};
  }

 private:
  Library library_;
  paddlelite::Bridge* lite_ = nullptr;
  std::string path_, compute_dtype_;
  std::vector<Input> inputs_;
};

}  // namespace

std::unique_ptr<Backend> create_backend() { return std::make_unique<PaddleLiteBackend>(); }

}  // namespace edgeflow
