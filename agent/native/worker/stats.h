// Order statistics of timings, as the host has them (edgeflow_agent/stats.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace edgeflow {

// With fewer, even [min, max] covers the median less than 95 % of the time (1 - 2 * 0.5^5 = 0.9375).
inline constexpr size_t kMinSamplesForCi95 = 6;

// The largest j with P(Binomial(count, 1/2) <= j - 1) <= 0.025, counted from 1; 0 where there is none.
size_t ci95_rank(size_t count);

// Half the width of the median's 95 % confidence interval over the median: what ci_target is compared with.
// The interval is made of order statistics and free of any distribution: the j-th smallest and the j-th largest
// sample enclose the median with probability 1 - 2 * P(B <= j - 1), B ~ Binomial(n, 1/2); the largest j that
// keeps it >= 0.95 is taken (J.-Y. Le Boudec, Performance Evaluation of Computer and Communication Systems,
// 2010, theorem 2.1). None for fewer than kMinSamplesForCi95 samples, and for a median of 0.
std::optional<double> relative_half_width(std::vector<int64_t> samples);

}  // namespace edgeflow
