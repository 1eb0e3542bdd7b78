#include "worker/stats.h"

#include <algorithm>
#include <cmath>

namespace edgeflow {

size_t ci95_rank(size_t count) {
  const auto n = static_cast<double>(count);
  // Below this the tail weighs under 1e-20: summing from here keeps long series cheap.
  const double start = std::max(0.0, std::trunc(n / 2 - 5 * std::sqrt(n)) - 1);
  const double log_total = std::lgamma(n + 1) - n * std::log(2.0);
  double tail = 0;
  for (double successes = start; successes <= n; ++successes) {
    tail += std::exp(log_total - std::lgamma(successes + 1) - std::lgamma(n - successes + 1));
    if (tail > 0.025) return static_cast<size_t>(successes);
  }
  return 0;
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
