#include "service.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <weir/error.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cerrno>
#include <deque>
#include <future>
#include <optional>
#include <thread>

#include "common/end_signals.h"
#include "common/numbers.h"
#include "common/streams.h"
#include "pin.h"
#include "stats/alert_text.h"

namespace weir::server {
namespace {

constexpr int kUsage = 2;

Fd make_event() {
  Fd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (event.get() < 0) throw Error(errno, "cannot make an event for a thread: raise `ulimit -n`");
  return event;
}

/// A thread that serves. What is set before the promise, or before `alive` falls, may be read after it.
struct Worker {
  Fd finish = make_event();
  std::promise<void> started;  ///< or the reason why not
  std::optional<int> cpu;      ///< it is kept there
  std::string failure;
  Tally tally;
  std::thread thread;
};

/// Runs the loops until a signal asks to finish, or one of them fails.
class Workers {
 public:
  Workers(Pool& pool, const Settings& settings, const Service& service, const common::EndSignals& signals)
      : pool_(pool), settings_(settings), service_(service), signals_(signals) {}
  ~Workers() {
    finish();
    for (Worker& one : workers_) {
      if (one.thread.joinable()) one.thread.join();
    }
  }

  /// Throws Error when a loop cannot start. They are kept on these CPUs, one after another; empty: on none.
  void start(const std::vector<int>& cpus) {
    for (unsigned i = 0; i < settings_.threads; ++i) {
      Worker& one = workers_.emplace_back();
      if (!cpus.empty()) one.cpu = cpus[i % cpus.size()];
      ++alive_;
      try {
        one.thread = std::thread([this, &one] { work(one); });
      } catch (const std::system_error& error) {
        refuse_thread(error, i + 1);
      }
      one.started.get_future().get();
    }
  }

  /// Returns the exit status.
  int run() {
    bool finishing = false;
    while (alive_ > 0) {
      const int signal = signals_.wait();
      if (finishing || (signal == 0 && alive_ == workers_.size())) continue;
      if (signal != 0) say("finishing what is in flight; once more, a second later, to end at once");
      finishing = true;
      finish();
    }
    return summarize();
  }

 private:
  [[noreturn]] void refuse_thread(const std::system_error& error, unsigned number) const {
    throw Error(error.code().value(),
                "cannot start thread " + std::to_string(number) + " of " + std::to_string(settings_.threads) + " (" +
                    error.code().message() +
                    "): raise `ulimit -u` or the pids.max of the control group, or ask for fewer by --threads");
  }

  void work(Worker& self) {
    bool started = false;
    try {
      if (self.cpu) pin_to(*self.cpu);
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
    signals_.wake();
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
      all.timed_out += one.tally.timed_out;
      if (one.failure.empty()) continue;
      say_at_last(one.failure);
      status = 1;
    }
    pool_.flush();
    const std::string late =
        all.cut > 0 ? ", of which " + std::to_string(all.cut) + " were cut when the grace ended" : "";
    const std::string slow = all.timed_out > 0 ? ", reset " + std::to_string(all.timed_out) + " that timed out" : "";
    const std::string away = all.turned_away > 0 ? ", turned " + std::to_string(all.turned_away) + " away" : "";
    say_at_last(std::string(service_.done) + " " + std::to_string(all.accepted - all.turned_away) + " connections" +
                late + slow + away + "; all buffers are back: " + (pool_.counts().user == 0 ? "yes" : "NO"));
    return status;
  }

  Pool& pool_;
  const Settings& settings_;
  const Service& service_;
  const common::EndSignals& signals_;
  std::deque<Worker> workers_;
  std::atomic<unsigned> alive_{0};
};

void tell_degradations(const Pool& pool) {
  for (const Grade& grade : pool.grades()) {
    if (!grade.reason.empty()) say("memory of node " + std::to_string(grade.node) + " is degraded: " + grade.reason);
  }
}

/// Those that the threads are to be kept on.
std::vector<int> cpus_for(const Arguments& arguments) {
  if (!arguments.pin) return {};
  std::vector<int> cpus = allowed_cpus();
  if (cpus.size() < arguments.threads) {
    say("--pin: " + std::to_string(arguments.threads) + " threads share the " + std::to_string(cpus.size()) +
        (cpus.size() == 1 ? " CPU" : " CPUs") + " that the process may use");
  }
  return cpus;
}

Options options_for(const Arguments& arguments, const Service& service) {
  Options options = Options::from_env();
  options.name = service.pool_name;
  if (options.alerts == Alerts::standard_error) {
    options.on_alert = [](const Alert& alert) { common::write_line(detail::text_of(alert)); };
  }
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
  app.add_option("--listen", arguments.listen,
                 "where to listen, e.g. 127.0.0.1:7000, localhost:7000 for all its addresses, or *:7000 for all of "
                 "this machine "
                 "(port 0: any free one)")
      ->required();
  app.add_option("--recv", arguments.strategy,
                 "how data is received: one of " + strategy_names() + " (default: WEIR_RECV, or auto)")
      ->check(check_strategy);
  app.add_option("--threads", arguments.threads, "threads, each with an io_uring or epoll of its own")
      ->check(common::from_to(1, 256))
      ->capture_default_str();
  app.add_flag("--pin", arguments.pin, "keep each thread on a CPU of its own, its memory on that CPU's node");
  app.add_option("--spin", arguments.spin,
                 "microseconds for which a thread looks for data before it sleeps: answers sooner, at the cost of a "
                 "busy processor")
      ->check(common::from_to(0, 1'000'000))
      ->capture_default_str();
  app.add_option("--grace", arguments.grace, "seconds that Ctrl-C gives to what is in flight")
      ->check(common::from_to(0, 1'000'000))
      ->capture_default_str();
  app.add_option("--send-timeout", arguments.send_timeout,
                 "seconds after which a peer that takes nothing of what is sent to it is reset (0: never)")
      ->check(common::from_to(0, kMostSeconds))
      ->capture_default_str();
}

int main_of(CLI::App& app, int argc, char** argv, const std::function<int()>& serve) {
  common::prepare_streams();
  app.set_version_flag("--version", std::string(program()) + " " WEIR_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return common::end_output(program(), app.exit(error));  // --help, --version
    say_at_last(common::shown(error.what()) + " (see " + program() + " --help)");
    return kUsage;
  }
  try {
    return common::end_output(program(), serve());
  } catch (const Error& error) {
    say_at_last(error.what());
    return error.code().value() == EINVAL ? kUsage : 1;
  } catch (const std::exception& error) {
    say_at_last(error.what());
    return 1;
  }
}

int serve(const Arguments& arguments, const Service& service) {
  Settings settings{.listen = parse_addresses(arguments.listen, Port::may_be_chosen),
                    .threads = arguments.threads,
                    .grace = std::chrono::seconds(arguments.grace),
                    .spin = std::chrono::microseconds(arguments.spin),
                    .patience = std::chrono::seconds(arguments.send_timeout)};
  const std::vector<Fd> port = claim_port(settings.listen);
  if (service.prepare) service.prepare(settings.listen);
  const Options options = options_for(arguments, service);
  raise_file_limit();
  const std::vector<int> cpus = cpus_for(arguments);
  const common::EndSignals signals;
  Pool pool(options);
  Workers workers(pool, settings, service, signals);
  workers.start(cpus);
  tell_degradations(pool);
  say("listening on " + text_of(settings.listen) + service.ready + " (" + std::to_string(arguments.threads) +
      (arguments.threads == 1 ? " thread)" : " threads)"));
  return workers.run();
}

}  // namespace weir::server
