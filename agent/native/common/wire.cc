#include "common/wire.h"

#include <utility>

namespace edgeflow {
namespace {

constexpr std::string_view kMagic = "EDGF";
constexpr const char* kDtypes = "float32 float64 float16 int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool";

void put_u16(std::string& out, uint16_t value) {
  out.push_back(static_cast<char>(value >> 8));
  out.push_back(static_cast<char>(value & 0xFF));
}

void put_u32(std::string& out, uint32_t value) {
  put_u16(out, static_cast<uint16_t>(value >> 16));
  put_u16(out, static_cast<uint16_t>(value & 0xFFFF));
}

uint16_t get_u16(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 | static_cast<unsigned char>(bytes[at + 1]));
}

uint32_t get_u32(std::string_view bytes, size_t at) {
  return static_cast<uint32_t>(get_u16(bytes, at)) << 16 | get_u16(bytes, at + 2);
}

// Bytes of a stranger as a person can read them.
std::string printable(std::string_view bytes) {
  static const char* hex = "0123456789abcdef";
  std::string out = "b'";
  for (const char letter : bytes) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte >= 0x20 && byte < 0x7F) out.push_back(letter);
    else out.append("\\x").append(1, hex[byte >> 4]).append(1, hex[byte & 15]);
  }
  return out + "'";
}

std::vector<int64_t> shape_of(const Json& entry) {
  std::vector<int64_t> shape;
  for (const Json& axis : entry["shape"].as_array()) {
    if (!axis.is_integer()) throw WireError("bad axis " + axis.excerpt(40) + " in a shape");
    shape.push_back(axis.as_integer());
  }
  return shape;
}

}  // namespace

size_t item_bytes(std::string_view dtype) {
  if (dtype == "float32" || dtype == "int32" || dtype == "uint32") return 4;
  if (dtype == "float64" || dtype == "int64" || dtype == "uint64") return 8;
  if (dtype == "float16" || dtype == "int16" || dtype == "uint16") return 2;
  if (dtype == "int8" || dtype == "uint8" || dtype == "bool") return 1;
  return 0;
}

size_t tensor_bytes(std::string_view dtype, const std::vector<int64_t>& shape) {
  size_t size = item_bytes(dtype);
  if (size == 0) throw WireError("unknown dtype '" + std::string(dtype.substr(0, 40)) + "'; known: " + kDtypes);
  if (shape.size() > kMaxRank) throw WireError("rank " + std::to_string(shape.size()) + " is over the limit of " + std::to_string(kMaxRank));
  for (const int64_t axis : shape) {
    if (axis < 0 || static_cast<uint64_t>(axis) > kMaxBodyBytes) throw WireError("bad axis " + std::to_string(axis) + " in a shape");
  }
  // An axis of 0 makes any size 0, whatever stands before it: no product may overflow on the way there.
  for (const int64_t axis : shape) {
    if (axis == 0) return 0;
  }
  for (const int64_t axis : shape) {
    size *= static_cast<size_t>(axis);  // below 2^28 times 2^28: it fits
    if (size > kMaxBodyBytes) throw WireError("a tensor is over the limit of " + std::to_string(kMaxBodyBytes) + " bytes");
  }
  return size;
}

std::string encode_head(FrameType type, const Json& meta, size_t body_bytes) {
  std::string text;
  try {
    text = meta.text();
  } catch (const JsonError& error) {
    throw WireError(std::string("meta cannot be written as JSON: ") + error.what());
  }
  if (text.size() > kMaxMetaBytes) {
    throw WireError("meta of " + std::to_string(text.size()) + " bytes is over the limit of " + std::to_string(kMaxMetaBytes));
  }
  if (body_bytes > kMaxBodyBytes) {
    throw WireError("a body of " + std::to_string(body_bytes) + " bytes is over the limit of " + std::to_string(kMaxBodyBytes));
  }
  std::string out;
  out.reserve(kHeaderBytes + text.size());
  out += kMagic;
  put_u16(out, kProtocolVersion);
  put_u16(out, static_cast<uint16_t>(type));
  put_u32(out, static_cast<uint32_t>(text.size()));
  put_u32(out, static_cast<uint32_t>(body_bytes));
  return out += text;
}

std::string encode(const Frame& frame) { return encode_head(frame.type, frame.meta, frame.body.size()) += frame.body; }

Frame with_tensors(FrameType type, Json meta, const std::vector<Tensor>& tensors) {
  Json::Array entries;
  size_t total = 0;
  for (const Tensor& tensor : tensors) {
    const size_t expected = tensor_bytes(tensor.dtype, tensor.shape);
    if (expected != tensor.data.size()) {
      throw WireError("tensor '" + tensor.name + "' is " + std::to_string(expected) + " bytes by its shape, got " +
                      std::to_string(tensor.data.size()));
    }
    Json::Object entry{{"name", tensor.name},
                       {"dtype", tensor.dtype},
                       {"shape", Json::Array(tensor.shape.begin(), tensor.shape.end())},
                       {"offset", total}};
    if (tensor.set) entry.emplace("set", *tensor.set);
    entries.emplace_back(std::move(entry));
    total += expected;
    if (total > kMaxBodyBytes) throw WireError("tensors of over " + std::to_string(kMaxBodyBytes) + " bytes do not fit one frame");
  }
  Frame frame{type, std::move(meta), {}};
  frame.body.reserve(total);
  for (const Tensor& tensor : tensors) frame.body += tensor.data;
  frame.meta["tensors"] = std::move(entries);
  return frame;
}

std::vector<Tensor> tensors_of(const Frame& frame) {
  std::vector<Tensor> tensors;
  size_t end = 0;
  const Json& entries = frame.meta["tensors"];
  if (!entries.is_array() && frame.meta.has("tensors")) throw WireError("meta.tensors is not a list");
  if (entries.is_array()) {
    for (const Json& entry : entries.as_array()) {
      if (!entry.is_object()) throw WireError("a tensor's description is not an object");
      if (!entry["name"].is_string() || !entry["dtype"].is_string() || !entry["shape"].is_array()) {
        throw WireError("a tensor needs name, dtype and shape: " + entry.excerpt(120));
      }
      Tensor tensor{entry["name"].as_string(), entry["dtype"].as_string(), shape_of(entry), {}, {}};
      const Json& number = entry["set"];
      if (!number.is_null()) {
        if (!number.is_count()) throw WireError("tensor '" + tensor.name + "': bad set " + number.excerpt(40));
        tensor.set = number.as_integer();
      }
      const size_t size = tensor_bytes(tensor.dtype, tensor.shape);
      const Json& offset = entry["offset"];
      if (!offset.is_count() || static_cast<uint64_t>(offset.as_integer()) != end) {
        throw WireError("tensor '" + tensor.name + "': offset " + offset.excerpt(40) + ", expected " + std::to_string(end));
      }
      if (end + size > frame.body.size()) {
        throw WireError("tensor '" + tensor.name + "' ends at " + std::to_string(end + size) + ", the body at " +
                        std::to_string(frame.body.size()));
      }
      tensor.data = std::string_view(frame.body).substr(end, size);
      end += size;
      tensors.push_back(std::move(tensor));
    }
  }
  if (end != frame.body.size()) throw WireError(std::to_string(frame.body.size() - end) + " bytes of the body belong to no tensor");
  return tensors;
}

Header parse_header(std::string_view bytes) {
  if (bytes.substr(0, 4) != kMagic) throw WireError("not an edgeflow frame: " + printable(bytes));
  const uint16_t version = get_u16(bytes, 4), type = get_u16(bytes, 6);
  const uint32_t meta_bytes = get_u32(bytes, 8), body_bytes = get_u32(bytes, 12);
  if (version != kProtocolVersion) {
    throw WireError("protocol version " + std::to_string(version) + ", this side speaks " + std::to_string(kProtocolVersion));
  }
  if (meta_bytes > kMaxMetaBytes) {
    throw WireError("meta of " + std::to_string(meta_bytes) + " bytes is over the limit of " + std::to_string(kMaxMetaBytes));
  }
  if (body_bytes > kMaxBodyBytes) {
    throw WireError("a body of " + std::to_string(body_bytes) + " bytes is over the limit of " + std::to_string(kMaxBodyBytes));
  }
  if (type < 1 || type > 5) throw WireError("unknown frame type " + std::to_string(type));
  return Header{static_cast<FrameType>(type), meta_bytes, body_bytes};
}

Json parse_meta(std::string_view bytes) {
  try {
    Json meta = Json::parse(bytes);
    if (meta.is_object()) return meta;
  } catch (const JsonError& error) {
    throw WireError(std::string("meta is not JSON in UTF-8: ") + error.what());
  }
  throw WireError("meta is not a JSON object");
}

std::vector<Frame> FrameParser::feed(std::string_view bytes) {
  if (!failed_.empty()) throw WireError(failed_);
  buffer_ += bytes;
  std::vector<Frame> frames;
  try {
    for (Frame frame; next(frame);) frames.push_back(std::move(frame));
  } catch (const WireError& error) {
    failed_ = error.what();
    buffer_.clear();
    header_.reset();
    if (frames.empty()) throw;
  }
  return frames;
}

void FrameParser::finish() const {
  if (!failed_.empty()) throw WireError(failed_);
  if (pending_bytes() != 0) throw WireError("the input ended inside a frame");
}

bool FrameParser::next(Frame& frame) {
  if (!header_) {
    if (buffer_.size() < kHeaderBytes) {
      // A wrong first byte is an error at once: a login banner must not look like a slow peer.
      const std::string_view begin = std::string_view(buffer_).substr(0, kMagic.size());
      if (kMagic.substr(0, begin.size()) != begin) throw WireError("not an edgeflow frame: " + printable(begin));
      return false;
    }
    header_ = parse_header(std::string_view(buffer_).substr(0, kHeaderBytes));
    buffer_.erase(0, kHeaderBytes);
  }
  const size_t meta_bytes = header_->meta_bytes, whole = meta_bytes + header_->body_bytes;
  if (buffer_.size() < whole) return false;
  frame.type = header_->type;
  frame.meta = parse_meta(std::string_view(buffer_).substr(0, meta_bytes));
  frame.body = buffer_.substr(meta_bytes, header_->body_bytes);
  buffer_.erase(0, whole);
  header_.reset();
  return true;
}

}  // namespace edgeflow
