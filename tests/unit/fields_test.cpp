#include "stats/fields.h"
#include "stats/segment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace weir::detail {
namespace {

/// Of whatever type a member needs.
struct Anything {
  template <typename Type>
  operator Type() const;
};

/// How many members an aggregate has: as many initializers as it takes. A C array counts as all of its elements.
template <typename Record, typename... Initializers>
constexpr std::size_t member_count() {
  if constexpr (requires { Record{Initializers{}..., Anything{}}; }) {
    return member_count<Record, Initializers..., Anything>();
  } else {
    return sizeof...(Initializers);
  }
}

const RecordKind& kind_named(std::string_view name) {
  return *std::find_if(kRecordKinds.begin(), kRecordKinds.end(), [&](auto& kind) { return kind.name == name; });
}

std::size_t listed(std::string_view name) {
  std::set<std::size_t> offsets;
  for (const Field& field : kind_named(name).fields) offsets.insert(field.place.offset);
  return offsets.size();
}

TEST(Fields, EveryMemberOfEveryRecordIsListed) {
  EXPECT_EQ(listed("header") + 1, member_count<SegmentHeader>() + member_count<TablesPlace>());
  EXPECT_EQ(listed("pool"), member_count<PoolRecord>());
  EXPECT_EQ(listed("arena"), member_count<ArenaRecord>());
  EXPECT_EQ(listed("lane"), member_count<LaneRecord>());
  EXPECT_EQ(listed("ring"), member_count<RingRecord>());
  EXPECT_EQ(listed("receiver"), member_count<ReceiverRecord>());
  EXPECT_EQ(listed("thread"), member_count<ThreadRecord>());
  EXPECT_EQ(listed("magazine") + kMagazineSlots - 1, member_count<Magazine>());
}

TEST(Fields, EveryRecordOfTheSegmentIsListed) {
  const std::size_t tables = 2;
  EXPECT_EQ(kRecordKinds.size() + tables, member_count<Segment>());
}

/// A field of the wrong place would share bytes with another, or leave some out.
TEST(Fields, LieBehindOneAnother) {
  for (const RecordKind& kind : kRecordKinds) {
    std::size_t end = 0;
    for (const Field& field : kind.fields) {
      const FieldPlace& place = field.place;
      if (field.shift > 0) continue;  // a part of the word before
      const std::size_t alignment = place.type == "text" ? 1 : place.bytes;
      EXPECT_EQ(place.offset, (end + alignment - 1) / alignment * alignment) << kind.name << '.' << place.name;
      end = place.offset + place.bytes * place.count;
    }
    EXPECT_LE(end, kind.stride) << kind.name;
    EXPECT_LT(kind.stride - end, 64U) << kind.name;
  }
}

TEST(Fields, PartsOfAWordFillIt) {
  for (const RecordKind& kind : kRecordKinds) {
    for (const Field& field : kind.fields) {
      std::uint64_t bits = 0;
      for (const Field& other : kind.fields) bits += other.place.offset == field.place.offset ? other.bits : 0;
      EXPECT_EQ(bits, 8 * field.place.bytes) << kind.name << '.' << field.place.name;
    }
  }
}

TEST(Fields, AreInTheSegmentAsTheTableSays) {
  const Segment& made = segment();
  const TablesPlace& tables = made.header.tables;
  ASSERT_EQ(tables.record_count, kRecordKinds.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < kRecordKinds.size(); ++i) {
    const RecordEntry& entry = made.record_entries[i];
    EXPECT_EQ(entry.name.data(), kRecordKinds[i].name);
    EXPECT_EQ(entry.first_field, next);
    ASSERT_EQ(entry.field_count, kRecordKinds[i].fields.size());
    for (const Field& field : kRecordKinds[i].fields) {
      EXPECT_EQ(made.field_entries[next].name.data(), field.place.name);
      EXPECT_EQ(made.field_entries[next].meaning.data(), field.meaning);
      EXPECT_EQ(made.field_entries[next++].offset, field.place.offset);
    }
  }
  EXPECT_EQ(tables.field_count, next);
}

std::string type_text(const Field& field) {
  std::string text(field.place.type);
  if (text == "text") return text + " of " + std::to_string(field.place.bytes);
  if (field.bits != 8 * field.place.bytes)
    text += ", " + std::to_string(field.bits) + " bits from bit " + std::to_string(field.shift);
  return field.place.count == 1 ? text : std::to_string(field.place.count) + " " + text;
}

std::string markdown(const RecordKind& kind) {
  std::ostringstream text;
  text << "### " << kind.name << "\n\n"
       << kind.count << (kind.count == 1 ? " record of " : " records of ") << kind.stride << " bytes from offset "
       << kind.offset << ": " << kind.meaning
       << ".\n\n| field | offset | type | kind | meaning |\n|---|---|---|---|---|\n";
  for (const Field& field : kind.fields) {
    text << "| " << field.place.name << " | " << field.place.offset << " | " << type_text(field) << " | "
         << name_of(field.kind) << (field.unit.empty() ? "" : " in ") << field.unit << " | " << field.meaning << " |\n";
  }
  return text.str();
}

TEST(Fields, AreDocumented) {
  std::ifstream file(WEIR_DOCS "/segment.md");
  ASSERT_TRUE(file);
  const std::string page((std::istreambuf_iterator<char>(file)), {});
  for (const RecordKind& kind : kRecordKinds) {
    EXPECT_NE(page.find(markdown(kind)), std::string::npos) << "docs/segment.md must have:\n" << markdown(kind);
  }
}

}  // namespace
}  // namespace weir::detail
