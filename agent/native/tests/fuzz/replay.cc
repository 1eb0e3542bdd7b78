// Runs the fuzz target over the files of the command line: for compilers without libFuzzer, and for a quick check.
#include <cstdint>
#include <cstdio>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::FILE* file = std::fopen(argv[i], "rb");
    if (file == nullptr) {
      std::perror(argv[i]);
      return 1;
    }
    std::string bytes;
    char chunk[4096];
    while (const size_t got = std::fread(chunk, 1, sizeof chunk, file)) bytes.append(chunk, got);
    std::fclose(file);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
  std::printf("%d inputs\n", argc - 1);
  return 0;
}
