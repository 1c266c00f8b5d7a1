#include "http_server.h"

#include <microhttpd.h>
#include <sys/socket.h>

#include <deque>
#include <exception>
#include <memory>
#include <utility>

#include "failure.h"
#include "gzip.h"

namespace weir::tool {
namespace {

/// With what a scrape opens, they are fewer than the usual limits on open files.
constexpr std::size_t kMostConnections = 200;
constexpr unsigned kSilentSeconds = 30;

struct DropResponse {
  void operator()(MHD_Response* response) const { MHD_destroy_response(response); }
};

std::string_view header(MHD_Connection* connection, const char* name) {
  const char* const value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
  return value != nullptr ? value : "";
}

bool takes_gzip(MHD_Connection* connection) {
  const std::string_view encodings = header(connection, MHD_HTTP_HEADER_ACCEPT_ENCODING);
  return encodings.find("gzip") != std::string_view::npos && encodings.find("gzip;q=0") == std::string_view::npos;
}

MHD_Result send_reply(MHD_Connection* connection, const HttpReply& reply) {
  const bool packed = takes_gzip(connection);
  std::string body = packed ? gzip(reply.text) : reply.text;
  const std::unique_ptr<MHD_Response, DropResponse> response(
      MHD_create_response_from_buffer(body.size(), body.data(), MHD_RESPMEM_MUST_COPY));
  if (!response) return MHD_NO;
  const auto add = [&](const char* name, const char* value) { MHD_add_response_header(response.get(), name, value); };
  add(MHD_HTTP_HEADER_CONTENT_TYPE, reply.type);
  add(MHD_HTTP_HEADER_CONNECTION, "close");
  if (packed) add(MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
  if (reply.status == MHD_HTTP_METHOD_NOT_ALLOWED) add(MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  return MHD_queue_response(connection, reply.status, response.get());
}

/// All of it is used by the server's thread.
class Connections {
 public:
  void begin(int connection) {
    open_.push_back(connection);
    if (open_.size() <= kMostConnections) return;
    shutdown(open_.front(), SHUT_RDWR);  // whereupon the server finds that it has ended
    open_.pop_front();
  }
  void end(int connection) { std::erase(open_, connection); }

 private:
  std::deque<int> open_;  ///< the oldest first
};

}  // namespace

struct HttpServer::Daemon {
  struct Stop {
    void operator()(MHD_Daemon* daemon) const { MHD_stop_daemon(daemon); }
  };

  static MHD_Result take_request(void* self, MHD_Connection* connection, const char* path, const char* method,
                                 const char* version, const char* data, std::size_t* bytes, void** begun);
  static void note_connection(void* self, MHD_Connection* connection, void** context,
                              MHD_ConnectionNotificationCode what);
  HttpReply reply_to(std::string_view method, const HttpRequest& request) const;

  Answer answer;
  Connections connections{};
  std::unique_ptr<MHD_Daemon, Stop> started{};
};

/// It is called until there is nothing more to be read: an answer before that would be lost with the reset that unread
/// bytes cause.
MHD_Result HttpServer::Daemon::take_request(void* self, MHD_Connection* connection, const char* path,
                                            const char* method, const char* /*version*/, const char* /*data*/,
                                            std::size_t* bytes, void** begun) {
  const bool first = std::exchange(*begun, self) == nullptr;
  if (first || std::exchange(*bytes, 0) > 0) return MHD_YES;
  try {
    const HttpRequest request{.path = path, .accept = header(connection, MHD_HTTP_HEADER_ACCEPT)};
    return send_reply(connection, static_cast<const Daemon*>(self)->reply_to(method, request));
  } catch (const std::exception&) {
    return MHD_NO;  // no memory: it is closed
  }
}

void HttpServer::Daemon::note_connection(void* self, MHD_Connection* connection, void** /*context*/,
                                         MHD_ConnectionNotificationCode what) {
  const int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  Connections& connections = static_cast<Daemon*>(self)->connections;
  what == MHD_CONNECTION_NOTIFY_STARTED ? connections.begin(fd) : connections.end(fd);
}

HttpReply HttpServer::Daemon::reply_to(std::string_view method, const HttpRequest& request) const {
  if (method == "GET" || method == "HEAD") return answer(request);
  return {.status = MHD_HTTP_METHOD_NOT_ALLOWED, .text = "only GET is answered, at /metrics\n"};
}

HttpServer::HttpServer(server::Fd listening, Answer answer)
    : daemon_(std::make_unique<Daemon>(Daemon{.answer = std::move(answer)})) {
  daemon_->started.reset(MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, nullptr, nullptr, Daemon::take_request,
                                          daemon_.get(), MHD_OPTION_LISTEN_SOCKET, listening.get(),
                                          MHD_OPTION_NOTIFY_CONNECTION, Daemon::note_connection, daemon_.get(),
                                          MHD_OPTION_CONNECTION_TIMEOUT, kSilentSeconds, MHD_OPTION_END));
  if (!daemon_->started)
    throw Failure("cannot answer by HTTP: raise `ulimit -n` and `ulimit -u`, for a thread and its files");
  listening.release();
}

HttpServer::~HttpServer() = default;

}  // namespace weir::tool
