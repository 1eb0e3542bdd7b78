#include "worker/backend.h"

#include <algorithm>

#include "common/fault.h"
#include "common/text.h"

namespace edgeflow {

void require_inputs(const std::vector<std::string>& expected, const std::vector<Tensor>& tensors) {
  std::vector<std::string> wanted = expected, given;
  for (const Tensor& tensor : tensors) given.push_back(tensor.name);
  std::sort(wanted.begin(), wanted.end());
  std::sort(given.begin(), given.end());
  if (given == wanted) return;
  throw Fault("bad_input", "the model's inputs are " + listed(wanted) + ", got " + listed(given));
}

}  // namespace edgeflow
