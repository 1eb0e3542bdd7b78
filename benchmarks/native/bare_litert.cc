// LiteRT's own loop: bare_litert MODEL THREADS WARMUP_NS SAMPLES, with libLiteRt.so on LD_LIBRARY_PATH.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bare.h"
#include "worker/backends/litert_api.h"

namespace {

using namespace edgeflow::litert;

int failed = 0;

template <typename Count>
size_t counted(Count count, Signature* signature) {
  size_t found = 0;
  failed |= count(signature, &found);
  return found;
}

template <typename Get, typename Needs>
std::vector<Buffer*> buffers(const Functions& api, size_t count, Environment* environment, CompiledModel* compiled,
                             Signature* signature, Get get, Needs needs) {
  std::vector<Buffer*> found(count);
  for (size_t i = 0; i < count; ++i) {
    ModelTensor* tensor = nullptr;
    Type type;
    Requirements* required = nullptr;
    failed |= get(signature, i, &tensor) | api.get_type(tensor, &type) | needs(compiled, 0, i, &required);
    failed |= api.create_buffer(environment, &type, required, &found[i]);
  }
  return found;
}

void fill(const Functions& api, Buffer* buffer) {
  size_t bytes = 0;
  void* memory = nullptr;
  failed |= api.packed_bytes(buffer, &bytes) | api.lock(buffer, &memory, kLockWrite);
  float* values = static_cast<float*>(memory);
  for (size_t at = 0; at < bytes / sizeof(float); ++at) values[at] = static_cast<float>(at % 251) / 251;
  failed |= api.unlock(buffer);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: bare_litert MODEL THREADS WARMUP_NS SAMPLES\n");
    return 2;
  }
  const edgeflow::Library library("libLiteRt.so");
  const Functions api(library);
  Environment* environment = nullptr;
  Model* model = nullptr;
  Options* options = nullptr;
  OpaqueOptions* cpu = nullptr;
  CompiledModel* compiled = nullptr;
  Signature* signature = nullptr;
  failed |= api.create_environment(0, nullptr, &environment) | api.create_model(environment, argv[1], &model);
  failed |= api.create_options(&options) | api.set_accelerators(options, kCpu);
  const std::string threads = std::string("num_threads = ") + argv[2] + "\n";
  failed |= api.create_opaque("xnnpack", ::strdup(threads.c_str()), std::free, &cpu) | api.add_opaque(options, cpu);
  failed |= api.compile(environment, model, options, &compiled) | api.get_signature(model, 0, &signature);
  if (failed) return 1;
  auto inputs = buffers(api, counted(api.count_inputs, signature), environment, compiled, signature,
                        api.signature_input, api.input_requirements);
  auto outputs = buffers(api, counted(api.count_outputs, signature), environment, compiled, signature,
                         api.signature_output, api.output_requirements);
  for (Buffer* buffer : inputs) fill(api, buffer);
  time_and_print(std::atoll(argv[3]), static_cast<size_t>(std::atoll(argv[4])), [&] {
    failed |= api.run(compiled, 0, inputs.size(), inputs.data(), outputs.size(), outputs.data());
  });
  std::fflush(stdout);
  std::_Exit(failed != 0);  // LiteRT's destructors are not what is timed
}
