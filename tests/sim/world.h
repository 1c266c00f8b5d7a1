#pragma once

#include <weir/receiver.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "sim/kernel.h"
#include "sim/random.h"
#include "sim/setup.h"

namespace weir::sim {

constexpr std::uint16_t kFirstGroup = 64;    ///< of the first receiver
constexpr std::uint16_t kGroupsApart = 256;  ///< of the first and of the next

/// A connection of the server's.
struct Peer final : Inflow {
  Receiver* receiver = nullptr;
  Strategy strategy = Strategy::automatic;
  int fd = -1;
  std::shared_ptr<File> file{};
  std::uint64_t received = 0;
  bool paused = false;
  bool ended = false;     ///< it was told of the end, or stopped, and its descriptor is closed
  Kernel::Time active{};  ///< when it was started or resumed last
  bool was_late = false;  ///< it had been silent for too long when it was paused
  bool parked = false;
  bool keeps_place = false;        ///< it was parked when it was paused
  std::uint64_t taken_before = 0;  ///< bytes, when it was parked last
  unsigned starved_before = 0;
  std::unordered_map<std::uint64_t, std::uint64_t> allowed{};  ///< while it is parked: buffers that others may have had
};

/// Bytes of a connection that the user keeps.
struct Kept {
  Loan loan;
  std::uint64_t id = 0;
  std::uint64_t at = 0;  ///< in the stream
};

/// A server in miniature: one loop, its receivers, their connections and the far ends, and a user who keeps what comes.
/// The loop sleeps as a real one does: what happens while it sleeps is noticed only if a completion or a receiver's
/// deadline wakes it.
class World {
 public:
  explicit World(Random& random);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // What may happen.
  void loop();
  void speak();
  void finish();
  void reset_far();
  void pass_time();
  void run_kernel() { kernel_.run_unasked(); }
  void open();
  void stop();
  void pause();
  void resume();
  /// A receiver goes, and another comes with its number and its groups.
  void replace_receiver();
  void drop_one();
  void drop_all();
  void borrow();
  void borrow_all();

  /// The invariants that hold after every step.
  void check();
  /// The same of the pool, by walking all of it.
  void check_pool() const;
  /// Without a buffer to be had the loop sleeps, and each that comes home is used.
  void run_short();
  /// With every loan dropped, all that was sent arrives, nobody waits for a buffer, and who is silent holds nothing.
  void settle();
  /// Stops all, drains, and finds every buffer at home.
  void end();

 private:
  // world.cpp: the loop and its handlers
  std::unique_ptr<Receiver> make_receiver(std::size_t index);
  void turn();
  bool can_sleep();
  Kernel::Time next_deadline() const;
  void dispatch();
  void dispatch_events();
  void note_seen(const Completion& completion);
  void note_unfinished();
  void forget_retired();
  bool has_slice_of(const Range& buffer) const;
  Receiver& owner_of(const io_uring_cqe& cqe);
  void hand(Inflow& inflow, Received received);
  void take_data(Peer& peer, Received& received);
  void note_end(Peer& peer, int error);
  bool is_late(const Peer& peer) const;
  void act_in_handler();
  bool was_silent(const Peer& peer) const;

  // user.cpp: what the user and the far ends do
  void stall();
  Peer* some_peer();
  void start(Peer& peer);
  void close(Peer& peer);
  void remove(Peer& peer);
  void drop(std::size_t index);
  bool borrow(std::uint32_t bytes);

  // world_checks.cpp: what must hold after every step
  void check_hands();
  void check_user(const Counts& counts);
  void check_kernel(const Counts& counts);
  void check_inflight();
  void check_parked();
  void check_wakes();
  void note_parked();
  bool is_parked(const Peer& peer);
  std::uint64_t may_still_take(const Peer& peer) const;
  std::size_t in_flight_of(const Receiver& receiver);

  // world_ends.cpp: what must hold at rest
  void rest();
  void drain(Receiver& receiver);
  void check_arrived();
  void check_paused();
  void check_shortage();
  void check_told();
  std::size_t parked() const;
  void let_time_pass();
  void say_more();

  Random& random_;
  const Setup setup_;
  Kernel kernel_;
  Pool pool_;
  std::vector<std::unique_ptr<Receiver>> receivers_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::vector<Kept> kept_;
  std::vector<Range> retired_;  ///< buffers of incremental rings of which the user may have slices
  std::uint64_t last_id_ = 0;
  bool awake_ = true;  ///< the loop's own thread has done something since its last turn
  bool calm_ = false;  ///< handlers do nothing more
};

}  // namespace weir::sim
