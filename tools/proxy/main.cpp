// weir-proxy: relays TCP connections to an upstream, all bytes through one pool of I/O buffers.

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weir/error.h>
#include <weir/pool.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <deque>
#include <future>
#include <thread>

#include "address.h"
#include "listener.h"
#include "log.h"
#include "worker.h"

namespace weir::proxy {
namespace {

constexpr int kUsage = 2;
constexpr int kKilledBySignal = 128;

struct Arguments {
  std::string listen;
  std::string upstream;
  unsigned threads = 1;
  bool pin = false;
  unsigned grace = 30;
};

/// A thread that relays. What is set before the promise, or before `alive` falls, may be read after it.
struct Relay {
  Fd finish{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::promise<void> started;  ///< or the reason why not
  std::string failure;
  std::uint64_t accepted = 0;
  std::uint64_t cut = 0;
  std::thread thread;
};

/// Each connection needs two files, of thousands of them: take what the system allows.
void raise_file_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// SIGINT and SIGTERM, kept from all threads: the main thread asks for them.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

/// Keeps the calling thread on the index-th of the CPUs that the process may use.
void pin_to_cpu(unsigned index) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  unsigned skip = index % static_cast<unsigned>(CPU_COUNT(&allowed));
  std::size_t cpu = 0;
  while (!CPU_ISSET(cpu, &allowed) || skip-- > 0) ++cpu;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  sched_setaffinity(0, sizeof one, &one);
}

void relay(Relay& self, Pool& pool, const Settings& settings, std::atomic<unsigned>& alive) {
  bool started = false;
  try {
    Worker worker(pool, settings, self.finish.get());
    started = true;
    self.started.set_value();
    worker.run();
    self.accepted = worker.accepted();
    self.cut = worker.cut();
  } catch (const std::exception& error) {
    self.failure = error.what();
    if (!started) self.started.set_exception(std::current_exception());
  }
  --alive;
}

/// Runs the workers until a signal asks to finish, or one of them fails.
class Proxy {
 public:
  Proxy(Pool& pool, const Settings& settings) : pool_(pool), settings_(settings) {}
  ~Proxy() {
    finish();
    for (Relay& one : relays_) one.thread.join();
  }

  /// Throws Error when a worker cannot start.
  void start(bool pin) {
    for (unsigned i = 0; i < settings_.threads; ++i) {
      Relay& one = relays_.emplace_back();
      ++alive_;
      one.thread = std::thread([this, &one, pin, i] {
        if (pin) pin_to_cpu(i);
        relay(one, pool_, settings_, alive_);
      });
      one.started.get_future().get();
    }
  }

  /// Returns the exit status.
  int run(const sigset_t& signals) {
    bool finishing = false;
    while (alive_ > 0) {
      const timespec pause{.tv_sec = 0, .tv_nsec = 100'000'000};
      const int signal = sigtimedwait(&signals, nullptr, &pause);
      if (signal > 0 && finishing) _exit(kKilledBySignal + signal);
      if ((signal > 0 || alive_ < relays_.size()) && !finishing) {
        if (signal > 0) say("finishing what is in flight; once more to end at once");
        finishing = true;
        finish();
      }
    }
    return summarize();
  }

 private:
  void finish() {
    for (Relay& one : relays_) (void)eventfd_write(one.finish.get(), 1);
  }

  int summarize() {
    std::uint64_t accepted = 0;
    std::uint64_t cut = 0;
    int status = 0;
    for (const Relay& one : relays_) {
      accepted += one.accepted;
      cut += one.cut;
      if (one.failure.empty()) continue;
      say(one.failure);
      status = 1;
    }
    pool_.flush();
    const std::string late = cut > 0 ? ", of which " + std::to_string(cut) + " were cut when the grace ended" : "";
    say("relayed " + std::to_string(accepted) + " connections" + late +
        "; all buffers are back: " + (pool_.counts().user == 0 ? "yes" : "NO"));
    return status;
  }

  Pool& pool_;
  const Settings& settings_;
  std::deque<Relay> relays_;
  std::atomic<unsigned> alive_{0};
};

void tell_degradations(const Pool& pool) {
  for (const Grade& grade : pool.grades()) {
    if (!grade.reason.empty()) say("memory of node " + std::to_string(grade.node) + " is degraded: " + grade.reason);
  }
}

int serve(const Arguments& arguments) {
  Settings settings{.listen = parse_address(arguments.listen, Port::may_be_chosen),
                    .upstream = parse_address(arguments.upstream, Port::must_be_given),
                    .threads = arguments.threads,
                    .grace = std::chrono::seconds(arguments.grace)};
  const Fd port = claim_port(settings.listen);
  Options options = Options::from_env();
  options.name = "proxy";
  const sigset_t signals = block_signals();
  raise_file_limit();
  Pool pool(options);
  Proxy proxy(pool, settings);
  proxy.start(arguments.pin);
  tell_degradations(pool);
  say("listening on " + settings.listen.text + ", relaying to " + settings.upstream.text + " (" +
      std::to_string(arguments.threads) + (arguments.threads == 1 ? " thread)" : " threads)"));
  return proxy.run(signals);
}

}  // namespace
}  // namespace weir::proxy

int main(int argc, char** argv) {
  using namespace weir::proxy;
  CLI::App app{
      "Relays TCP connections to an upstream through a pool of I/O buffers, on io_uring.\n"
      "Look into it with `weir stat`; tune it with WEIR_* variables (`weir env` lists them).",
      "weir-proxy"};
  Arguments arguments;
  app.add_option("--listen", arguments.listen, "where to listen, e.g. 127.0.0.1:7000 (port 0: any free one)")
      ->required();
  app.add_option("--upstream", arguments.upstream, "where to relay to, e.g. 127.0.0.1:6379")->required();
  app.add_option("--threads", arguments.threads, "threads, each with an io_uring of its own")
      ->check(CLI::Range(1U, 256U))
      ->capture_default_str();
  app.add_flag("--pin", arguments.pin, "keep each thread on a CPU of its own, its memory on that CPU's node");
  app.add_option("--grace", arguments.grace, "seconds that Ctrl-C gives to what is in flight")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    say(std::string(error.what()) + " (see weir-proxy --help)");
    return kUsage;
  }
  try {
    return serve(arguments);
  } catch (const weir::Error& error) {
    say(error.what());
    return error.code().value() == EINVAL ? kUsage : 1;
  } catch (const std::exception& error) {
    say(error.what());
    return 1;
  }
}
