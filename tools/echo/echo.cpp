#include "echo.h"

#include <cerrno>
#include <utility>

namespace weir::echo {
namespace {

using namespace std::chrono_literals;

constexpr auto kIdleWhenFinishing = 1s;

}  // namespace

void Echo::on_accepted(Fd file) {
  auto& client = clients_.emplace_back(std::make_unique<Client>(std::move(file)));
  client->index = clients_.size() - 1;
  client->last_active = now();
  receiver().start(*client, client->fd());
}

void Echo::on_received(Inflow& inflow, Received&& received) {
  Client& client = static_cast<Client&>(inflow);
  if (received.error == ETIMEDOUT) return note_silence(client);
  client.last_active = now();
  if (!received.closed()) return push(client, std::move(received.data));
  if (received.error != 0) client.outbox.discard();
  end(client);
}

/// It has sent nothing for as long as WEIR_DEADLINE allows; or the kernel has given it up.
void Echo::note_silence(Client& client) {
  if (!server::is_connected(client.fd())) {
    note_timed_out("its peer has vanished");
    client.outbox.discard();
    end(client);
  } else if (is_silent(client, client.last_active)) {
    note_timed_out("nothing has moved for as long as WEIR_DEADLINE says");
    reset(client);
  } else {
    receiver().start(client, client.fd());  // it reads still
  }
}

void Echo::on_full(Outlet& outlet) {
  Client& client = static_cast<Client&>(outlet);
  if (!std::exchange(client.paused, true)) receiver().pause(client);
}

void Echo::on_sent(Outlet& outlet, int result) {
  Client& client = static_cast<Client&>(outlet);
  client.last_active = now();
  if (client.was_cut) client.outbox.discard();  // the rest of a send that was cancelled in the middle
  if (result < 0) return end(client);
  if (client.paused && has_room(client)) {
    client.paused = false;
    receiver().resume(client);
  }
  settle(client);
}

void Echo::end_stalled() {
  for (std::size_t i = clients_.size(); i > 0; --i) {
    Client& client = *clients_[i - 1];
    if (client.was_cut || !is_stalled(client)) continue;
    note_timed_out("a peer has taken nothing for as long as --send-timeout says");
    reset(client);
  }
}

/// Nothing more comes in; what is to go out still does.
void Echo::end(Client& client) {
  receiver().stop(client);
  client.ended = true;
  settle(client);
}

void Echo::settle(Client& client) {
  count_queued(client);
  if (!client.is_done()) return;
  forget(client);
  const std::size_t index = client.index;
  std::swap(clients_[index], clients_.back());
  clients_[index]->index = index;
  clients_.pop_back();
}

void Echo::tick() {
  if (!finishing()) return;
  for (std::size_t i = clients_.size(); i > 0; --i) finish(*clients_[i - 1]);
}

/// Ends a client that is idle, or that the grace was too short for.
void Echo::finish(Client& client) {
  if (is_past_grace()) {
    if (client.was_cut) return;
    note_cut();
    reset(client);
  } else if (client.outbox.empty() && client.last_active < now() - kIdleWhenFinishing) {
    end(client);
  }
}

void Echo::reset(Client& client) {
  client.was_cut = true;
  client.outbox.discard();
  if (client.outbox.in_flight()) backend().cancel(server::Operation::send, &client);
  end(client);
}

}  // namespace weir::echo
