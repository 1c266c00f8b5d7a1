#include "service.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <weir/error.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cerrno>
#include <deque>
#include <future>
#include <thread>

namespace weir::server {
namespace {

constexpr int kUsage = 2;
constexpr int kKilledBySignal = 128;

/// A thread that serves. What is set before the promise, or before `alive` falls, may be read after it.
struct Worker {
  Fd finish{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::promise<void> started;  ///< or the reason why not
  std::string failure;
  Tally tally;
  std::thread thread;
};

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

/// Runs the loops until a signal asks to finish, or one of them fails.
class Workers {
 public:
  Workers(Pool& pool, const Settings& settings, const Service& service)
      : pool_(pool), settings_(settings), service_(service) {}
  ~Workers() {
    finish();
    for (Worker& one : workers_) one.thread.join();
  }

  /// Throws Error when a loop cannot start.
  void start(bool pin) {
    for (unsigned i = 0; i < settings_.threads; ++i) {
      Worker& one = workers_.emplace_back();
      ++alive_;
      one.thread = std::thread([this, &one, pin, i] {
        if (pin) pin_to_cpu(i);
        work(one);
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
      if ((signal > 0 || alive_ < workers_.size()) && !finishing) {
        if (signal > 0) say("finishing what is in flight; once more to end at once");
        finishing = true;
        finish();
      }
    }
    return summarize();
  }

 private:
  void work(Worker& self) {
    bool started = false;
    try {
      const std::unique_ptr<Loop> loop = service_.make_loop(pool_, settings_, self.finish.get());
      started = true;
      self.started.set_value();
      loop->run();
      self.tally = loop->tally();
    } catch (const std::exception& error) {
      self.failure = error.what();
      if (!started) self.started.set_exception(std::current_exception());
    }
    --alive_;
  }

  void finish() {
    for (Worker& one : workers_) (void)eventfd_write(one.finish.get(), 1);
  }

  int summarize() {
    Tally all;
    int status = 0;
    for (const Worker& one : workers_) {
      all.accepted += one.tally.accepted;
      all.cut += one.tally.cut;
      all.turned_away += one.tally.turned_away;
      if (one.failure.empty()) continue;
      say(one.failure);
      status = 1;
    }
    pool_.flush();
    const std::string late =
        all.cut > 0 ? ", of which " + std::to_string(all.cut) + " were cut when the grace ended" : "";
    const std::string away = all.turned_away > 0 ? ", turned " + std::to_string(all.turned_away) + " away" : "";
    say(std::string(service_.done) + " " + std::to_string(all.accepted - all.turned_away) + " connections" + late +
        away + "; all buffers are back: " + (pool_.counts().user == 0 ? "yes" : "NO"));
    return status;
  }

  Pool& pool_;
  const Settings& settings_;
  const Service& service_;
  std::deque<Worker> workers_;
  std::atomic<unsigned> alive_{0};
};

void tell_degradations(const Pool& pool) {
  for (const Grade& grade : pool.grades()) {
    if (!grade.reason.empty()) say("memory of node " + std::to_string(grade.node) + " is degraded: " + grade.reason);
  }
}

Options options_for(const Arguments& arguments, const Service& service) {
  Options options = Options::from_env();
  options.name = service.pool_name;
  if (!arguments.strategy.empty()) options.recv = strategy_named(arguments.strategy).value_or(options.recv);
  return options;
}

/// Of all, with commas.
std::string strategy_names() {
  std::string names;
  for (const Strategy each : strategies()) names += std::string(names.empty() ? "" : ", ") + name_of(each);
  return names;
}

std::string check_strategy(const std::string& name) {
  return strategy_named(name) ? "" : "there is no strategy '" + name + "': see `weir env` for WEIR_RECV";
}

}  // namespace

void add_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--listen", arguments.listen, "where to listen, e.g. 127.0.0.1:7000 (port 0: any free one)")
      ->required();
  app.add_option("--recv", arguments.strategy,
                 "how data is received: one of " + strategy_names() + " (default: WEIR_RECV, or auto)")
      ->check(check_strategy);
  app.add_option("--threads", arguments.threads, "threads, each with an io_uring or epoll of its own")
      ->check(CLI::Range(1U, 256U))
      ->capture_default_str();
  app.add_flag("--pin", arguments.pin, "keep each thread on a CPU of its own, its memory on that CPU's node");
  app.add_option("--spin", arguments.spin,
                 "microseconds for which a thread looks for data before it sleeps: answers sooner, at the cost of a "
                 "busy processor")
      ->check(CLI::Range(0U, 1'000'000U))
      ->capture_default_str();
  app.add_option("--grace", arguments.grace, "seconds that Ctrl-C gives to what is in flight")->capture_default_str();
}

int main_of(CLI::App& app, int argc, char** argv, const std::function<int()>& serve) {
  app.set_version_flag("--version", std::string(program()) + " " WEIR_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    say(std::string(error.what()) + " (see " + program() + " --help)");
    return kUsage;
  }
  try {
    return serve();
  } catch (const Error& error) {
    say(error.what());
    return error.code().value() == EINVAL ? kUsage : 1;
  } catch (const std::exception& error) {
    say(error.what());
    return 1;
  }
}

int serve(const Arguments& arguments, const Service& service) {
  Settings settings{.listen = parse_address(arguments.listen, Port::may_be_chosen),
                    .threads = arguments.threads,
                    .grace = std::chrono::seconds(arguments.grace),
                    .spin = std::chrono::microseconds(arguments.spin)};
  const Fd port = claim_port(settings.listen);
  const Options options = options_for(arguments, service);
  const sigset_t signals = block_signals();
  raise_file_limit();
  Pool pool(options);
  Workers workers(pool, settings, service);
  workers.start(arguments.pin);
  tell_degradations(pool);
  say("listening on " + settings.listen.text + service.ready + " (" + std::to_string(arguments.threads) +
      (arguments.threads == 1 ? " thread)" : " threads)"));
  return workers.run(signals);
}

}  // namespace weir::server
