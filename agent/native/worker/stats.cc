#include "worker/stats.h"

#include <algorithm>

namespace edgeflow {

size_t ci95_rank(size_t count) {
  // Binomial coefficients over the middle one, each from the one above it: no logarithm of a factorial is needed,
  // whose code in libm is 47 KB of a static program. Terms below the bound add nothing to a double.
  constexpr double kNothing = 1e-20;
  const size_t middle = count / 2;
  const auto below = [count](double term, size_t k) {
    return term * static_cast<double>(k) / static_cast<double>(count - k + 1);
  };
  double half = 0;
  double term = 1;
  for (size_t k = middle; term > kNothing; --k) {  // the term below k = 0 is 0
    half += term;
    term = below(term, k);
  }
  const double total = count % 2 == 1 ? 2 * half : 2 * half - 1;
  size_t rank = middle;
  term = 1;
  for (double left = half - term; left > 0.025 * total; left -= term) {
    term = below(term, rank);
    --rank;
  }
  return rank;
}

std::optional<double> relative_half_width(std::vector<int64_t> samples) {
  const size_t count = samples.size();
  if (count < kMinSamplesForCi95) return std::nullopt;
  std::sort(samples.begin(), samples.end());
  const size_t middle = count / 2;
  const double median = count % 2 == 1 ? static_cast<double>(samples[middle])
                                       : static_cast<double>(samples[middle - 1] + samples[middle]) / 2;
  if (median <= 0) return std::nullopt;
  const size_t rank = ci95_rank(count);
  return static_cast<double>(samples[count - rank] - samples[rank - 1]) / 2 / median;
}

}  // namespace edgeflow
