#include "stats/fields.h"

#include <algorithm>

namespace weir::detail {
namespace {

constexpr std::size_t field_count() {
  std::size_t count = 0;
  for (const RecordKind& kind : kRecordKinds) count += kind.fields.size();
  return count;
}
static_assert(kRecordKinds.size() <= kMaxRecordEntries);
static_assert(field_count() <= kMaxFieldEntries);

constexpr bool all_fit() {
  for (const RecordKind& kind : kRecordKinds) {
    if (kind.name.size() >= sizeof(RecordEntry::name)) return false;
    for (const Field& field : kind.fields) {
      if (field.place.name.size() >= sizeof(FieldEntry::name)) return false;
      if (field.meaning.size() >= sizeof(FieldEntry::meaning)) return false;
    }
  }
  return true;
}
static_assert(all_fit(), "a name or a meaning is too long for its entry");

template <std::size_t Size>
void put(std::array<char, Size>& to, std::string_view text) {
  text.copy(to.data(), Size - 1);
}

std::uint32_t narrow(std::size_t number) { return static_cast<std::uint32_t>(number); }

void write_field(FieldEntry& entry, const Field& field) {
  put(entry.name, field.place.name);
  put(entry.type, field.place.type);
  put(entry.kind, name_of(field.kind));
  put(entry.unit, field.unit);
  put(entry.meaning, field.meaning);
  entry.offset = narrow(field.place.offset);
  entry.bytes = narrow(field.place.bytes);
  entry.count = narrow(field.place.count);
  entry.shift = field.shift;
  entry.bits = field.bits;
}

}  // namespace

void write_tables(Segment& segment) {
  segment.header.tables = {.records_at = offsetof(Segment, record_entries),
                           .fields_at = offsetof(Segment, field_entries),
                           .record_stride = sizeof(RecordEntry),
                           .record_count = kRecordKinds.size(),
                           .field_stride = sizeof(FieldEntry),
                           .field_count = field_count()};
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < kRecordKinds.size(); ++i) {
    const RecordKind& kind = kRecordKinds[i];
    RecordEntry& entry = segment.record_entries[i];
    put(entry.name, kind.name);
    entry.offset = kind.offset;
    entry.stride = narrow(kind.stride);
    entry.count = narrow(kind.count);
    entry.first_field = next;
    entry.field_count = narrow(kind.fields.size());
    for (const Field& field : kind.fields) write_field(segment.field_entries[next++], field);
  }
}

}  // namespace weir::detail
