// Frames and tensors of the agent's protocol, as functions of bytes (agent/PROTOCOL.md). It knows no sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"

namespace edgeflow {

inline constexpr uint16_t kProtocolVersion = 1;
inline constexpr size_t kHeaderBytes = 16;
inline constexpr size_t kMaxMetaBytes = size_t{1} << 20;
inline constexpr size_t kMaxBodyBytes = size_t{256} << 20;
inline constexpr size_t kMaxRank = 16;

// Bytes or values that the protocol does not allow. The connection cannot go on after it.
struct WireError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class FrameType : uint16_t { hello = 1, request = 2, progress = 3, response = 4, error = 5 };

// One message: its type, its JSON object, and raw bytes that meta["tensors"] describes.
struct Frame {
  FrameType type = FrameType::hello;
  Json meta = Json::Object();
  std::string body;
};

// Named values, little-endian in C order. `data` is a view: of a frame's body, or of memory that outlives this.
struct Tensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::string_view data;
  std::optional<int64_t> set;  // number of an input or output set
};

// Bytes of one element; 0 for a dtype that no tensor may have.
size_t item_bytes(std::string_view dtype);
// Size of a tensor in bytes. Throws WireError on an unknown dtype, a bad shape, or too many bytes.
size_t tensor_bytes(std::string_view dtype, const std::vector<int64_t>& shape);

// Header and meta of a frame with a body of `body_bytes`, which follows them. Throws WireError.
std::string encode_head(FrameType type, const Json& meta, size_t body_bytes);
// The whole frame as bytes. Throws WireError.
std::string encode(const Frame& frame);

// A frame that carries the tensors in its body, described in its meta. Throws WireError.
Frame with_tensors(FrameType type, Json meta, const std::vector<Tensor>& tensors);
// The tensors of a frame, as views of its body. Throws WireError unless they tile the body exactly.
std::vector<Tensor> tensors_of(const Frame& frame);

// What a header says; the lengths are within the limits.
struct Header {
  FrameType type;
  uint32_t meta_bytes;
  uint32_t body_bytes;
};
// Reads kHeaderBytes bytes. Throws WireError.
Header parse_header(std::string_view bytes);
// The JSON object of a frame. Throws WireError.
Json parse_meta(std::string_view bytes);

// Turns a byte stream, cut anywhere, into frames. It holds no more than what it was fed and allocates nothing
// that a header only promises. After a WireError it is finished: every further call throws again.
class FrameParser {
 public:
  // The frames that `bytes` completes, in order. Throws WireError; frames that precede the fault in the same `bytes`
  // are given, and the next call throws: last words of a process that then broke say how far it came.
  std::vector<Frame> feed(std::string_view bytes);
  // The end of the input. Throws WireError where it lies within a frame, or after what is none.
  void finish() const;
  // Bytes of an unfinished frame: not 0 at the end of input means that the stream was cut.
  size_t pending_bytes() const { return buffer_.size() + (header_ ? kHeaderBytes : 0); }

 private:
  bool next(Frame& frame);

  std::string buffer_;
  std::optional<Header> header_;
  std::string failed_;
};

}  // namespace edgeflow
