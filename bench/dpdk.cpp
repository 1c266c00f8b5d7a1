#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#include <bit>
#include <stdexcept>

#include "main.h"

namespace {

/// DPDK's mempools, one for each power of two, with a cache for each thread.
class Dpdk {
 public:
  using Buffer = void*;
  static constexpr bool kBulk = true;

  /// A thread that is unknown to DPDK has no cache.
  struct Guest {
    Guest() : known(rte_lcore_id() != LCORE_ID_ANY) {
      if (!known && rte_thread_register() != 0) throw std::runtime_error("DPDK takes no more threads");
    }
    ~Guest() {
      if (!known) rte_thread_unregister();
    }
    bool known;
  };

  explicit Dpdk(const bench::Plan& plan) : least_(std::bit_ceil(plan.least)) {
    std::size_t sum = 0;
    for (std::size_t bytes = least_; bytes <= plan.most; bytes *= 2) sum += bytes;
    for (std::size_t bytes = least_; bytes <= plan.most; bytes *= 2) pools_.push_back(make(bytes, plan.bytes / sum));
  }
  Dpdk(const Dpdk&) = delete;
  Dpdk& operator=(const Dpdk&) = delete;
  ~Dpdk() {
    for (rte_mempool* pool : pools_) rte_mempool_free(pool);
  }

  Buffer take(std::size_t bytes) noexcept { return Lane{pool_for(bytes)}.take(); }
  static void give(Buffer& buffer) noexcept {
    if (buffer != nullptr) rte_mempool_put(rte_mempool_from_obj(buffer), buffer);
    buffer = nullptr;
  }
  void take_many(std::size_t bytes, std::span<Buffer> many) noexcept {
    if (rte_mempool_get_bulk(pool_for(bytes), many.data(), static_cast<unsigned>(many.size())) != 0) many[0] = nullptr;
  }
  static void give_many(std::span<Buffer> many) noexcept {
    rte_mempool_put_bulk(rte_mempool_from_obj(many[0]), many.data(), static_cast<unsigned>(many.size()));
  }
  static void* data(Buffer buffer) noexcept { return buffer; }

  struct Lane {
    rte_mempool* pool;
    Buffer take() const noexcept {
      void* buffer = nullptr;
      return rte_mempool_get(pool, &buffer) == 0 ? buffer : nullptr;
    }
    void give(Buffer buffer) const noexcept { rte_mempool_put(pool, buffer); }
  };
  Lane lane(std::size_t bytes) noexcept { return {pool_for(bytes)}; }

  static std::size_t unused_bytes() noexcept { return 0; }

 private:
  static constexpr unsigned kCache = 256;

  rte_mempool* pool_for(std::size_t bytes) const noexcept {
    return pools_[static_cast<unsigned>(std::bit_width((bytes - 1) / least_))];
  }

  rte_mempool* make(std::size_t bytes, std::size_t count) const {
    const std::string name = "bench" + std::to_string(bytes);
    rte_mempool* pool = rte_mempool_create(name.c_str(), static_cast<unsigned>(count), static_cast<unsigned>(bytes),
                                           kCache, 0, nullptr, nullptr, nullptr, nullptr, SOCKET_ID_ANY, 0);
    if (pool == nullptr) throw std::runtime_error("DPDK has no memory: " + std::string(rte_strerror(rte_errno)));
    return pool;
  }

  std::size_t least_;
  std::vector<rte_mempool*> pools_;
};

}  // namespace

/// `bench-dpdk EAL-OPTION... -- WHAT [NUMBER]`
int main(int argc, char** argv) {
  const int taken = rte_eal_init(argc, argv);
  if (taken < 0) return 1;
  const int status = bench::Program<Dpdk>::main(argc - taken, argv + taken);
  rte_eal_cleanup();
  return status;
}
