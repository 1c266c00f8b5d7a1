#pragma once

namespace weir::tool {

/// What io_uring does here for this user, found out by trying.
struct UringFacts {
  int error = 0;                        ///< of making one and of its other calls: 0 or -errno
  const char* call = "io_uring_setup";  ///< that which failed
  int server_error = 0;                 ///< of making one for each CPU, as large as a server's
  int disabled = 0;                     ///< kernel.io_uring_disabled; 0 also where the kernel has no such switch
  int buffer_ring_error = 0;            ///< of registering a ring of buffers
  bool multishot = false;               ///< receives that stay armed
  bool bundles = false;                 ///< several buffers a completion, in order
  bool incremental = false;             ///< buffers that are filled piece by piece
  bool deferred = false;                ///< task work when the loop asks for it
};

UringFacts probe_uring(unsigned cpus);

}  // namespace weir::tool
