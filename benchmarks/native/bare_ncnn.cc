// ncnn's own loop: bare_ncnn PARAM BIN THREADS WARMUP_NS SAMPLES SHAPE...   SHAPE of each input: 3,224,224
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "bare.h"
#include "net.h"

namespace {

ncnn::Mat filled(const std::string& shape) {
  std::vector<int> axes;
  for (const char* at = shape.c_str();; ++at) {
    char* end = nullptr;
    axes.push_back(static_cast<int>(std::strtol(at, &end, 10)));
    if (*end != ',') break;
    at = end;
  }
  while (axes.size() < 3) axes.insert(axes.begin(), 1);
  ncnn::Mat mat(axes[2], axes[1], axes[0]);
  if (shape.find(',') == std::string::npos) mat.create(axes[2]);
  else if (shape.find(',') == shape.rfind(',')) mat.create(axes[2], axes[1]);
  for (int channel = 0; channel < mat.c; ++channel) {
    for (int at = 0; at < mat.w * mat.h; ++at) mat.channel(channel)[at] = static_cast<float>(at % 251) / 251;
  }
  return mat;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7) {
    std::fprintf(stderr, "usage: bare_ncnn PARAM BIN THREADS WARMUP_NS SAMPLES SHAPE...\n");
    return 2;
  }
  ncnn::Net net;
  net.opt.num_threads = std::atoi(argv[3]);
  if (net.load_param(argv[1]) != 0 || net.load_model(argv[2]) != 0) return 1;
  std::vector<std::pair<const char*, ncnn::Mat>> inputs;
  for (size_t i = 0; i < net.input_names().size(); ++i) {
    if (6 + static_cast<int>(i) >= argc) return 2;
    inputs.emplace_back(net.input_names()[i], filled(argv[6 + i]));
  }
  const std::vector<const char*> outputs = net.output_names();
  std::vector<ncnn::Mat> results(outputs.size());
  int failed = 0;
  time_and_print(std::atoll(argv[4]), static_cast<size_t>(std::atoll(argv[5])), [&] {
    ncnn::Extractor extractor = net.create_extractor();
    for (const auto& [name, mat] : inputs) failed |= extractor.input(name, mat);
    for (size_t i = 0; i < outputs.size(); ++i) failed |= extractor.extract(outputs[i], results[i]);
  });
  return failed != 0;
}
