// ncnn on the CPU. Files: `param` (text) and `bin`.
//
// ncnn prints why it failed to stderr, which the core collects; here only return codes are seen. It checks no
// input's shape, and a wrong one computes something: the artifact's shapes are the only guard.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <tuple>

#include "common/fault.h"
#include "cpu.h"
#include "net.h"
#include "worker/backend.h"
#include "worker/shape.h"

namespace edgeflow {
namespace {

// The options that the Python bindings of ncnn show too, `num_threads` apart: that is the job's `threads`.
struct Flag {
  const char* name;
  bool ncnn::Option::*field;
};
constexpr Flag kFlags[] = {
    {"lightmode", &ncnn::Option::lightmode},
    {"use_bf16_packed", &ncnn::Option::use_bf16_packed},
    {"use_bf16_storage", &ncnn::Option::use_bf16_storage},
    {"use_fp16_arithmetic", &ncnn::Option::use_fp16_arithmetic},
    {"use_fp16_packed", &ncnn::Option::use_fp16_packed},
    {"use_fp16_storage", &ncnn::Option::use_fp16_storage},
    {"use_int8_arithmetic", &ncnn::Option::use_int8_arithmetic},
    {"use_int8_inference", &ncnn::Option::use_int8_inference},
    {"use_int8_packed", &ncnn::Option::use_int8_packed},
    {"use_int8_storage", &ncnn::Option::use_int8_storage},
    {"use_packing_layout", &ncnn::Option::use_packing_layout},
    {"use_sgemm_convolution", &ncnn::Option::use_sgemm_convolution},
    {"use_subgroup_ops", &ncnn::Option::use_subgroup_ops},
    {"use_tensor_storage", &ncnn::Option::use_tensor_storage},
    {"use_vulkan_compute", &ncnn::Option::use_vulkan_compute},
    {"use_winograd23_convolution", &ncnn::Option::use_winograd23_convolution},
    {"use_winograd43_convolution", &ncnn::Option::use_winograd43_convolution},
    {"use_winograd63_convolution", &ncnn::Option::use_winograd63_convolution},
    {"use_winograd_convolution", &ncnn::Option::use_winograd_convolution},
};
struct Number {
  const char* name;
  int ncnn::Option::*field;
};
constexpr Number kNumbers[] = {
    {"kvcache_max_seqlen_hint", &ncnn::Option::kvcache_max_seqlen_hint},
    {"openmp_blocktime", &ncnn::Option::openmp_blocktime},
};

// Layers that may hold int8 weights, and how their parameter int8_scale_term is written (ncnn src/layer/*.cpp).
struct Int8Term {
  std::string_view layer;
  std::string_view key;
};
constexpr Int8Term kInt8Terms[] = {{"Convolution", "8="}, {"ConvolutionDepthWise", "8="}, {"InnerProduct", "8="}};

std::string known_options() {
  std::vector<std::string> names;
  for (const Flag& flag : kFlags) names.push_back(flag.name);
  for (const Number& number : kNumbers) names.push_back(number.name);
  std::sort(names.begin(), names.end());
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : " ") + name;
  return out;
}

void apply(ncnn::Option& told, const std::string& name, const Json& value) {
  const Fault refusal("bad_request", "ncnn's option " + name + " does not take " + value.excerpt(40));
  for (const Flag& flag : kFlags) {
    if (name != flag.name) continue;
    if (!value.is_bool()) throw refusal;
    told.*flag.field = value.as_bool();
    return;
  }
  for (const Number& number : kNumbers) {
    if (name != number.name) continue;
    if (!value.is_integer() || value.as_integer() != static_cast<int>(value.as_integer())) throw refusal;
    told.*number.field = static_cast<int>(value.as_integer());
    return;
  }
  throw Fault("bad_request", "ncnn has no option " + name + "; known: " + known_options());
}

// out0, out1, ..., out10: by number; the network's own list has no order. Other names come after, by name.
std::tuple<int, long, std::string> output_order(const std::string& name) {
  const std::string digits = name.rfind("out", 0) == 0 ? name.substr(3) : "";
  const bool numbered = !digits.empty() && digits.size() < 10 && digits.find_first_not_of("0123456789") == std::string::npos;
  return numbered ? std::make_tuple(0, std::atol(digits.c_str()), name) : std::make_tuple(1, 0L, name);
}

// Whether a line of a .param file ("Convolution conv0 1 1 in0 1 0=16 8=2") is of a layer with int8 weights.
bool is_int8(std::string_view line) {
  const Int8Term* found = nullptr;
  for (bool first = true; !line.empty(); first = false) {
    const size_t start = std::min(line.find_first_not_of(" \t\r\n"), line.size());
    line.remove_prefix(start);
    const std::string_view word = line.substr(0, line.find_first_of(" \t\r\n"));
    line.remove_prefix(word.size());
    if (first) {
      for (const Int8Term& term : kInt8Terms) found = word == term.layer ? &term : found;
      if (!found) return false;
    } else if (word.substr(0, found->key.size()) == found->key && word.substr(found->key.size()) != "0") {
      return true;
    }
  }
  return false;
}

bool has_int8(const std::string& param_path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(param_path.c_str(), "re"), std::fclose);
  if (!file) throw Fault("no_file", param_path + ": " + std::strerror(errno));
  std::string line;
  for (int letter = std::getc(file.get()); letter != EOF; letter = std::getc(file.get())) {
    if (letter != '\n') {
      line.push_back(static_cast<char>(letter));
      continue;
    }
    if (is_int8(line)) return true;
    line.clear();
  }
  return is_int8(line);
}

std::string code_text(int code) { return " (code " + std::to_string(code) + ")"; }

// A Mat of ncnn's own memory with the tensor's values: it pads each channel to 16 bytes.
ncnn::Mat mat_of(const Tensor& tensor) {
  const std::vector<int64_t>& shape = tensor.shape;
  const bool fits = (tensor.dtype == "float32" || tensor.dtype == "int32") && !shape.empty() && shape.size() <= 4 &&
                    std::find(shape.begin(), shape.end(), 0) == shape.end();
  if (!fits) {
    throw Fault("bad_input", "input " + tensor.name + ": ncnn takes float32 or int32 of 1 to 4 axes without a batch axis, got " +
                                 shown(tensor.dtype, shape));
  }
  std::vector<int> axes(shape.begin(), shape.end());  // at most 2^28 each, as the protocol has it
  ncnn::Mat mat;
  switch (axes.size()) {
    case 1: mat.create(axes[0], size_t{4}); break;
    case 2: mat.create(axes[1], axes[0], size_t{4}); break;
    case 3: mat.create(axes[2], axes[1], axes[0], size_t{4}); break;
    default: mat.create(axes[3], axes[2], axes[1], axes[0], size_t{4}); break;
  }
  if (mat.empty()) throw Fault("out_of_memory", "ncnn has no memory for input " + tensor.name);
  const size_t channels = axes.size() < 3 ? 1 : static_cast<size_t>(axes[0]);
  const size_t bytes = tensor.data.size() / channels;
  for (size_t i = 0; i < channels; ++i) {
    std::memcpy(static_cast<char*>(mat.data) + i * mat.cstep * mat.elemsize, tensor.data.data() + i * bytes, bytes);
  }
  return mat;
}

class NcnnBackend : public Backend {
 public:
  void load(const std::map<std::string, std::string>& files, const Json& options, int threads) override {
    net_.opt.num_threads = threads;
    for (const auto& [name, value] : options.as_object()) apply(net_.opt, name, value);
    if (net_.opt.use_vulkan_compute) {
      throw Fault("unsupported_accelerator", "ncnn's Vulkan is not served by this agent; use cpu");
    }
    param_path_ = files.at("param");
    if (const int code = net_.load_param(param_path_.c_str())) {
      throw Fault("load_failed", "ncnn cannot load the .param file" + code_text(code));
    }
    if (const int code = net_.load_model(files.at("bin").c_str())) {
      throw Fault("load_failed", "ncnn cannot load the .bin file" + code_text(code));
    }
    for (const char* name : net_.input_names()) inputs_.push_back(name);
    for (const char* name : net_.output_names()) outputs_.push_back(name);
    std::sort(outputs_.begin(), outputs_.end(),
              [](const std::string& a, const std::string& b) { return output_order(a) < output_order(b); });
    if (outputs_.empty()) throw Fault("load_failed", "the ncnn network has no output blob");
    results_.resize(outputs_.size());
  }

  std::vector<std::string> inputs() const override { return inputs_; }
  std::vector<std::string> outputs() const override { return outputs_; }

  void bind(const std::vector<Tensor>& tensors) override {
    require_inputs(inputs_, tensors);
    bound_.clear();
    for (const Tensor& tensor : tensors) bound_.emplace_back(tensor.name, mat_of(tensor));
  }

  void run() override {
    ncnn::Extractor extractor = net_.create_extractor();
    for (const auto& [name, mat] : bound_) {
      if (const int code = extractor.input(name.c_str(), mat)) {
        throw Fault("run_failed", "ncnn refuses input " + name + code_text(code));
      }
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (const int code = extractor.extract(outputs_[i].c_str(), results_[i])) {
        throw Fault("run_failed", "ncnn cannot compute output " + outputs_[i] + code_text(code));
      }
    }
  }

  std::vector<Tensor> read() override {
    std::vector<Tensor> found;
    dense_.clear();
    for (size_t i = 0; i < outputs_.size(); ++i) found.push_back(read_one(outputs_[i], results_[i]));
    return found;
  }

  RuntimeInfo info() const override {
    Json options = Json::Object{{"num_threads", net_.opt.num_threads}};
    for (const Flag& flag : kFlags) options[flag.name] = net_.opt.*flag.field;
    for (const Number& number : kNumbers) options[number.name] = net_.opt.*number.field;
    return {"ncnn", NCNN_VERSION_STRING, compute_dtype(), options};
  }

 private:
  // A view of the output, or of a copy of it without the padding between channels.
  Tensor read_one(const std::string& name, const ncnn::Mat& mat) {
    if (mat.empty() || mat.elempack != 1 || mat.elemsize != 4) {
      throw Fault("run_failed", "ncnn's output " + name + " is empty or not float32");
    }
    std::vector<int64_t> shape;
    if (mat.dims >= 3) shape.push_back(mat.c);
    if (mat.dims >= 4) shape.push_back(mat.d);
    if (mat.dims >= 2) shape.push_back(mat.h);
    shape.push_back(mat.w);
    const size_t channel_bytes = static_cast<size_t>(mat.w) * static_cast<size_t>(mat.h) * static_cast<size_t>(mat.d) * 4;
    const size_t stride = mat.cstep * mat.elemsize;
    const auto channels = static_cast<size_t>(mat.c);
    const char* data = static_cast<const char*>(mat.data);
    if (channels == 1 || stride == channel_bytes) return {name, "float32", shape, {data, channel_bytes * channels}, {}};
    std::string& dense = *dense_.emplace_back(std::make_unique<std::string>());
    dense.reserve(channel_bytes * channels);
    for (size_t i = 0; i < channels; ++i) dense.append(data + i * stride, channel_bytes);
    return {name, "float32", shape, dense, {}};
  }

  // The dtype of arithmetic and activations: int8 layers, bf16 activations, fp16 arithmetic, else fp32.
  //
  // fp16 arithmetic exists only on ARM with asimdhp; elsewhere use_fp16_* stores weights in half and computes in
  // float (ncnn src/net.cpp, convert_layout; src/layer/arm/convolution_arm.cpp).
  std::string compute_dtype() const {
    const ncnn::Option& told = net_.opt;
    if (told.use_int8_inference && has_int8(param_path_)) return "int8";
    if (told.use_fp16_storage && told.use_fp16_arithmetic && ncnn::cpu_support_arm_asimdhp()) return "fp16";
    return told.use_bf16_storage ? "bf16" : "fp32";
  }

  ncnn::Net net_;
  std::string param_path_;
  std::vector<std::string> inputs_, outputs_;
  std::vector<std::pair<std::string, ncnn::Mat>> bound_;
  std::vector<ncnn::Mat> results_;
  std::vector<std::unique_ptr<std::string>> dense_;  // what views of padded outputs are of
};

}  // namespace

std::unique_ptr<Backend> create_backend() { return std::make_unique<NcnnBackend>(); }

}  // namespace edgeflow
