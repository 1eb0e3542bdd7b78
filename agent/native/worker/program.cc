// The program of every runtime but null, whose worker is the core itself.
#include "worker/main.h"

int main(int argc, char** argv) { return edgeflow::worker_main(argc, argv); }
