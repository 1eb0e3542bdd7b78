#include "worker/backends/paddlelite_model.h"

#include <cstring>
#include <fstream>
#include <set>
#include <string_view>

#include "common/fault.h"
#include "common/text.h"

namespace edgeflow::paddlelite {
namespace {

// The header: u16 version of the format, 16 bytes of opt's version, u64 size of the graph, the graph.
constexpr size_t kHeaderBytes = 26;
constexpr size_t kVersionBytes = 16;
constexpr uint16_t kFormat = 2;
constexpr uint64_t kMaxGraphBytes = 64 << 20;
constexpr const char* kKernelAttribute = "__@kernel_type_attr@__";

#if defined(__x86_64__) || defined(__i386__)
constexpr int kOurTarget = kTargetX86;
constexpr const char* kOurName = "x86";
#else
constexpr int kOurTarget = kTargetArm;
constexpr const char* kOurName = "ARM";
#endif

[[noreturn]] void refuse(const std::string& why) {
  throw Fault("load_failed", "the file is no .nb model of Paddle Lite's opt: " + why);
}

// A place in the graph, which is a FlatBuffer of Paddle Lite's framework.fbs. Every access stays within the graph.
class Place {
 public:
  Place(std::string_view graph, size_t at) : graph_(graph), at_(at) {}

  // The graph's root table.
  static Place root(std::string_view graph) { return Place(graph, 0).referred(); }

  template <typename Number>
  Number number() const {
    Number value;
    if (at_ > graph_.size() || graph_.size() - at_ < sizeof value) refuse("it is cut");
    std::memcpy(&value, graph_.data() + at_, sizeof value);
    return value;
  }

  // Of a table: the field of that number. `found` is false where the table leaves it out.
  Place field(size_t index, bool& found) const {
    const auto back = static_cast<int64_t>(at_) - number<int32_t>();
    if (back < 0) refuse("it is damaged");
    const Place layout(graph_, static_cast<size_t>(back));
    const size_t slot = 4 + 2 * index;
    const uint16_t offset = slot + 2 <= layout.number<uint16_t>() ? layout.moved(slot).number<uint16_t>() : uint16_t{0};
    found = offset != 0;
    return moved(offset);
  }
  // A field that is a table, a text or a list, which must be there.
  Place child(size_t index) const {
    bool found = false;
    const Place place = field(index, found);
    if (!found) refuse("it is damaged");
    return place.referred();
  }
  // The items of a field that is a list of tables or texts.
  std::vector<Place> children(size_t index) const {
    bool found = false;
    const Place place = field(index, found);
    std::vector<Place> items;
    if (!found) return items;
    const Place list = place.referred();
    const auto count = list.number<uint32_t>();
    if (count > graph_.size() / 4) refuse("it is damaged");
    for (uint32_t i = 0; i < count; ++i) items.push_back(list.moved(4 + size_t{4} * i).referred());
    return items;
  }
  std::vector<int64_t> longs(size_t index) const {
    bool found = false;
    const Place place = field(index, found);
    std::vector<int64_t> values;
    if (!found) return values;
    const Place list = place.referred();
    const auto count = list.number<uint32_t>();
    if (count > graph_.size() / 8) refuse("it is damaged");
    for (uint32_t i = 0; i < count; ++i) values.push_back(list.moved(4 + size_t{8} * i).number<int64_t>());
    return values;
  }
  std::string text() const {
    const auto length = number<uint32_t>();
    if (length > graph_.size() - at_ - 4) refuse("it is cut");
    const std::string_view found = graph_.substr(at_ + 4, length);
    if (valid_utf8(found) != found) refuse("it is damaged");
    return std::string(found);
  }

 private:
  Place moved(size_t bytes) const { return Place(graph_, at_ + bytes); }
  Place referred() const { return moved(number<uint32_t>()); }

  std::string_view graph_;
  size_t at_;
};

// Indexes of fields in framework.fbs.
constexpr size_t kProgramBlocks = 0, kBlockVars = 2, kBlockOps = 3;
constexpr size_t kVarName = 0, kVarType = 1, kTypeTensor = 2, kTensorDesc = 0, kDescDims = 1;
constexpr size_t kOpType = 0, kOpOutputs = 2, kOpAttrs = 3, kSlotNames = 1, kAttrName = 0, kAttrText = 4;

Kernel kernel_of(const std::string& text) {
  std::vector<std::string> words{""};
  for (const char letter : text) {
    if (letter == '/') words.emplace_back();
    else words.back().push_back(letter);
  }
  const auto digits = [](const std::string& word) {
    return !word.empty() && word.size() < 4 && word.find_first_not_of("0123456789") == std::string::npos;
  };
  if (words.size() != 5 || !digits(words[2]) || !digits(words[3])) refuse("a kernel is called " + text.substr(0, 80));
  return {words[0], std::stoi(words[2]), std::stoi(words[3])};
}

std::string name_of(int target) {
  static const std::map<int, std::string> names = {{kTargetX86, "x86"}, {3, "CUDA"}, {kTargetArm, "ARM"}, {5, "OpenCL"},
                                                   {9, "XPU"}, {17, "Metal"}, {18, "NNAdapter"}};
  const auto found = names.find(target);
  return found == names.end() ? "target " + std::to_string(target) : found->second;
}

std::string graph_in(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char header[kHeaderBytes];
  if (!file.read(header, sizeof header)) refuse("it is shorter than its header");
  uint16_t format = 0;
  uint64_t bytes = 0;
  std::memcpy(&format, header, sizeof format);
  std::memcpy(&bytes, header + sizeof format + kVersionBytes, sizeof bytes);
  if (format != kFormat) refuse("its format is number " + std::to_string(format) + ", and only 2 is known (opt 2.7 and newer)");
  if (bytes == 0 || bytes > kMaxGraphBytes) refuse("it is damaged");
  std::string graph(static_cast<size_t>(bytes), '\0');
  if (!file.read(graph.data(), static_cast<std::streamsize>(bytes))) refuse("it is cut");
  return graph;
}

}  // namespace

Model read_model(const std::string& path) {
  const std::string graph = graph_in(path);
  const std::vector<Place> blocks = Place::root(graph).children(kProgramBlocks);
  if (blocks.empty()) refuse("it has no graph");
  Model model;
  for (const Place& block : blocks) {
    for (const Place& operation : block.children(kBlockOps)) {
      for (const Place& attribute : operation.children(kOpAttrs)) {
        if (attribute.child(kAttrName).text() != kKernelAttribute) continue;
        model.kernels.push_back(kernel_of(attribute.child(kAttrText).text()));
      }
      if (operation.child(kOpType).text() != "feed") continue;
      for (const Place& slot : operation.children(kOpOutputs)) {
        for (const Place& name : slot.children(kSlotNames)) model.inputs[name.text()];
      }
    }
  }
  if (model.kernels.empty()) refuse("it names no kernel");
  for (const Place& variable : blocks.front().children(kBlockVars)) {
    const auto input = model.inputs.find(variable.child(kVarName).text());
    if (input == model.inputs.end()) continue;
    input->second = variable.child(kVarType).child(kTypeTensor).child(kTensorDesc).longs(kDescDims);
  }
  return model;
}

void require_target(const Model& model) {
  std::set<int> others;
  for (const Kernel& kernel : model.kernels) {
    if (kernel.target != kTargetHost && kernel.target != kTargetAny && kernel.target != kOurTarget) others.insert(kernel.target);
  }
  if (others.empty()) return;
  std::string names;
  for (const int target : others) names.append(names.empty() ? "" : " and ").append(name_of(target));
  throw Fault("load_failed", "the model was optimised for " + names + ", but this device computes on " + kOurName +
                                 ": convert it for this device");
}

std::string compute_dtype(const Model& model) {
  bool half = false;
  for (const Kernel& kernel : model.kernels) {
    if (kernel.precision == kPrecisionInt8) return "int8";
    half = half || kernel.precision == kPrecisionFp16;
  }
  return half ? "fp16" : "fp32";
}

}  // namespace edgeflow::paddlelite
