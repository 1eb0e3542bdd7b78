// Folders and files of the work folder. Paths are bytes; what fails throws std::system_error that names the path.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "common/descriptor.h"

namespace edgeflow {

// A std::system_error of errno.
[[noreturn]] void throw_errno(const std::string& what);

// `name` in `folder`.
std::string path_in(std::string_view folder, std::string_view name);
// The folder part of a path; "." where it has none.
std::string parent_of(const std::string& path);
// The path from the root, without "." and "..", as text: links are not looked at.
std::string absolute_path(std::string_view path);
// A leading ~ replaced by $HOME. Throws Fault where HOME is not set.
std::string with_home(const std::string& path);

// Opens with O_CLOEXEC. Throws.
Descriptor open_file(const std::string& path, int flags, mode_t mode = 0600);
// Makes the folder and those above it, for this user alone; they may exist. Throws.
void make_folders(const std::string& path);
// Every name in a folder but . and .., in no order; none where it cannot be read.
std::vector<std::string> names_in(const std::string& folder);
bool exists(const std::string& path);
bool is_folder(const std::string& path);

// The whole of a file of at most `limit` bytes. Throws, EFBIG for a larger one.
std::string read_file(const std::string& path, size_t limit);
// Writes all bytes to a descriptor. Throws.
void write_all(int fd, std::string_view bytes, const std::string& path);
// Replaces a file by the chunks, on the disk before it has its name. Throws; the old file is whole then.
void write_atomically(const std::string& path, std::initializer_list<std::string_view> chunks);
// Removes a file or a folder with all in it; links are removed, never followed. False where something is left.
bool remove_tree(const std::string& path);

// Sets the time of access alone, which many systems do not keep by themselves (mount(8), noatime). What cannot be
// marked is left: a read-only file system is not pruned either.
void mark_used(const std::string& path);
void mark_used(int fd);

// `count` random bytes in hex.
std::string random_hex(size_t count);

}  // namespace edgeflow
