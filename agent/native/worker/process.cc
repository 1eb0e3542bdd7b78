#include "worker/process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

#include "common/fault.h"

namespace edgeflow {
namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// More CPUs than any kernel is built for (NR_CPUS is 8192 at the most), so that no set is too small for it.
constexpr size_t kMaxCpus = 8192;
using CpuSet = std::array<cpu_set_t, kMaxCpus / CPU_SETSIZE>;

std::string listed_numbers(const Json::Array& numbers) {
  std::string out = "[";
  for (const Json& number : numbers) out += (out.size() > 1 ? ", " : "") + number.text();
  return out + "]";
}

CpuSet allowed_set() {
  CpuSet set{};
  if (::sched_getaffinity(0, sizeof set, set.data()) != 0) fail("sched_getaffinity");
  return set;
}

Json::Array numbers_of(const CpuSet& set) {
  Json::Array numbers;
  for (size_t cpu = 0; cpu < kMaxCpus; ++cpu) {
    if (CPU_ISSET_S(cpu, sizeof set, set.data())) numbers.emplace_back(cpu);
  }
  return numbers;
}

}  // namespace

void die_with_parent() {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) fail("prctl(PR_SET_PDEATHSIG)");
}

void exit_with_core(int socket) {
  std::thread([socket] {
    char nothing = 0;
    while (::recv(socket, &nothing, 1, 0) < 0 && errno == EINTR) {
    }
    ::_exit(1);
  }).detach();
}

Json set_affinity(const Json& cpus) {
  if (cpus.is_null()) return nullptr;
  const CpuSet allowed = allowed_set();
  CpuSet wanted{};
  bool within = !cpus.as_array().empty();
  for (const Json& number : cpus.as_array()) {
    const int64_t cpu = number.as_integer();
    const bool known = cpu >= 0 && cpu < static_cast<int64_t>(kMaxCpus) &&
                       CPU_ISSET_S(static_cast<size_t>(cpu), sizeof allowed, allowed.data());
    within = within && known;
    if (known) CPU_SET_S(static_cast<size_t>(cpu), sizeof wanted, wanted.data());
  }
  if (!within) {
    throw Fault("unsupported_setting", "affinity " + listed_numbers(cpus.as_array()) + " is not within this device's CPUs " +
                                   listed_numbers(numbers_of(allowed)));
  }
  if (::sched_setaffinity(0, sizeof wanted, wanted.data()) != 0) fail("sched_setaffinity");
  return numbers_of(allowed_set());
}

bool receive_lock(int socket) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno != ECONNRESET) fail("recvmsg");
  const cmsghdr* rights = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  return rights != nullptr && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS;
}

void close_on_exec(int fd) {
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) fail("a descriptor of the command line");
}

}  // namespace edgeflow
