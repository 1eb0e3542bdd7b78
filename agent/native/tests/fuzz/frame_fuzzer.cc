// libFuzzer target: whatever bytes a peer sends become frames, a WireError, or wait for more; never anything else.
//
// Beside crashes it looks for broken promises: a parser that is fed byte by byte sees what one sees that is fed at once;
// what was read can be written, and reads back as the same; tensors lie within their body.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"
#include "common/wire.h"

using namespace edgeflow;

namespace {

void require(bool good) {
  if (!good) std::abort();
}

// The frames of a stream that is cut into pieces of `piece` bytes, and whether it ended in a WireError.
struct Read {
  std::vector<Frame> frames;
  bool failed = false;
  size_t pending = 0;
};

Read read_in_pieces(std::string_view bytes, size_t piece) {
  Read found;
  FrameParser parser;
  try {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      for (Frame& frame : parser.feed(bytes.substr(0, piece))) found.frames.push_back(std::move(frame));
    }
    if (parser.pending_bytes() == 0) parser.finish();
  } catch (const WireError&) {
    found.failed = true;
  }
  found.pending = parser.pending_bytes();
  return found;
}

void check_tensors(const Frame& frame) {
  try {
    size_t bytes = 0;
    const std::vector<Tensor> tensors = tensors_of(frame);
    for (const Tensor& tensor : tensors) {
      require(tensor.data.data() >= frame.body.data() && tensor.data.size() == tensor_bytes(tensor.dtype, tensor.shape));
      bytes += tensor.data.size();
    }
    require(bytes == frame.body.size());
    Json meta = frame.meta;
    meta.as_object().erase("tensors");
    require(with_tensors(frame.type, std::move(meta), tensors).body == frame.body);
  } catch (const WireError&) {
    // It described no tensors that tile the body.
  }
}

void check_frame(const Frame& frame) {
  check_tensors(frame);
  std::string bytes;
  try {
    bytes = encode(frame);
  } catch (const WireError&) {
    return;  // canonical text may be longer than what was read: 1e15 becomes 1000000000000000.0
  }
  const Read again = read_in_pieces(bytes, bytes.size());
  require(!again.failed && again.frames.size() == 1 && again.pending == 0);
  require(again.frames[0].meta == frame.meta && again.frames[0].body == frame.body);
  require(encode(again.frames[0]) == bytes);
}

void check_json(std::string_view text) {
  try {
    const Json value = Json::parse(text);
    const std::string canonical = value.text();
    const Json again = Json::parse(canonical);
    require(again == value && again.text() == canonical);
    require(value.excerpt(40).size() <= 40);
  } catch (const JsonError&) {
    // Not JSON.
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Read whole = read_in_pieces(bytes, size == 0 ? 1 : size), cut = read_in_pieces(bytes, 1);
  require(whole.failed == cut.failed);
  require(whole.frames.size() == cut.frames.size() && whole.pending == cut.pending);
  for (const Frame& frame : cut.frames) check_frame(frame);
  check_json(bytes);
  return 0;
}
