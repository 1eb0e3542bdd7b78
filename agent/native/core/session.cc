#include "core/session.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "common/files.h"
#include "common/text.h"
#include "core/build.h"
#include "core/registry.h"
#include "core/sites.h"

namespace edgeflow {
namespace {

constexpr size_t kMaxQueued = 16;
constexpr size_t kMaxTextCharacters = 200;
constexpr auto kJoinPatience = std::chrono::seconds(2);
constexpr auto kLastWordsPatience = std::chrono::milliseconds(500);
constexpr const char* kMethods =
    "ping attach files.stat job.prepare job.start job.wait job.status job.cancel job.ack job.list logs shutdown";

// What says that the peer is gone, where an answer would have to be written.
struct Gone : std::runtime_error {
  using std::runtime_error::runtime_error;
};

bool is_immediate(const Json& method) {
  return method == Json("ping") || method == Json("job.cancel") || method == Json("job.status");
}

Fault busy_with(const Client& other) {
  const Json holder = Json::Object{{"by", other.host}, {"since", other.since}};
  return Fault("busy", describe_busy(holder), "", holder);
}

size_t characters(std::string_view utf8) {
  size_t count = 0;
  for (const char letter : utf8) count += (static_cast<unsigned char>(letter) & 0xC0) != 0x80;
  return count;
}

std::string text_of(const Json& params, const char* name) {
  const Json& value = params[name];
  if (!value.is_string() || value.as_string().empty() || characters(value.as_string()) > kMaxTextCharacters) {
    throw Fault("bad_request", std::string("attach: ") + name + " is a text of 1 to " +
                                   std::to_string(kMaxTextCharacters) + " characters");
  }
  return value.as_string();
}

}  // namespace

Core::Core(const std::string& work, bool persistent, const std::string& root)
    : folder(work), jobs(folder, kBuild, persistent, log, root), persistent_(persistent) {}

Json Core::hello() {
  Json::Array accelerators(std::begin(kAccelerators), std::end(kAccelerators));
  return Json::Object{
      {"protocol", kProtocolVersion},
      {"agent", Json::Object{{"kind", "native"}, {"version", kVersion}, {"build", kBuild}, {"flags", kFlags}}},
      {"carrier", persistent_ ? "daemon" : "one-shot"},
      {"pid", ::getpid()},
      {"backends", available_backends(usable_sites(folder.site))},
      {"accelerators", std::move(accelerators)},
      {"busy", busy()}};
}

Json Core::busy() {
  Json holder = jobs.busy();
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::optional<Client> client = attached_ ? attached_->client() : std::nullopt;
  if (holder.is_null() && client) holder = Json::Object{{"by", client->host}, {"since", client->since}};
  return holder;
}

bool Core::attach(const std::shared_ptr<Session>& session, const Client& client) {
  std::shared_ptr<Session> old;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    old = attached_;
    if (const std::optional<Client> other = old ? old->client() : std::nullopt; other && other->token != client.token) {
      if (old == session) throw Fault("bad_request", "this connection is attached with another token");
      throw busy_with(*other);
    }
    if (const auto job = jobs.running()) {
      const Record record = job->record();
      if (record.token != client.token) throw busy_with(Client{record.token, record.host, record.since});
    }
    attached_ = session;
    session->become(client);
  }
  if (!old || old == session) return false;
  const Json holder = Json::Object{{"by", client.host}, {"since", client.since}};
  old->end(Fault("busy", "another session of " + client.host + " took the device over", "", holder));
  return true;
}

void Core::detach(const Session& session) {
  std::shared_ptr<Session> old;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (attached_.get() == &session) old = std::move(attached_);
}

Connection Connection::of_socket(Descriptor socket) {
  Connection found;
  found.in = std::move(socket);
  return found;
}

Connection Connection::of_pipes(Descriptor in, Descriptor out) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("pipe");
  Connection found;
  found.in = std::move(in);
  found.out = std::move(out);
  found.wake_read.reset(ends[0]);
  found.wake_write.reset(ends[1]);
  return found;
}

void Connection::close() {
  if (wake_write) (void)!::write(wake_write.get(), "x", 1);
  else ::shutdown(in.get(), SHUT_RDWR);
}

Session::Session(Core& core, Connection connection)
    : core_(core), connection_(std::move(connection)),
      stream_(connection_.in.get(), connection_.out_fd(), connection_.wake_read ? connection_.wake_read.get() : -1) {}

void Session::end(const Fault& why) {
  closed_ = true;
  struct Told {
    std::mutex mutex;
    std::condition_variable changed;
    bool over = false;
  };
  const auto told = std::make_shared<Told>();
  std::thread([self = shared_from_this(), why, told] {
    try {
      self->answer(nullptr, error_frame(why));
    } catch (const std::exception&) {
      // The peer takes no more.
    }
    const std::lock_guard<std::mutex> lock(told->mutex);
    told->over = true;
    told->changed.notify_all();
  }).detach();
  {
    std::unique_lock<std::mutex> lock(told->mutex);
    told->changed.wait_for(lock, kLastWordsPatience, [&] { return told->over; });
  }
  connection_.close();
  wake_waiter();
}

int Session::serve() {
  int code = 0;
  bool working = false;
  try {
    stream_.write_frame(Frame{FrameType::hello, core_.hello(), {}});
    std::thread([self = shared_from_this()] {
      self->work();
      const std::lock_guard<std::mutex> lock(self->mutex_);
      self->work_over_ = true;
      self->changed_.notify_all();
    }).detach();
    working = true;
    code = read_requests();
  } catch (const std::system_error&) {
    code = 0;  // the peer is gone, or another session superseded this one
  } catch (const std::exception& error) {
    core_.log.line(std::string("connection ended: ") + error.what());
    code = 1;
  }
  closed_ = true;
  core_.detach(*this);
  wake_waiter();
  std::unique_lock<std::mutex> lock(mutex_);
  waiting_.clear();
  no_more_ = true;
  changed_.notify_all();
  // It may be stuck in a write to a host that reads no more.
  if (working) changed_.wait_for(lock, kJoinPatience, [this] { return work_over_; });
  return code;
}

int Session::read_requests() {
  while (!core_.ending) {
    std::optional<Frame> frame;
    try {
      frame = stream_.read_frame();
      if (!frame) return 0;
      if (frame->type != FrameType::request || !std::as_const(frame->meta)["id"].is_integer()) {
        throw WireError("expected a REQUEST with a numeric id, got type " + std::to_string(static_cast<int>(frame->type)));
      }
    } catch (const WireError& error) {
      core_.log.line(std::string("connection ended: ") + error.what());
      answer(nullptr, error_frame(Fault("bad_frame", error.what())));
      return 1;
    }
    const Json id = std::as_const(frame->meta)["id"];
    if (is_immediate(std::as_const(frame->meta)["method"])) {
      handle(std::move(*frame));
    } else if (!enqueue(std::move(*frame))) {
      answer(id, error_frame(Fault("bad_request", "over " + std::to_string(kMaxQueued) + " requests are waiting: read the answers")));
    }
  }
  return 0;
}

bool Session::enqueue(Frame frame) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (waiting_.size() >= kMaxQueued) return false;
  waiting_.push_back(std::move(frame));
  changed_.notify_all();
  return true;
}

void Session::work() {
  while (true) {
    Frame frame;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return no_more_ || !waiting_.empty(); });
      if (no_more_) return;
      frame = std::move(waiting_.front());
      waiting_.pop_front();
    }
    try {
      handle(std::move(frame));
    } catch (const std::exception&) {
      closed_ = true;
      return;  // the reader sees the end of input by itself
    }
  }
}

void Session::handle(Frame frame) {
  const Json id = std::as_const(frame.meta)["id"];
  const Json& named = std::as_const(frame.meta)["method"];
  const std::string method = named.is_string() ? named.as_string() : "";
  Frame found;
  try {
    found = answer_to(frame, method);
  } catch (const Fault& fault) {
    found = error_frame(fault);
  } catch (const Gone&) {
    throw;
  } catch (const std::exception& error) {
    if (closed_) throw;
    core_.log.line(method + " failed: " + error.what());
    found = error_frame(Fault("internal", method + ": " + error.what()));
  }
  frame = Frame();  // its body is of no more use
  answer(id, std::move(found));
  if (core_.ending) {
    core_.on_end();
    connection_.close();
  }
}

Frame Session::answer_to(Frame& frame, const std::string& method) {
  static const Json no_params = Json::Object();
  const Json& meta = frame.meta;
  const Json& params = meta.has("params") ? meta["params"] : no_params;
  if ((" " + std::string(kMethods) + " ").find(" " + method + " ") == std::string::npos || method.empty() ||
      method.find(' ') != std::string::npos) {
    throw Fault("unknown_method", "no method " + meta["method"].excerpt() + "; known: " + kMethods);
  }
  if (!params.is_object()) throw Fault("bad_request", "params is not an object");
  if (method == "job.wait") return job_wait(frame, params);
  Json result = Json::Object();
  if (method == "attach") {
    result = attach(params);
  } else if (method == "files.stat") {
    result = files_stat(params);
  } else if (method == "job.prepare") {
    attached_client();
    core_.jobs.prepare(params);
  } else if (method == "job.start") {
    result = job_start(frame);
  } else if (method == "job.status") {
    result = job_of(params)->status();
  } else if (method == "job.cancel") {
    const auto job = job_of(params);
    core_.jobs.cancel(*job);
    result["state"] = job->record().state;
  } else if (method == "job.ack") {
    core_.jobs.acknowledge(*job_of(params));
  } else if (method == "job.list") {
    result = job_list();
  } else if (method == "logs") {
    result = logs(params);
  } else if (method == "shutdown") {
    result = shutdown(params);
  }
  return Frame{FrameType::response, Json::Object{{"result", std::move(result)}}, {}};
}

void Session::answer(const Json& request_id, Frame answer) {
  answer.meta["id"] = request_id;
  try {
    stream_.write_frame(answer);
  } catch (const WireError& error) {
    Frame instead = error_frame(Fault("internal", std::string("the answer breaks the protocol: ") + error.what()));
    instead.meta["id"] = request_id;
    stream_.write_frame(instead);
  }
}

void Session::wake_waiter() {
  if (const auto running = core_.jobs.running()) running->wake();
}

std::optional<Client> Session::client() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return client_;
}

void Session::become(Client client) {
  const std::lock_guard<std::mutex> lock(mutex_);
  client_ = std::move(client);
}

Client Session::attached_client() const {
  std::optional<Client> found = client();
  if (!found) throw Fault("not_attached", "attach with a token first");
  return std::move(*found);
}

std::shared_ptr<Job> Session::job_of(const Json& params) {
  return core_.jobs.find(params["job"], attached_client().token);
}

Json Session::attach(const Json& params) {
  const Client wanted{text_of(params, "token"), text_of(params, "host"), rfc3339_now()};
  return Json::Object{{"superseded", core_.attach(shared_from_this(), wanted)}};
}

Json Session::files_stat(const Json& params) {
  const Json& asked = params["sha256"];
  if (!asked.is_array()) throw Fault("bad_request", "files.stat: sha256 is not a list");
  Json::Array present;
  for (const Json& sha256 : asked.as_array()) {
    if (core_.folder.has_file(sha256)) present.push_back(sha256);
  }
  return Json::Object{{"present", std::move(present)}};
}

Json Session::job_start(Frame& frame) {
  const Client who = attached_client();
  std::set<std::pair<int64_t, std::string>> seen;
  try {
    for (const Tensor& tensor : tensors_of(frame)) {
      const int64_t set = tensor.set.value_or(0);
      if (!seen.emplace(set, tensor.name).second) {
        throw Fault("bad_input", "input " + Json(tensor.name).excerpt() + " is given twice in set " + std::to_string(set));
      }
    }
  } catch (const WireError& error) {
    throw Fault("bad_request", std::string("job.start: ") + error.what());
  }
  if (seen.empty()) throw Fault("bad_input", "job.start carries no input tensors");
  return Json::Object{{"job", core_.jobs.start(std::move(frame), who.token, who.host)}};
}

Frame Session::job_wait(const Frame& frame, const Json& params) {
  const auto job = job_of(params);
  for (int64_t seen = 0;;) {
    const std::vector<Progress> news = job->wait_news(seen, closed_);
    for (const Progress& progress : news) {
      seen = progress.seq;
      Json meta = progress.meta;
      meta["id"] = frame.meta["id"];
      stream_.write_frame(Frame{FrameType::progress, std::move(meta), {}});
    }
    if (closed_) throw Gone("the connection is gone");
    if (news.empty() && job->has_ended()) return core_.jobs.outcome(*job);
  }
}

Json Session::job_list() {
  Json::Array listed;
  for (const Record& record : core_.jobs.records(attached_client().token)) {
    listed.push_back(
        Json::Object{{"job", record.job}, {"kind", record.kind}, {"state", record.state}, {"since", record.since}});
  }
  return Json::Object{{"jobs", std::move(listed)}};
}

Json Session::logs(const Json& params) {
  const Json& count = params["lines"];
  if (params.has("lines") && !count.is_count()) throw Fault("bad_request", "logs: lines=" + count.excerpt(40));
  const auto lines = core_.log.tail(count.is_count() ? static_cast<size_t>(count.as_integer()) : 100);
  return Json::Object{{"lines", Json::Array(lines.begin(), lines.end())}};
}

Json Session::shutdown(const Json& params) {
  if (params["force"] != Json(true)) core_.jobs.require_idle();
  core_.ending = true;  // `handle` ends the core once the answer is written
  return Json::Object();
}

}  // namespace edgeflow
