// Between the worker and Paddle Lite. Its C++ interface is compiled into a library of its own that lies beside the
// worker, so that the worker can load it, measure that, and say what is missing. Nothing of the C++ library passes here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgeflow::paddlelite {

constexpr size_t kMaxAxes = 16;

struct View {
  int precision = 0;  // PrecisionType
  size_t axes = 0;
  int64_t shape[kMaxAxes] = {};
  const void* data = nullptr;
};

class Bridge {
 public:
  // Loads the model, with its powers as numbers of PowerMode. False where Paddle Lite gives no predictor.
  virtual bool load(const char* model, int threads, int power_mode) = 0;
  virtual const char* version() const = 0;
  // What the library took of the settings; -1 where it does not tell.
  virtual int threads() const = 0;
  virtual int power_mode() const = 0;
  virtual int inputs() const = 0;
  virtual int outputs() const = 0;
  virtual const char* input_name(int index) const = 0;
  virtual const char* output_name(int index) const = 0;
  virtual int input_precision(int index) const = 0;
  // The memory of an input of that shape; null for a precision that is not served.
  virtual void* resize(int index, const int64_t* shape, size_t axes) = 0;
  virtual void run() = 0;
  // False where the output has more axes than a view can tell, or a precision that is not served.
  virtual bool output(int index, View& view) const = 0;

 protected:
  ~Bridge() = default;
};

}  // namespace edgeflow::paddlelite

extern "C" __attribute__((visibility("default"))) edgeflow::paddlelite::Bridge* edgeflow_paddlelite_bridge();
