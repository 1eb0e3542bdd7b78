// One connection: HELLO, then requests and answers. What outlives a connection is in the job table.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/descriptor.h"
#include "common/fault.h"
#include "common/stream.h"
#include "core/folder.h"
#include "core/jobs.h"
#include "core/log.h"

namespace edgeflow {

class Session;

// Who is attached.
struct Client {
  std::string token;
  std::string host;
  std::string since;
};

// What every connection shares: work folder, jobs, and the one client that is attached. It lives as long as the
// process: threads refer to it.
class Core {
 public:
  // Throws Fault. Power sources are looked for under `root`.
  Core(const std::string& work, bool persistent, const std::string& root);

  // The meta of HELLO.
  Json hello();
  // Who keeps this device from others: a running job anywhere, or this daemon's attached client; or null.
  Json busy();
  // Makes `session` the attached one; true when it ended one of the same token. Throws Fault busy.
  bool attach(const std::shared_ptr<Session>& session, const Client& client);
  // The session's connection is gone.
  void detach(const Session& session);

  Log log;
  WorkFolder folder;
  JobTable jobs;
  std::atomic<bool> ending{false};
  std::function<void()> on_end = [] {};

 private:
  const bool persistent_;
  std::mutex mutex_;
  std::shared_ptr<Session> attached_;
};

// The descriptors of a connection: a socket, or the two pipes of a one-shot core.
struct Connection {
  Descriptor in;
  Descriptor out;  // unset for a socket, whose `in` goes both ways
  Descriptor wake_read, wake_write;  // a pipe that ends the reading of a pipe; unset for a socket

  static Connection of_socket(Descriptor socket);
  // Throws std::system_error.
  static Connection of_pipes(Descriptor in, Descriptor out);
  // Ends both directions; whoever reads sees the end of input.
  void close();
  int out_fd() const { return out ? out.get() : in.get(); }
};

// Serves one connection until its end.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Core& core, Connection connection);

  // Blocks; gives the exit code of a one-shot core: 0 when the peer goes, 1 when it breaks the protocol.
  int serve();
  // Ends the connection from another thread, and tells the peer why unless it takes no more.
  void end(const Fault& why);

  // Who is attached here; the reader and the requests' thread both ask.
  std::optional<Client> client() const;
  void become(Client client);

 private:
  int read_requests();
  bool enqueue(Frame frame);
  void work();
  void handle(Frame frame);
  Frame answer_to(Frame& frame, const std::string& method);
  void answer(const Json& request_id, Frame answer);
  void wake_waiter();
  Client attached_client() const;

  Json attach(const Json& params);
  Json files_stat(const Json& params);
  Json job_start(Frame& frame);
  Frame job_wait(const Frame& frame, const Json& params);
  Json job_list();
  Json logs(const Json& params);
  Json shutdown(const Json& params);
  std::shared_ptr<Job> job_of(const Json& params);

  Core& core_;
  Connection connection_;
  Stream stream_;
  std::atomic<bool> closed_{false};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Client> client_;
  std::deque<Frame> waiting_;
  bool no_more_ = false;    // of requests
  bool work_over_ = false;  // the thread that serves them is gone
};

}  // namespace edgeflow
