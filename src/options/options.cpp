#include "options/options.h"

#include <weir/error.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "base/fatal.h"
#include "base/units.h"
#include "base/words.h"
#include "options/strategies.h"

namespace weir {
namespace {

using base::format_size;
using base::kKiB;
using base::kMiB;
using base::size_text;

constexpr std::size_t kLeastBytes = 256 * kKiB;
constexpr std::size_t kMostBytes = std::size_t{1} << 42;
constexpr std::size_t kLeastSlab = 64 * kKiB;
constexpr std::size_t kMostSlab = 2 * kMiB;
constexpr std::uint32_t kLeastClass = 64;
constexpr std::uint32_t kPage = 4096;
constexpr std::size_t kMostClasses = 120;
constexpr std::uint32_t kMostDecay = 86400;
constexpr std::uint32_t kMostRingEntries = 32768;  // the kernel's limit
constexpr std::uint32_t kMostMilliseconds = kMostDecay * 1000;
constexpr const char* kNotUnderstood = "is not understood";

template <typename Number>
bool set_size(Number& target, std::string_view text) {
  const auto size = base::parse_size(text);
  if (!size || !std::in_range<Number>(*size)) return false;
  target = static_cast<Number>(*size);
  return true;
}

/// One or more with commas, each as `set_one` takes it.
template <typename Each, typename SetOne>
bool set_list(std::vector<Each>& target, std::string_view text, SetOne set_one) {
  std::vector<Each> all;
  while (true) {
    const std::size_t comma = text.find(',');
    if (!set_one(all.emplace_back(), text.substr(0, comma))) return false;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  target = std::move(all);
  return true;
}

template <typename Each, typename ShowOne>
std::string list_text(const std::vector<Each>& all, ShowOne show_one) {
  std::string text;
  for (const Each& each : all) text += (text.empty() ? "" : ",") + show_one(each);
  return text;
}

bool set_classes(std::vector<std::uint32_t>& target, std::string_view text) {
  return set_list(target, text, set_size<std::uint32_t>);
}

bool set_page_classes(std::vector<std::uint32_t>& target, std::string_view text) {
  if (text != "none") return set_classes(target, text);
  target.clear();
  return true;
}

std::string classes_text(const std::vector<std::uint32_t>& classes) { return list_text(classes, size_text); }

bool set_class_limit(ClassLimit& limit, std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  return set_size(limit.buffer_bytes, text.substr(0, colon)) &&
         set_size(limit.most_bytes, text.substr(std::min(text.size(), colon + 1)));
}

bool set_class_limits(std::vector<ClassLimit>& target, std::string_view text) {
  if (text != "none") return set_list(target, text, set_class_limit);
  target.clear();
  return true;
}

std::string class_limits_text(const std::vector<ClassLimit>& limits) {
  if (limits.empty()) return "none";
  return list_text(limits, [](const ClassLimit& limit) {
    return size_text(limit.buffer_bytes) + ":" + size_text(limit.most_bytes);
  });
}

template <typename Number>
bool set_number(Number& target, std::string_view text) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), target);
  return error == std::errc{} && end == text.data() + text.size();
}

bool set_nodes(std::vector<int>& target, std::string_view text) {
  if (text != "all") return set_list(target, text, set_number<int>);
  target.clear();
  return true;
}

std::string nodes_text(const std::vector<int>& nodes) {
  return nodes.empty() ? "all" : list_text(nodes, [](int node) { return std::to_string(node); });
}

constexpr std::array<std::pair<const char*, Pages>, 5> kPagesNames{{{"auto", Pages::automatic},
                                                                    {"1g", Pages::huge_1g},
                                                                    {"2m", Pages::huge_2m},
                                                                    {"thp", Pages::transparent},
                                                                    {"4k", Pages::small}}};
constexpr std::array<std::pair<const char*, Placement>, 2> kPlacementNames{
    {{"local", Placement::local}, {"interleave", Placement::interleave}}};

constexpr std::array<std::pair<const char*, Alerts>, 3> kAlertsNames{
    {{"stderr", Alerts::standard_error}, {"journald", Alerts::journal}, {"off", Alerts::off}}};

template <typename Names, typename Value>
bool set_by_name(const Names& names, Value& target, std::string_view text) {
  const auto entry = std::find_if(names.begin(), names.end(), [&](auto& each) { return text == each.first; });
  if (entry != names.end()) target = entry->second;
  return entry != names.end();
}

template <typename Names, typename Value>
const char* name_among(const Names& names, Value value) {
  return std::find_if(names.begin(), names.end(), [&](auto& each) { return each.second == value; })->first;
}

bool set_strategy(Strategy& target, std::string_view text) {
  const auto strategy = strategy_named(text);
  target = strategy.value_or(target);
  return strategy.has_value();
}

bool set_flag(bool& target, std::string_view text) {
  if (text != "0" && text != "1") return false;
  target = text == "1";
  return true;
}

struct Option {
  const char* name;
  const char* form;
  const char* example;
  const char* meaning;
  bool (*set)(Options&, std::string_view);  ///< false: the text has not the accepted form
  std::string (*show)(const Options&);
};

constexpr std::array kOptions{
    Option{"WEIR_BYTES", "a size from 256k to 4096g", "64m",
           "memory of a pool over all its nodes, mapped, populated and locked at start",
           [](Options& o, std::string_view text) { return set_size(o.bytes, text); },
           [](const Options& o) { return size_text(o.bytes); }},
    Option{"WEIR_CLASSES", "ascending sizes with commas, multiples of 64 from 64 to 2m, at most 120", "512,2k,16k",
           "sizes of the buffers", [](Options& o, std::string_view text) { return set_classes(o.classes, text); },
           [](const Options& o) { return classes_text(o.classes); }},
    Option{"WEIR_PAGE_CLASSES", "ascending sizes with commas, multiples of 4k up to 2m, or none", "4k,16k,64k",
           "sizes of the page-aligned buffers, for files and O_DIRECT",
           [](Options& o, std::string_view text) { return set_page_classes(o.page_classes, text); },
           [](const Options& o) { return o.page_classes.empty() ? "none" : classes_text(o.page_classes); }},
    Option{"WEIR_MAX_BYTES", "a size from WEIR_BYTES to 4096g, or 0", "1g",
           "most memory that the pool may map; 0: it does not grow",
           [](Options& o, std::string_view text) { return set_size(o.max_bytes, text); },
           [](const Options& o) { return size_text(o.max_bytes); }},
    Option{"WEIR_NODE_MAX_BYTES", "a size from 64k to 4096g, or 0", "512m",
           "most memory that the pool may map on one node; 0: as much as WEIR_MAX_BYTES",
           [](Options& o, std::string_view text) { return set_size(o.node_max_bytes, text); },
           [](const Options& o) { return size_text(o.node_max_bytes); }},
    Option{"WEIR_CLASS_MAX_BYTES",
           "class:size with commas, each class one of WEIR_CLASSES or WEIR_PAGE_CLASSES, or none", "4k:32m,64k:64m",
           "most memory that the buffers of a size may have",
           [](Options& o, std::string_view text) { return set_class_limits(o.class_max_bytes, text); },
           [](const Options& o) { return class_limits_text(o.class_max_bytes); }},
    Option{"WEIR_NODES", "ascending numbers with commas, or all", "0", "NUMA nodes that memory is taken from",
           [](Options& o, std::string_view text) { return set_nodes(o.nodes, text); },
           [](const Options& o) { return nodes_text(o.nodes); }},
    Option{"WEIR_PLACEMENT", "local or interleave", "interleave",
           "local: a thread is lent memory of its node; interleave: of all nodes in turn, slab by slab",
           [](Options& o, std::string_view text) { return set_by_name(kPlacementNames, o.placement, text); },
           [](const Options& o) { return std::string(name_among(kPlacementNames, o.placement)); }},
    Option{"WEIR_GROW", "a size from 64k to 4096g, or 0", "16m",
           "a thread of the pool maps so much more where memory is short, up to WEIR_MAX_BYTES; 0: it does not",
           [](Options& o, std::string_view text) { return set_size(o.grow_bytes, text); },
           [](const Options& o) { return size_text(o.grow_bytes); }},
    Option{"WEIR_LOW_WATER", "a size up to 4096g, or 0", "8m",
           "less free memory than this is short; 0: it is short when a size finds none",
           [](Options& o, std::string_view text) { return set_size(o.low_water_bytes, text); },
           [](const Options& o) { return size_text(o.low_water_bytes); }},
    Option{"WEIR_DECAY", "seconds up to 86400, or 0", "60",
           "memory beyond the first arena of a node goes back to the system when unused for so long; 0: it does not",
           [](Options& o, std::string_view text) { return set_number(o.decay_seconds, text); },
           [](const Options& o) { return std::to_string(o.decay_seconds); }},
    Option{"WEIR_SLAB", "a power of two from 64k to 2m", "2m", "most memory that a size class takes at once",
           [](Options& o, std::string_view text) { return set_size(o.slab_bytes, text); },
           [](const Options& o) { return size_text(o.slab_bytes); }},
    Option{"WEIR_PAGES", "auto, 1g, 2m, thp or 4k", "auto",
           "first rung of the page ladder 1 GiB hugetlb > 2 MiB hugetlb > transparent huge > 4 KiB; auto: 2m, or 1g "
           "where whole ones fit and are free",
           [](Options& o, std::string_view text) { return set_by_name(kPagesNames, o.pages, text); },
           [](const Options& o) { return std::string(name_of(o.pages)); }},
    Option{"WEIR_STRICT", "0 or 1", "1", "1: refuse to start rather than take lesser memory than WEIR_PAGES asks for",
           [](Options& o, std::string_view text) { return set_flag(o.strict, text); },
           [](const Options& o) { return std::string(o.strict ? "1" : "0"); }},
    Option{"WEIR_TRACE", "0 or 1", "1", "1: note the thread and stack of each borrower, so that errors name it; slower",
           [](Options& o, std::string_view text) { return set_flag(o.trace, text); },
           [](const Options& o) { return std::string(o.trace ? "1" : "0"); }},
    Option{"WEIR_SCRUB", "0 or 1", "1",
           "1: overwrite each dropped buffer with zeros, so that nobody reads another's; slower",
           [](Options& o, std::string_view text) { return set_flag(o.scrub, text); },
           [](const Options& o) { return std::string(o.scrub ? "1" : "0"); }},
    Option{"WEIR_RECV_BYTES", "a size from 1 up to the largest class", "16k",
           "size of the buffers in a receiver's ring; where the size is predicted, the largest is four times as much",
           [](Options& o, std::string_view text) { return set_size(o.receive_bytes, text); },
           [](const Options& o) { return size_text(o.receive_bytes); }},
    Option{"WEIR_RING_ENTRIES", "a power of two from 1 to 32768", "256",
           "most buffers that each ring of a receiver keeps ready in the kernel; it has as many as its demand asks for",
           [](Options& o, std::string_view text) { return set_size(o.ring_entries, text); },
           [](const Options& o) { return std::to_string(o.ring_entries); }},
    Option{"WEIR_RECV", detail::kStrategyForm, "ring",
           "how receivers get data; auto: ring_adaptive, or poll_adaptive before Linux 6.0, or epoll without io_uring",
           [](Options& o, std::string_view text) { return set_strategy(o.recv, text); },
           [](const Options& o) { return std::string(name_of(o.recv)); }},
    Option{"WEIR_IDLE", "milliseconds up to 86400000, or 0", "5000",
           "a receive without data for so long is cancelled, and its connection waits by poll; 0: never",
           [](Options& o, std::string_view text) { return set_number(o.idle_ms, text); },
           [](const Options& o) { return std::to_string(o.idle_ms); }},
    Option{"WEIR_DEADLINE", "milliseconds up to 86400000, or 0", "60000",
           "a connection without data for so long, or up to an eighth longer, is ended as timed out; 0: never",
           [](Options& o, std::string_view text) { return set_number(o.deadline_ms, text); },
           [](const Options& o) { return std::to_string(o.deadline_ms); }},
    Option{"WEIR_ALERTS", "stderr, journald or off", "journald",
           "who is told of degradation, exhaustion, stuck cancels and failed growth, unless the program has a sink",
           [](Options& o, std::string_view text) { return set_by_name(kAlertsNames, o.alerts, text); },
           [](const Options& o) { return std::string(name_among(kAlertsNames, o.alerts)); }},
};

// Not std::ranges::find and its kin: libc++ has them from its version 15 on.
const Option* find_option(std::string_view name) {
  const auto is_it = [&](const Option& option) { return option.name == name; };
  const auto* const found = std::find_if(kOptions.begin(), kOptions.end(), is_it);
  return found != kOptions.end() ? &*found : nullptr;
}
const Option& option_named(std::string_view name) { return *find_option(name); }

std::string fault_of(const Option& option, const std::string& value, const std::string& why) {
  return std::string(option.name) + "='" + value + "' " + why + ": it takes " + option.form + "; for example: export " +
         option.name + "=" + option.example;
}

/// What is wrong with options: by name, the first fault of each, in the order in which they were found.
class Faults {
 public:
  explicit Faults(const Options& options) : options_(options) {}

  void require(bool holds, const char* name, const std::string& why) {
    if (holds || !of(name).empty()) return;
    const Option& option = option_named(name);
    found_.emplace_back(name, fault_of(option, option.show(options_), why));
  }

  const std::string* first() const { return found_.empty() ? nullptr : &found_.front().second; }
  /// Empty when there is none.
  std::string of(std::string_view name) const {
    const auto found =
        std::find_if(found_.begin(), found_.end(), [&](const auto& fault) { return fault.first == name; });
    return found != found_.end() ? found->second : "";
  }

 private:
  const Options& options_;
  std::vector<std::pair<std::string, std::string>> found_;
};

void require_sizes(Faults& faults, const std::vector<std::uint32_t>& sizes, const char* name, std::uint32_t step) {
  faults.require(sizes.size() <= kMostClasses, name, "has more than 120 sizes");
  faults.require(std::adjacent_find(sizes.begin(), sizes.end(), std::greater_equal<>{}) == sizes.end(), name,
                 "is not ascending");
  for (const std::uint32_t bytes : sizes) {
    faults.require(
        bytes % step == 0 && bytes >= step && bytes <= kMostSlab, name,
        "has the size " + std::to_string(bytes) + ", which is no multiple of " + std::to_string(step) + " up to 2m");
  }
}

void require_class_limits(Faults& faults, const Options& o) {
  const auto has = [](const std::vector<std::uint32_t>& sizes, std::uint32_t bytes) {
    return std::find(sizes.begin(), sizes.end(), bytes) != sizes.end();
  };
  const auto& limits = o.class_max_bytes;
  for (auto each = limits.begin(); each != limits.end(); ++each) {
    const std::string class_text = size_text(each->buffer_bytes);
    faults.require(has(o.classes, each->buffer_bytes) || has(o.page_classes, each->buffer_bytes),
                   "WEIR_CLASS_MAX_BYTES", "names " + class_text + ", which is no class");
    const bool twice =
        std::any_of(limits.begin(), each, [&](auto& other) { return other.buffer_bytes == each->buffer_bytes; });
    faults.require(!twice, "WEIR_CLASS_MAX_BYTES", "names " + class_text + " twice");
  }
}

Faults find_faults(const Options& o) {
  Faults faults(o);
  faults.require(o.bytes >= kLeastBytes && o.bytes <= kMostBytes, "WEIR_BYTES", "is out of range");
  faults.require(std::has_single_bit(o.slab_bytes) && o.slab_bytes >= kLeastSlab && o.slab_bytes <= kMostSlab,
                 "WEIR_SLAB", "is not such a power of two");
  faults.require(!o.classes.empty(), "WEIR_CLASSES", "is empty");
  require_sizes(faults, o.classes, "WEIR_CLASSES", kLeastClass);
  require_sizes(faults, o.page_classes, "WEIR_PAGE_CLASSES", kPage);
  faults.require(o.max_bytes == 0 || (o.max_bytes >= o.bytes && o.max_bytes <= kMostBytes), "WEIR_MAX_BYTES",
                 "is less than WEIR_BYTES or too much");
  faults.require(o.node_max_bytes == 0 || (o.node_max_bytes >= kLeastSlab && o.node_max_bytes <= kMostBytes),
                 "WEIR_NODE_MAX_BYTES", "is out of range");
  require_class_limits(faults, o);
  faults.require(std::adjacent_find(o.nodes.begin(), o.nodes.end(), std::greater_equal<>{}) == o.nodes.end(),
                 "WEIR_NODES", "is not ascending");
  faults.require(o.nodes.empty() || o.nodes.front() >= 0, "WEIR_NODES", "has a node below 0");
  faults.require(o.grow_bytes == 0 || (o.grow_bytes >= kLeastSlab && o.grow_bytes <= kMostBytes), "WEIR_GROW",
                 "is out of range");
  faults.require(o.low_water_bytes <= kMostBytes, "WEIR_LOW_WATER", "is too much");
  faults.require(o.decay_seconds <= kMostDecay, "WEIR_DECAY", "is too long");
  faults.require(o.receive_bytes > 0, "WEIR_RECV_BYTES", "is nothing");
  faults.require(std::has_single_bit(o.ring_entries) && o.ring_entries <= kMostRingEntries, "WEIR_RING_ENTRIES",
                 "is not such a power of two");
  faults.require(o.idle_ms <= kMostMilliseconds, "WEIR_IDLE", "is too long");
  faults.require(o.deadline_ms <= kMostMilliseconds, "WEIR_DEADLINE", "is too long");
  return faults;
}

/// The name that was probably meant; empty when none is near.
std::string nearest_name(const std::string& name) {
  const auto distance = [&](const Option& option) { return base::edit_distance(name, option.name); };
  const Option& nearest = *std::min_element(
      kOptions.begin(), kOptions.end(), [&](const Option& a, const Option& b) { return distance(a) < distance(b); });
  return distance(nearest) * 3 < name.size() - std::string_view("WEIR").size() ? nearest.name : "";
}

void warn_of(const UnknownVariable& unknown) {
  const std::string meant = unknown.nearest.empty() ? "" : "did you mean " + unknown.nearest + "? ";
  base::warn("%s is ignored: there is no such option; %s`weir env` lists them all", unknown.name.c_str(),
             meant.c_str());
}

}  // namespace

const char* name_of(Pages pages) { return name_among(kPagesNames, pages); }

Options Options::from_env() {
  const Environment environment = own_environment();
  Options options;
  for (const Option& option : kOptions) {
    const auto given = environment.find(option.name);
    if (given != environment.end() && !option.set(options, given->second))
      throw Error(EINVAL, fault_of(option, given->second, kNotUnderstood));
  }
  for (const UnknownVariable& unknown : unknown_variables(environment)) warn_of(unknown);
  validate(options);
  return options;
}

void validate(const Options& options) {
  const Faults faults = find_faults(options);
  if (faults.first() != nullptr) throw Error(EINVAL, *faults.first());
}

std::vector<OptionLine> describe_options(const Environment& environment) {
  Options effective;
  std::vector<OptionLine> lines;
  for (const Option& option : kOptions) {
    const auto given = environment.find(option.name);
    OptionLine& line = lines.emplace_back(OptionLine{option.name, {}, "default", option.form, option.meaning, {}});
    if (given == environment.end()) continue;
    line.source = "environment";
    if (option.set(effective, given->second)) continue;
    line.value = given->second;
    line.fault = fault_of(option, given->second, kNotUnderstood);
  }
  const Faults faults = find_faults(effective);
  for (OptionLine& line : lines) {
    if (!line.fault.empty()) continue;
    line.value = option_named(line.name).show(effective);
    line.fault = faults.of(line.name);
  }
  return lines;
}

std::vector<UnknownVariable> unknown_variables(const Environment& environment) {
  std::vector<UnknownVariable> unknown;
  for (const auto& variable : environment) {
    const std::string& name = variable.first;
    if (find_option(name) == nullptr) unknown.push_back({name, nearest_name(name)});
  }
  return unknown;
}

}  // namespace weir
