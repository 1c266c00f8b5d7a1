#pragma once

#include <weir/receiver.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/kernel.h"
#include "sim/random.h"
#include "sim/setup.h"

namespace weir::sim {

/// A connection of the server's.
struct Peer final : Inflow {
  int fd = -1;
  std::shared_ptr<File> file{};
  std::uint64_t received = 0;
  bool paused = false;
  bool ended = false;  ///< it was told of the end, and its descriptor is closed
  Kernel::Time active{};
};

/// Bytes of a connection that the user keeps.
struct Kept {
  Loan loan;
  std::uint64_t id = 0;
  std::uint64_t at = 0;  ///< in the stream
};

/// A server in miniature: one loop, a receiver, its connections and their far ends, and a user who keeps what comes.
/// The loop sleeps as a real one does: what happens while it sleeps is noticed only if a completion or the receiver's
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
  void drop_one();
  void drop_all();
  void borrow();
  void borrow_all();

  /// The invariants that hold after every step.
  void check();
  /// The same of the pool, by walking all of it.
  void check_pool() const;
  /// With every loan dropped, all that was sent arrives, nobody waits for a buffer, and who is silent holds nothing.
  void settle();
  /// Stops all, drains, and finds every buffer at home.
  void end();

 private:
  void turn();
  void dispatch();
  void hand(Inflow& inflow, Received received);
  void act_in_handler();
  void take_data(Peer& peer, Received& received);
  void note_end(Peer& peer, int error);
  void close(Peer& peer);
  void remove(Peer& peer);
  Peer* some_peer();
  void keep(Loan loan, std::uint64_t id, std::uint64_t at);
  void drop(std::size_t index);

  void check_hands();
  void check_counts();
  void rest();
  void check_arrived();
  void check_paused();
  void let_time_pass();
  void say_more();

  Random& random_;
  const Setup setup_;
  Kernel kernel_;
  Pool pool_;
  std::unique_ptr<Receiver> receiver_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::vector<Kept> kept_;
  std::uint64_t last_id_ = 0;
  bool awake_ = true;       ///< the loop's own thread has done something since its last turn
  bool calm_ = false;       ///< handlers do nothing more
};

}  // namespace weir::sim
