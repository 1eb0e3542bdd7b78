"""From the native agent's sources to programs for a device: compilers, runtimes, builds, bundles."""
