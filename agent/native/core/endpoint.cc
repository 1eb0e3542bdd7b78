#include "core/endpoint.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "common/files.h"
#include "common/sha256.h"
#include "core/daemon.h"

namespace edgeflow {
namespace {

constexpr std::string_view kSocket = "agent.sock";
constexpr int kBacklog = 8;
constexpr size_t kNameDigits = 16;

struct Address {
  sockaddr_un address{};
  socklen_t bytes = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

Address address_of(std::string_view path) {
  Address found;
  found.address.sun_family = AF_UNIX;
  std::memcpy(found.address.sun_path, path.data(), path.size());
  found.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  return found;
}

// The address of a run folder's daemon. A file's is relative: this process must be in its folder.
Address address_in(const std::string& run_folder) {
  if (!is_android()) {
    if (::chdir(run_folder.c_str()) != 0) throw_errno(run_folder);
    return address_of(kSocket);
  }
  Sha256 digest;
  digest.update(run_folder);
  std::string name(1, '\0');
  name += "edgeflow-" + std::to_string(::getuid()) + "-" + digest.hex_digest().substr(0, kNameDigits);
  return address_of(name);
}

Descriptor new_socket() {
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) throw_errno("socket");
  return socket;
}

// Throws EACCES unless the peer is our own user: an abstract name could be taken by anybody.
void require_own_user(int socket) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) throw_errno("SO_PEERCRED");
  if (peer.uid == ::getuid()) return;
  errno = EACCES;
  throw_errno("a peer of uid " + std::to_string(peer.uid));
}

}  // namespace

Descriptor listen_endpoint(const std::string& run_folder) {
  const Address address = address_in(run_folder);
  Descriptor listener = new_socket();
  if (!is_android()) (void)::unlink(kSocket.data());  // of a daemon that was killed: ours is the lock, so nobody listens there
  if (::bind(listener.get(), address.get(), address.bytes) != 0) throw_errno("bind");
  if (!is_android() && ::chmod(kSocket.data(), 0600) != 0) throw_errno(std::string(kSocket));
  if (::listen(listener.get(), kBacklog) != 0) throw_errno("listen");
  return listener;
}

Descriptor connect_endpoint(const std::string& run_folder) {
  const Address address = address_in(run_folder);
  Descriptor connection = new_socket();
  if (::connect(connection.get(), address.get(), address.bytes) != 0) throw_errno("connect");
  require_own_user(connection.get());
  return connection;
}

Descriptor accept_peer(int listener) {
  Descriptor connection;
  do {
    connection.reset(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  } while (!connection && (errno == EINTR || errno == ECONNABORTED));
  if (!connection) throw_errno("accept");
  require_own_user(connection.get());
  return connection;
}

void remove_endpoint(const std::string& run_folder) {
  if (!is_android()) (void)::unlink(path_in(run_folder, kSocket).c_str());
}

}  // namespace edgeflow
