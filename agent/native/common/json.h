// JSON as the protocol has it (agent/PROTOCOL.md): strict to read, canonical to write.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace edgeflow {

// Text that is not JSON here, or a value that cannot be written as such.
struct JsonError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One JSON value. Objects are sorted by key, as canonical text wants them.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::map<std::string, Json, std::less<>>;
  // An integer that needs more than 64 bits (at most 20 digits): only ever handed back as it came.
  struct BigInteger {
    std::string digits;
    bool operator==(const BigInteger& other) const { return digits == other.digits; }
  };

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  template <typename T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>, int> = 0>
  Json(T value) : value_(static_cast<int64_t>(value)) {}
  Json(double value) : value_(value) {}
  Json(const char* text) : value_(std::string(text)) {}
  Json(std::string text) : value_(std::move(text)) {}
  Json(std::string_view text) : value_(std::string(text)) {}
  Json(BigInteger value) : value_(std::move(value)) {}
  Json(Array values) : value_(std::move(values)) {}
  Json(Object values) : value_(std::move(values)) {}

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_); }
  bool is_big_integer() const { return std::holds_alternative<BigInteger>(value_); }
  bool is_number() const { return is_integer() || is_big_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  // A whole number of zero or more.
  bool is_count() const { return is_integer() && as_integer() >= 0; }

  // Each throws JsonError where the value is of another type.
  bool as_bool() const { return get<bool>("a boolean"); }
  int64_t as_integer() const { return get<int64_t>("an integer"); }
  double as_double() const;
  const std::string& as_string() const { return get<std::string>("a string"); }
  const Array& as_array() const { return get<Array>("an array"); }
  const Object& as_object() const { return get<Object>("an object"); }
  Array& as_array() { return const_cast<Array&>(std::as_const(*this).as_array()); }
  Object& as_object() { return const_cast<Object&>(std::as_const(*this).as_object()); }

  // The member of that name, null where there is none or this is no object.
  const Json& operator[](std::string_view key) const;
  // The member of that name, made where there is none; a null becomes an object.
  Json& operator[](std::string_view key);
  bool has(std::string_view key) const { return is_object() && as_object().find(key) != as_object().end(); }
  void push_back(Json value) { as_array().push_back(std::move(value)); }

  bool operator==(const Json& other) const { return value_ == other.value_; }
  bool operator!=(const Json& other) const { return !(*this == other); }

  // Canonical text: sorted keys, no spaces, UTF-8 without escapes beyond JSON's own, numbers as Python's repr.
  // Throws JsonError on NaN and infinities.
  std::string text() const;
  // At most `limit` bytes of the text, for messages about values that a peer sent.
  std::string excerpt(size_t limit = 80) const;

  // One value and nothing after it. Throws JsonError; no more memory than a multiple of the text is taken.
  static Json parse(std::string_view text);

 private:
  template <typename T>
  const T& get(const char* what) const {
    if (const T* found = std::get_if<T>(&value_)) return *found;
    throw JsonError(std::string("expected ") + what);
  }

  std::variant<std::nullptr_t, bool, int64_t, BigInteger, double, std::string, Array, Object> value_ = nullptr;
};

}  // namespace edgeflow
