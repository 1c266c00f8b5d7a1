#pragma once

namespace weir::common {

/// SIGINT and SIGTERM: the first one asks the program to end in order, and one that comes more than a second later ends
/// it at once. Those within the second are the same wish: `timeout` and service managers send two.
/// REQUIRES: there is one of it at a time.
class EndSignals {
 public:
  /// Keeps the signals waiting, for this thread and those that it starts. Throws Error.
  EndSignals();
  ~EndSignals();
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  /// The calling thread takes them from now on.
  void take() const;
  /// The first that came, or 0.
  int came() const;
  /// Until one has come or wake() was called: as came(). The calling thread takes them. Throws Error.
  int wait() const;
  void wake() const;

 private:
  int event_;
};

}  // namespace weir::common
