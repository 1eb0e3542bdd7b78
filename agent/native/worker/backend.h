// What a runtime must do for the harness. One file beside this per runtime, and one program per runtime.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/wire.h"

namespace edgeflow {

// What the runtime was really told, read back from it where it can be.
struct RuntimeInfo {
  std::string name;
  std::string version;
  std::string compute_dtype;  // what arithmetic and activations really use
  Json options = Json::Object();
};

// One runtime with one model. It never times itself: the harness does.
//
// `run` does what a bare user loop would do for one inference and nothing else: no allocation of ours, no I/O.
// Every verb throws Fault. There is no unload: the worker's end is, and no destructor of a runtime can spoil
// an answer.
class Backend {
 public:
  virtual ~Backend() = default;

  // Loads the model from `files` (role -> path). Throws Fault load_failed, bad_request.
  virtual void load(const std::map<std::string, std::string>& files, const Json& options, int threads) = 0;
  // The runtime's input names, in its order.
  virtual std::vector<std::string> inputs() const = 0;
  // The runtime's output names, in the model's order.
  virtual std::vector<std::string> outputs() const = 0;
  // Makes one complete input set ready for `run`. The tensors' data is copied. Throws Fault bad_input.
  virtual void bind(const std::vector<Tensor>& tensors) = 0;
  // One inference on the bound inputs, every output computed. Throws Fault run_failed.
  virtual void run() = 0;
  // The last outputs in the order of `outputs`; the views stay valid until the next verb.
  virtual std::vector<Tensor> read() = 0;
  // What runs; asked after everything is measured, so that it may read the model's file.
  virtual RuntimeInfo info() const = 0;
};

// Defined once in each worker program, by its backend's file.
std::unique_ptr<Backend> create_backend();

// Throws Fault bad_input unless `tensors` are exactly the expected inputs, each once.
void require_inputs(const std::vector<std::string>& expected, const std::vector<Tensor>& tensors);

}  // namespace edgeflow
