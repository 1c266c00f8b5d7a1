#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "server/listener.h"

namespace weir::tool {

struct HttpRequest {
  std::string_view path;
  std::string_view accept;  ///< the header of that name
};

struct HttpReply {
  unsigned status = 200;
  const char* type = "text/plain; charset=utf-8";
  std::string text;
};

/// Answers GET and HEAD, one request a connection, from a thread of its own. Connections that say nothing, or say it
/// slowly, keep nobody waiting: they cost a descriptor each, and when they are too many the oldest has to go.
class HttpServer {
 public:
  using Answer = std::function<HttpReply(const HttpRequest&)>;

  /// The socket listens. Throws Failure.
  HttpServer(server::Fd listening, Answer answer);
  /// Ends all connections at once.
  ~HttpServer();

 private:
  struct Daemon;

  std::unique_ptr<Daemon> daemon_;
};

}  // namespace weir::tool
