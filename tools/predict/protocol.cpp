#include "predict/protocol.h"

#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace weir::predict {
namespace {

constexpr std::uint32_t kMostBytes = 1U << 24;

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  std::vector<std::string_view> words;
  for (auto begin = line.find_first_not_of(kSpace); begin != line.npos; begin = line.find_first_not_of(kSpace)) {
    line.remove_prefix(begin);
    words.push_back(line.substr(0, line.find_first_of(kSpace)));
    line.remove_prefix(words.back().size());
  }
  return words;
}

std::uint32_t number(std::string_view text, std::uint32_t most) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && value > 0 && value <= most) return value;
  throw std::invalid_argument("'" + std::string(text) + "' is no number from 1 to " + std::to_string(most));
}

}  // namespace

detail::Predictor& Protocol::stream(const std::string& name) {
  const auto found = streams_.find(name);
  if (found != streams_.end()) return found->second;
  throw std::invalid_argument("nothing is known of " + name + ": say `new " + name + "` first");
}

/// The last word of next, got and done may be a time, which makes no difference here.
std::string Protocol::answer(std::string_view line) {
  const std::vector<std::string_view> words = words_of(line);
  if (words.empty()) return {};
  const auto has = [&](std::string_view verb, std::size_t least, std::size_t most) {
    return words[0] == verb && words.size() >= least && words.size() <= most;
  };
  const std::string name(words.size() > 1 ? words[1] : "");
  if (has("new", 2, 2)) {
    streams_.insert_or_assign(name, detail::Predictor(costs_));
  } else if (has("next", 2, 3)) {
    return std::to_string(stream(name).predict());
  } else if (has("got", 4, 5)) {
    const std::uint32_t capacity = number(words[3], kMostBytes);
    stream(name).observe(number(words[2], capacity), capacity);
  } else if (has("done", 3, 4)) {
    stream(name);  // a receive that did not fill its buffer has said so already
  } else {
    throw std::invalid_argument(
        "it is none of `new CONN`, `next CONN`, `got CONN BYTES CAPACITY` and `done CONN TOTAL`");
  }
  return {};
}

}  // namespace weir::predict
