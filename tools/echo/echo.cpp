#include "echo.h"

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
  client.last_active = now();
  if (received.closed()) {
    if (received.error != 0) client.outbox.discard();
    end(client);
    return;
  }
  push(client, std::move(received.data));
  if (client.paused || !is_full(client)) return;
  client.paused = true;
  receiver().pause(client);
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
    if (std::exchange(client.was_cut, true)) return;
    note_cut();
    client.outbox.discard();
    if (client.outbox.in_flight()) backend().cancel(server::Operation::send, &client);
    end(client);
  } else if (client.outbox.empty() && client.last_active < now() - kIdleWhenFinishing) {
    end(client);
  }
}

}  // namespace weir::echo
