// For tests: reads frames from stdin, in pieces of as many bytes as argv[1] says, and writes them to stdout again, each
// taken apart to its tensors and put together anew. Exit code 1, and the WireError on stderr, where they are no frames.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "common/wire.h"

using namespace edgeflow;

namespace {

void write_again(const Frame& frame) {
  Frame again{frame.type, frame.meta, frame.body};
  if (frame.meta.has("tensors")) {
    Json meta = frame.meta;
    meta.as_object().erase("tensors");
    again = with_tensors(frame.type, std::move(meta), tensors_of(frame));
  }
  const std::string bytes = encode(again);
  std::fwrite(bytes.data(), 1, bytes.size(), stdout);
}

}  // namespace

int main(int argc, char** argv) {
  std::string piece(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1, '\0');
  try {
    FrameParser parser;
    while (const size_t got = std::fread(piece.data(), 1, piece.size(), stdin)) {
      for (const Frame& frame : parser.feed(std::string_view(piece).substr(0, got))) write_again(frame);
    }
    parser.finish();
  } catch (const WireError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
