#include "core/sampler.h"

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace edgeflow {
namespace {

constexpr int64_t kNone = INT64_MIN;

// Of a frame's 1 MiB of meta half is for samples. Bytes of JSON that a sample takes: its time and two shares, and
// one number for each zone and CPU.
constexpr size_t kMaxTextBytes = size_t{512} << 10;
constexpr size_t kRowBytes = 64;
constexpr size_t kNumberBytes = 10;

Json share(int64_t part, int64_t part_before, int64_t elapsed) {
  if (part == kNone || part_before == kNone) return nullptr;
  return static_cast<double>(part - part_before) / static_cast<double>(elapsed);
}

bool any(const Json::Array& values) {
  return std::any_of(values.begin(), values.end(), [](const Json& value) { return !value.is_null(); });
}

template <typename Column>
std::vector<Column> columns_of(std::vector<Sensor> sensors) {
  std::vector<Column> columns;
  for (Sensor& sensor : sensors) columns.push_back({std::move(sensor), {}});
  return columns;
}

// Series by name, of whoever answered once; each as long as t_ns.
template <typename Column>
void add_series(const std::vector<Column>& columns, Json& series) {
  for (const Column& column : columns) {
    Json::Array values;
    for (const int64_t value : column.values) {
      values.push_back(value == kNone ? Json() : Json(static_cast<double>(value) / 1000.0));
    }
    if (any(values)) series[column.sensor.name] = std::move(values);
  }
}

template <typename Value>
void keep_odd(std::vector<Value>& values) {
  for (size_t at = 0; 2 * at + 1 < values.size(); ++at) values[at] = values[2 * at + 1];
  values.resize(values.size() / 2);
}

}  // namespace

Sampler::Sampler(pid_t worker, double period_ms, const std::string& root, ClockFn clock_ns)
    : clock_ns_(clock_ns),
      machine_(joined(root, "proc/stat")),
      worker_(joined(root, "proc/" + std::to_string(worker) + "/stat")),
      zones_(columns_of<Column>(thermal_zones(root))),
      sensors_(columns_of<Column>(hwmon_temperatures(root))),
      frequencies_(columns_of<Column>(cpu_frequencies(root))),
      period_ns_(static_cast<int64_t>(period_ms * 1e6)) {
  const size_t columns = std::max(zones_.size(), sensors_.size()) + frequencies_.size();
  max_samples_ = std::max<size_t>(64, kMaxTextBytes / (kRowBytes + kNumberBytes * columns));
}

Sampler::~Sampler() { end_thread(); }

void Sampler::start() {
  baseline_ = ticks();
  thread_ = std::thread([this] { loop(); });
}

Json Sampler::stop() {
  if (thread_.joinable()) {
    end_thread();
    sample();
  }
  Json::Array load, worker_load;
  Ticks before = baseline_;
  for (const Ticks& now : ticks_) {
    const bool known = now.total != kNone && before.total != kNone && now.total > before.total;
    load.push_back(known ? share(now.busy, before.busy, now.total - before.total) : Json());
    worker_load.push_back(known ? share(now.worker, before.worker, now.total - before.total) : Json());
    before = now;
  }
  Json found = Json::Object{{"t_ns", Json::Array(t_ns_.begin(), t_ns_.end())}};
  if (any(load)) found["load"] = std::move(load);
  if (any(worker_load)) found["worker_load"] = std::move(worker_load);
  Json temperatures = Json::Object(), frequencies = Json::Object();
  add_series(zones_, temperatures);
  add_series(sensors_, temperatures);
  add_series(frequencies_, frequencies);
  if (!temperatures.as_object().empty()) found["temperature_c"] = std::move(temperatures);
  if (!frequencies.as_object().empty()) found["frequency_mhz"] = std::move(frequencies);
  return found;
}

void Sampler::sample() {
  if (t_ns_.size() >= max_samples_) drop_every_second();
  t_ns_.push_back(clock_ns_());
  ticks_.push_back(ticks());
  if (read_into(zones_)) {
    for (Column& column : sensors_) column.values.push_back(kNone);
  } else {
    read_into(sensors_);
  }
  read_into(frequencies_);
}

void Sampler::loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!changed_.wait_for(lock, std::chrono::nanoseconds(period_ns_), [this] { return stopped_; })) {
    lock.unlock();
    sample();
    lock.lock();
  }
}

Sampler::Ticks Sampler::ticks() {
  char text[1024];
  Ticks found{kNone, kNone, kNone};
  if (const auto times = cpu_times_in(machine_.read(text, sizeof text))) {
    found.busy = times->busy;
    found.total = times->total;
  }
  found.worker = process_ticks_in(worker_.read(text, sizeof text)).value_or(kNone);
  return found;
}

// One more value in each column; true where one of them answered.
bool Sampler::read_into(std::vector<Column>& columns) {
  bool answered = false;
  for (Column& column : columns) {
    const std::optional<int64_t> value = column.sensor.file.number();
    column.values.push_back(value.value_or(kNone));
    answered = answered || value;
  }
  return answered;
}

void Sampler::drop_every_second() {
  keep_odd(t_ns_);
  keep_odd(ticks_);
  for (std::vector<Column>* columns : {&zones_, &sensors_, &frequencies_}) {
    for (Column& column : *columns) keep_odd(column.values);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  period_ns_ *= 2;
}

void Sampler::end_thread() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace edgeflow
