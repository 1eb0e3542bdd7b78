// The part of Paddle Lite's C++ interface that the bridge uses, as its wheel's library has it (2.13rc0, lite/api,
// Apache-2.0). A release archive brings headers of its own, and those are used for its library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace paddle::lite_api {

enum class TargetType : int { kHost = 1 };
enum class PrecisionType : int { kFloat = 1, kInt8 = 2, kInt32 = 3, kBool = 6, kInt64 = 7, kInt16 = 8, kUInt8 = 9, kFP64 = 10 };
enum PowerMode { LITE_POWER_NO_BIND = 3 };

struct __attribute__((visibility("default"))) Tensor {
  void Resize(const std::vector<int64_t>& shape);
  template <typename Item>
  Item* mutable_data(TargetType type = TargetType::kHost) const;
  template <typename Item>
  const Item* data() const;
  std::vector<int64_t> shape() const;
  PrecisionType precision() const;

 private:
  void* raw_;
};

// The order of these is that of the library's table of virtual functions.
class __attribute__((visibility("default"))) PaddlePredictor {
 public:
  virtual std::unique_ptr<Tensor> GetInput(int index) = 0;
  virtual std::unique_ptr<const Tensor> GetOutput(int index) const = 0;
  virtual void Run() = 0;
  virtual std::shared_ptr<PaddlePredictor> Clone() = 0;
  virtual std::shared_ptr<PaddlePredictor> Clone(const std::vector<std::string>& names) = 0;
  virtual std::string GetVersion() const = 0;
  virtual std::vector<std::string> GetInputNames() = 0;
  virtual std::vector<std::string> GetOutputNames() = 0;

 protected:
  ~PaddlePredictor() = default;
};

class __attribute__((visibility("default"))) ConfigBase {
 public:
  explicit ConfigBase(PowerMode mode = LITE_POWER_NO_BIND, int threads = 1);
  void set_threads(int threads);
  void set_power_mode(PowerMode mode);
  void set_x86_math_num_threads(int threads);
  int threads() const { return threads_; }
  PowerMode power_mode() const { return mode_; }

 private:
  std::string model_folder_;
  int threads_;
  PowerMode mode_;
  alignas(8) unsigned char more_[0x210 - 0x28];
};

class __attribute__((visibility("default"))) MobileConfig : public ConfigBase {
 public:
  void set_model_from_file(const std::string& path);

 private:
  bool from_memory_ = false;
  int precision_mode_ = 0;
  std::string model_file_, model_buffer_, parameter_buffer_;
};
#if defined(__x86_64__) && defined(__GLIBCXX__)
static_assert(sizeof(ConfigBase) == 0x210 && sizeof(MobileConfig) == 0x278, "as the wheel's library lays it out");
#endif

template <typename Config>
std::shared_ptr<PaddlePredictor> CreatePaddlePredictor(const Config&);

}  // namespace paddle::lite_api
