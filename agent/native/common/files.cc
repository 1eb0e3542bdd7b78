#include "common/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "common/fault.h"

namespace edgeflow {
namespace {

constexpr timespec kAsIs = {0, UTIME_OMIT};
constexpr timespec kNow = {0, UTIME_NOW};

struct Folder {
  explicit Folder(int fd) : handle(fd < 0 ? nullptr : ::fdopendir(fd)) {
    if (handle == nullptr && fd >= 0) ::close(fd);
  }
  explicit Folder(const std::string& path) : handle(::opendir(path.c_str())) {}
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    if (handle != nullptr) ::closedir(handle);
  }

  std::vector<std::string> names() const {
    std::vector<std::string> found;
    if (handle == nullptr) return found;
    while (const dirent* entry = ::readdir(handle)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") found.emplace_back(name);
    }
    return found;
  }

  DIR* handle;
};

// A name of the folder `at`, whatever it is. A folder within takes one descriptor while it is emptied.
bool remove_at(int at, const char* name) {
  if (::unlinkat(at, name, 0) == 0 || errno == ENOENT) return true;
  if (errno != EISDIR && errno != EPERM && errno != EACCES) return false;
  const Folder folder(::openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (folder.handle == nullptr) return false;
  bool whole = true;
  for (const std::string& inner : folder.names()) whole = remove_at(::dirfd(folder.handle), inner.c_str()) && whole;
  return (::unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT) && whole;
}

}  // namespace

void throw_errno(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

std::string path_in(std::string_view folder, std::string_view name) {
  std::string out(folder);
  if (out.empty() || out.back() != '/') out.push_back('/');
  return out.append(name);
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string absolute_path(std::string_view path) {
  std::string whole;
  if (path.empty() || path.front() != '/') {
    char* here = ::getcwd(nullptr, 0);
    if (here == nullptr) throw_errno("the current folder");
    whole = std::string(here) + "/";
    std::free(here);
  }
  whole += path;
  std::vector<std::string_view> parts;
  for (size_t at = 0; at < whole.size();) {
    size_t end = whole.find('/', at);
    if (end == std::string::npos) end = whole.size();
    const std::string_view part = std::string_view(whole).substr(at, end - at);
    at = end + 1;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
  }
  std::string out;
  for (const std::string_view part : parts) out.append("/").append(part);
  return out.empty() ? "/" : out;
}

std::string with_home(const std::string& path) {
  if (path != "~" && path.compare(0, 2, "~/") != 0) return path;
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') throw Fault("internal", path + ": HOME is not set; give the whole path");
  return home + path.substr(1);
}

Descriptor open_file(const std::string& path, int flags, mode_t mode) {
  Descriptor file(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!file) throw_errno(path);
  return file;
}

void make_folders(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return;
  if (errno == ENOENT && parent_of(path) != path) {
    make_folders(parent_of(path));
    if (::mkdir(path.c_str(), 0700) == 0) return;
  }
  // Not the error's number: a file system that is read-only says so although the folder is there.
  if (is_folder(path)) return;
  throw_errno(path);
}

std::vector<std::string> names_in(const std::string& folder) { return Folder(folder).names(); }

bool exists(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0;
}

bool is_folder(const std::string& path) {
  const int before = errno;
  struct stat found {};
  const bool folder = ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
  errno = before;
  return folder;
}

std::string read_file(const std::string& path, size_t limit) {
  const Descriptor file = open_file(path, O_RDONLY);
  std::string out;
  char chunk[4096];
  while (true) {
    const ssize_t got = ::read(file.get(), chunk, sizeof chunk);
    if (got == 0) return out;
    if (got < 0 && errno == EINTR) continue;
    if (got > 0 && out.size() + static_cast<size_t>(got) > limit) errno = EFBIG;
    if (got < 0 || out.size() + static_cast<size_t>(got) > limit) throw_errno(path);
    out.append(chunk, static_cast<size_t>(got));
  }
}

void write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) bytes.remove_prefix(static_cast<size_t>(written));
    else if (errno != EINTR) throw_errno(path);
  }
}

void write_atomically(const std::string& path, std::initializer_list<std::string_view> chunks) {
  const std::string temporary = path + ".tmp";
  const Descriptor file = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
  for (const std::string_view chunk : chunks) write_all(file.get(), chunk, temporary);
  if (::fsync(file.get()) != 0) throw_errno(temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) throw_errno(path);
}

bool remove_tree(const std::string& path) { return remove_at(AT_FDCWD, path.c_str()); }

void mark_used(const std::string& path) {
  const timespec times[2] = {kNow, kAsIs};
  (void)::utimensat(AT_FDCWD, path.c_str(), times, 0);
}

void mark_used(int fd) {
  const timespec times[2] = {kNow, kAsIs};
  (void)::futimens(fd, times);
}

std::string random_hex(size_t count) {
  std::string bytes(count, '\0');
  size_t got = 0;
#ifdef SYS_getrandom
  const long drawn = ::syscall(SYS_getrandom, bytes.data(), count, 0);
  if (drawn > 0) got = static_cast<size_t>(drawn);
#endif
  if (got < count) {
    const Descriptor source = open_file("/dev/urandom", O_RDONLY);
    if (::read(source.get(), bytes.data(), count) != static_cast<ssize_t>(count)) throw_errno("/dev/urandom");
  }
  static const char* digits = "0123456789abcdef";
  std::string out;
  for (const char letter : bytes) {
    const auto byte = static_cast<unsigned char>(letter);
    out.append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
  }
  return out;
}

}  // namespace edgeflow
