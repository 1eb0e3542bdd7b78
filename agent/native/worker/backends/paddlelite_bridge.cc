// Compiled against the headers of the user's release archive, else against paddlelite_api.h and the wheel's library.
#include "worker/backends/paddlelite_bridge.h"

#ifdef EDGEFLOW_PADDLELITE_HEADERS
#include "paddle_api.h"
#else
#include "worker/backends/paddlelite_api.h"
#endif

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#if defined(__x86_64__)
// Intel's OpenMP and MKL, which Paddle Lite computes with on x86; the second is there once a model is loaded.
#include <dlfcn.h>
extern "C" {
__attribute__((weak)) void omp_set_num_threads(int threads);
__attribute__((weak)) int omp_get_max_threads();
}
#endif

namespace edgeflow::paddlelite {
namespace {

namespace lite = ::paddle::lite_api;

class LiteBridge final : public Bridge {
 public:
  bool load(const char* model, int threads, int power_mode) override {
#if defined(__x86_64__)
    config_.set_x86_math_num_threads(threads);
    if (omp_set_num_threads) omp_set_num_threads(threads);
#else
    config_.set_threads(threads);
#endif
    config_.set_power_mode(static_cast<lite::PowerMode>(power_mode));
    config_.set_model_from_file(model);
    predictor_ = lite::CreatePaddlePredictor<lite::MobileConfig>(config_);
    if (!predictor_) return false;
    version_ = predictor_->GetVersion();
    input_names_ = predictor_->GetInputNames();
    output_names_ = predictor_->GetOutputNames();
    for (int i = 0; i < inputs(); ++i) inputs_.push_back(predictor_->GetInput(i));
    return true;
  }

  const char* version() const override { return version_.c_str(); }
  int threads() const override {
#if defined(__x86_64__)
    return omp_get_max_threads ? omp_get_max_threads() : -1;
#else
    return config_.threads();
#endif
  }
  int power_mode() const override { return static_cast<int>(config_.power_mode()); }
  int inputs() const override { return static_cast<int>(input_names_.size()); }
  int outputs() const override { return static_cast<int>(output_names_.size()); }
  const char* input_name(int index) const override { return input_names_.at(static_cast<size_t>(index)).c_str(); }
  const char* output_name(int index) const override { return output_names_.at(static_cast<size_t>(index)).c_str(); }
  int input_precision(int index) const override { return static_cast<int>(inputs_.at(static_cast<size_t>(index))->precision()); }

  void* resize(int index, const int64_t* shape, size_t axes) override {
    lite::Tensor& tensor = *inputs_.at(static_cast<size_t>(index));
    const lite::PrecisionType precision = tensor.precision();
    tensor.Resize(std::vector<int64_t>(shape, shape + axes));
    switch (precision) {
      case lite::PrecisionType::kFloat: return tensor.mutable_data<float>();
      case lite::PrecisionType::kFP64: return tensor.mutable_data<double>();
      case lite::PrecisionType::kInt8: return tensor.mutable_data<int8_t>();
      case lite::PrecisionType::kUInt8: return tensor.mutable_data<uint8_t>();
      case lite::PrecisionType::kInt16: return tensor.mutable_data<int16_t>();
      case lite::PrecisionType::kInt32: return tensor.mutable_data<int32_t>();
      case lite::PrecisionType::kInt64: return tensor.mutable_data<int64_t>();
      case lite::PrecisionType::kBool: return tensor.mutable_data<bool>();
      default: return nullptr;
    }
  }

  void run() override { predictor_->Run(); }

  bool output(int index, View& view) const override {
    const std::unique_ptr<const lite::Tensor> tensor = predictor_->GetOutput(index);
    const std::vector<int64_t> shape = tensor->shape();
    if (shape.size() > kMaxAxes) return false;
    view.axes = shape.size();
    std::copy(shape.begin(), shape.end(), view.shape);
    const lite::PrecisionType precision = tensor->precision();
    view.precision = static_cast<int>(precision);
    switch (precision) {
      case lite::PrecisionType::kFloat: view.data = tensor->data<float>(); return true;
      case lite::PrecisionType::kFP64: view.data = tensor->data<double>(); return true;
      case lite::PrecisionType::kInt8: view.data = tensor->data<int8_t>(); return true;
      case lite::PrecisionType::kUInt8: view.data = tensor->data<uint8_t>(); return true;
      case lite::PrecisionType::kInt16: view.data = tensor->data<int16_t>(); return true;
      case lite::PrecisionType::kInt32: view.data = tensor->data<int32_t>(); return true;
      case lite::PrecisionType::kInt64: view.data = tensor->data<int64_t>(); return true;
      case lite::PrecisionType::kBool: view.data = tensor->data<bool>(); return true;
      default: return false;
    }
  }

 private:
  lite::MobileConfig config_;
  std::shared_ptr<lite::PaddlePredictor> predictor_;
  std::string version_;
  std::vector<std::string> input_names_, output_names_;
  std::vector<std::unique_ptr<lite::Tensor>> inputs_;
};

}  // namespace
}  // namespace edgeflow::paddlelite

edgeflow::paddlelite::Bridge* edgeflow_paddlelite_bridge() {
  return new edgeflow::paddlelite::LiteBridge;  // never deleted: the worker's end is its end
}
