// TensorFlow Lite models by LiteRT, on the CPU. File: `model` (.tflite).
//
// LiteRT's C interface gives numbers for errors; what it has to say beyond them it prints, and the core collects that.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "common/fault.h"
#include "worker/backend.h"
#include "worker/backends/litert_api.h"
#include "worker/library.h"
#include "worker/shape.h"

#ifndef EDGEFLOW_RUNTIME_VERSION
#error "EDGEFLOW_RUNTIME_VERSION: LiteRT's library does not tell its version"
#endif

namespace edgeflow {
namespace {

// LiteRtElementType -> ours; empty where no tensor of the protocol has it.
constexpr std::string_view kDtypes[] = {"",     "float32", "int32",   "uint8",   "int64", "",       "bool", "int16", "",
                                        "int8", "float16", "float64", "", "uint64", "", "",   "uint32", "uint16"};
constexpr int kInt8 = 9, kUint8 = 3, kInt4 = 18;

const char* words_of(int status) {
  switch (status) {
    case 1: return "invalid argument";
    case 2: return "out of memory";
    case 3: return "runtime failure";
    case 4: return "missing input tensor";
    case 5: return "unsupported";
    case 6: return "not found";
    case 8: return "wrong version";
    case 500: return "the file cannot be read";
    case 501: return "no valid flatbuffer";
    case 503: return "serialization";
    case 504: return "compilation";
    default: return "status";
  }
}

// An input or an output of the model, and the buffer that LiteRT keeps for it.
struct Value {
  std::string name;
  litert::ModelTensor* tensor = nullptr;
  litert::Type type;
  std::string_view dtype;
  std::vector<int64_t> shape;
  litert::Buffer* buffer = nullptr;
  size_t bytes = 0;
};

class TfliteBackend : public Backend {
 public:
  TfliteBackend() : library_("libLiteRt.so"), api_(library_) {}

  void load(const std::map<std::string, std::string>& files, const Json& options, int threads) override {
    for (const auto& [name, value] : options.as_object()) {
      if (name != "xnnpack" || !value.is_bool()) {
        throw Fault("bad_request", "tflite has no option " + name + "=" + value.excerpt(40) + "; known: true or false for xnnpack");
      }
      xnnpack_ = value.as_bool();
    }
    threads_ = threads;
    litert::Environment* environment = nullptr;
    litert::Model* model = nullptr;
    check(api_.create_environment(0, nullptr, &environment), "load_failed", "LiteRT cannot start");
    check(api_.create_model(environment, files.at("model").c_str(), &model), "load_failed", "LiteRT cannot load the model");
    check(api_.compile(environment, model, compile_options(), &compiled_), "load_failed", "LiteRT cannot prepare the model");
    litert::Signature* signature = nullptr;
    check(api_.get_signature(model, 0, &signature), "load_failed", "LiteRT finds no signature");
    check(api_.get_subgraph(signature, &subgraph_), "load_failed", "LiteRT finds no graph");
    size_t inputs = 0, outputs = 0;
    check(api_.count_inputs(signature, &inputs), "load_failed", "LiteRT tells no inputs");
    check(api_.count_outputs(signature, &outputs), "load_failed", "LiteRT tells no outputs");
    for (size_t i = 0; i < inputs; ++i) {
      litert::Requirements* needs = nullptr;
      Value value = describe(api_.signature_input, signature, i);
      check(api_.input_requirements(compiled_, 0, i, &needs), "load_failed", "LiteRT tells no need of input " + value.name);
      inputs_.push_back(with_buffer(environment, value, needs));
    }
    for (size_t i = 0; i < outputs; ++i) {
      litert::Requirements* needs = nullptr;
      Value value = describe(api_.signature_output, signature, i);
      check(api_.output_requirements(compiled_, 0, i, &needs), "load_failed", "LiteRT tells no need of output " + value.name);
      outputs_.push_back(with_buffer(environment, value, needs));
    }
    for (const Value& value : inputs_) input_buffers_.push_back(value.buffer);
    for (const Value& value : outputs_) output_buffers_.push_back(value.buffer);
    // A signature has an order of its own; names are told in the order of the graph.
    input_order_ = order_of(inputs_, api_.subgraph_input);
    output_order_ = order_of(outputs_, api_.subgraph_output);
    data_.resize(outputs_.size());
  }

  std::vector<std::string> inputs() const override { return names(inputs_, input_order_); }
  std::vector<std::string> outputs() const override { return names(outputs_, output_order_); }

  void bind(const std::vector<Tensor>& tensors) override {
    require_inputs(inputs(), tensors);
    for (const Tensor& tensor : tensors) {
      const Value& wanted = *std::find_if(inputs_.begin(), inputs_.end(), [&](const Value& each) { return each.name == tensor.name; });
      if (tensor.dtype != wanted.dtype || tensor.shape != wanted.shape) {
        throw Fault("bad_input", "input " + tensor.name + " is " + shown(wanted.dtype, wanted.shape) + ", got " +
                                     shown(tensor.dtype, tensor.shape));
      }
      void* memory = nullptr;
      check(api_.lock(wanted.buffer, &memory, litert::kLockWrite), "bad_input", "LiteRT does not take input " + tensor.name);
      std::memcpy(memory, tensor.data.data(), tensor.data.size());
      check(api_.unlock(wanted.buffer), "bad_input", "LiteRT does not take input " + tensor.name);
    }
  }

  void run() override {
    check(api_.run(compiled_, 0, input_buffers_.size(), input_buffers_.data(), output_buffers_.size(), output_buffers_.data()),
          "run_failed", "LiteRT cannot run the model");
  }

  std::vector<Tensor> read() override {
    std::vector<Tensor> found;
    for (const size_t index : output_order_) {
      const Value& value = outputs_[index];
      void* memory = nullptr;
      check(api_.lock(value.buffer, &memory, litert::kLockRead), "run_failed", "LiteRT does not give output " + value.name);
      data_[index].assign(static_cast<const char*>(memory), value.bytes);
      check(api_.unlock(value.buffer), "run_failed", "LiteRT does not give output " + value.name);
      found.push_back({value.name, std::string(value.dtype), value.shape, data_[index], {}});
    }
    return found;
  }

  RuntimeInfo info() const override {
    return {"tflite", EDGEFLOW_RUNTIME_VERSION, is_quantized() ? "int8" : "fp32",
            Json::Object{{"xnnpack", xnnpack_}, {"num_threads", threads_}}};
  }

 private:
  static void check(int status, const char* code, const std::string& what) {
    if (status == 0) return;
    throw Fault(status == 2 ? "out_of_memory" : code, what + ": " + words_of(status) + " (" + std::to_string(status) + ")");
  }

  litert::Options* compile_options() {
    litert::Options* options = nullptr;
    litert::OpaqueOptions* cpu = nullptr;
    const char* failed = "LiteRT does not take the options";
    check(api_.create_options(&options), "load_failed", failed);
    check(api_.set_accelerators(options, litert::kCpu), "load_failed", failed);
    std::string text = "num_threads = " + std::to_string(threads_) + "\n";
    if (!xnnpack_) text += "kernel_mode = \"builtin\"\n";
    char* payload = ::strdup(text.c_str());  // LiteRT frees it
    check(api_.create_opaque("xnnpack", payload, std::free, &cpu), "load_failed", failed);
    check(api_.add_opaque(options, cpu), "load_failed", failed);
    return options;
  }

  template <typename Get>
  Value describe(Get get, litert::Signature* signature, size_t index) {
    Value value;
    const char* name = nullptr;
    check(get(signature, index, &value.tensor), "load_failed", "LiteRT tells no tensor " + std::to_string(index));
    check(api_.get_name(value.tensor, &name), "load_failed", "LiteRT tells no name of a tensor");
    value.name = name;
    check(api_.get_type(value.tensor, &value.type), "load_failed", "LiteRT tells no type of " + value.name);
    const auto element = static_cast<size_t>(value.type.element);
    if (element < std::size(kDtypes)) value.dtype = kDtypes[element];
    if (value.dtype.empty()) throw Fault("load_failed", value.name + " holds elements of type " + std::to_string(element) + ", which are not served");
    const size_t rank = value.type.rank_and_flags & 0x7F;
    value.shape.assign(value.type.dimensions, value.type.dimensions + std::min(rank, litert::kMaxRank));
    if (std::any_of(value.shape.begin(), value.shape.end(), [](int64_t axis) { return axis < 0; })) {
      throw Fault("load_failed", value.name + " is " + shown(value.dtype, value.shape) + ": an axis is free; fix it when converting");
    }
    return value;
  }

  Value with_buffer(litert::Environment* environment, Value value, litert::Requirements* needs) {
    const std::string failed = "LiteRT makes no buffer of " + value.name;
    check(api_.create_buffer(environment, &value.type, needs, &value.buffer), "load_failed", failed);
    check(api_.packed_bytes(value.buffer, &value.bytes), "load_failed", failed);
    if (value.bytes != tensor_bytes(value.dtype, value.shape)) throw Fault("load_failed", failed + ": " + std::to_string(value.bytes) + " bytes");
    return value;
  }

  template <typename Get>
  std::vector<size_t> order_of(const std::vector<Value>& values, Get get) {
    std::vector<size_t> order;
    for (size_t i = 0; i < values.size(); ++i) {
      litert::ModelTensor* tensor = nullptr;
      check(get(subgraph_, i, &tensor), "load_failed", "LiteRT tells no tensor " + std::to_string(i));
      for (size_t k = 0; k < values.size(); ++k) {
        if (values[k].tensor == tensor) order.push_back(k);
      }
    }
    if (order.size() != values.size()) throw Fault("load_failed", "the model's signature is not that of its graph");
    return order;
  }

  // Whether an operator takes quantized bytes and does more than widen them: its arithmetic is then in integers.
  bool is_quantized() const {
    size_t operations = 0;
    const char* failed = "LiteRT does not list the operators";
    check(api_.count_operations(subgraph_, &operations), "internal", failed);
    for (size_t i = 0; i < operations; ++i) {
      litert::Operation* operation = nullptr;
      int code = 0;
      size_t operands = 0;
      check(api_.get_operation(subgraph_, i, &operation), "internal", failed);
      check(api_.get_code(operation, &code), "internal", failed);
      if (code == litert::kDequantize) continue;
      check(api_.count_operands(operation, &operands), "internal", failed);
      for (size_t k = 0; k < operands; ++k) {
        litert::ModelTensor* tensor = nullptr;
        litert::Type type;
        int quantization = litert::kNotQuantized;
        // An operand that is left out has none of these.
        if (api_.get_operand(operation, k, &tensor) != 0 || !tensor || api_.get_type(tensor, &type) != 0) continue;
        const bool bytes = type.element == kInt8 || type.element == kUint8 || type.element == kInt4;
        if (bytes && api_.get_quantization(tensor, &quantization) == 0 && quantization != litert::kNotQuantized) return true;
      }
    }
    return false;
  }

  static std::vector<std::string> names(const std::vector<Value>& values, const std::vector<size_t>& order) {
    std::vector<std::string> found;
    for (const size_t index : order) found.push_back(values[index].name);
    return found;
  }

  Library library_;
  litert::Functions api_;
  bool xnnpack_ = true;
  int threads_ = 1;
  litert::CompiledModel* compiled_ = nullptr;
  litert::Subgraph* subgraph_ = nullptr;
  std::vector<Value> inputs_, outputs_;  // in the signature's order
  std::vector<size_t> input_order_, output_order_;
  std::vector<litert::Buffer*> input_buffers_, output_buffers_;
  std::vector<std::string> data_;  // what views of outputs are of
};

}  // namespace

std::unique_ptr<Backend> create_backend() { return std::make_unique<TfliteBackend>(); }

}  // namespace edgeflow
