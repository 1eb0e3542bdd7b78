/* Gives Debian's adbd the system properties that a phone's init would have set.
 *
 * Loaded by LD_PRELOAD. Debian's libbase keeps properties in the process alone (system/libbase/properties.cpp,
 * the part for hosts), so each line `key=value` of the phone's build.prop is handed to its SetProperty. Plain C,
 * so that the cross compiler needs no C++ library: a std::string is laid out by hand as libstdc++ has it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cxx_string {
  char *data;
  size_t size;
  union {
    char local[16];
    size_t capacity;
  };
};

typedef char (*set_property_fn)(const struct cxx_string *, const struct cxx_string *);

static struct cxx_string borrow(char *text) {
  struct cxx_string string = {.data = text, .size = strlen(text)};
  string.capacity = string.size;
  return string;
}

__attribute__((constructor)) static void load_properties(void) {
  unsetenv("LD_PRELOAD"); /* the shells that adbd starts do not need it */
  set_property_fn set_property = (set_property_fn)dlsym(
      RTLD_DEFAULT,
      "_ZN7android4base11SetPropertyERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEES8_");
  FILE *file = fopen("/system/build.prop", "re");
  if (!set_property || !file) abort(); /* a phone without its properties would only look like one */
  char line[512];
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    char *equals = strchr(line, '=');
    if (!equals) continue;
    *equals = 0;
    struct cxx_string key = borrow(line), value = borrow(equals + 1);
    set_property(&key, &value);
  }
  fclose(file);
}
