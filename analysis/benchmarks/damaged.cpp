/// Reads copies of a compressed file, in each of which one bit is flipped, as RDataFrame does, and counts what becomes of them.
///
///     damaged COPY FIRST END
///
/// COPY is the copy, in which bits FIRST to END - 1 are flipped one after the other. The reading is done in a child process: ROOT itself may crash
/// on a damaged file, and then the next child goes on behind that bit. Prints how many were refused, right, wrong, crashed and had no end.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <hepae.hpp>

namespace {

constexpr unsigned seconds = 30;

/// All values of all coded columns, and the events that they are in, as one number.
std::uint64_t read(const std::string& path) {
  hepae::CompressedChain chain({path});
  std::uint64_t hash = 14695981039346656037u;
  const auto take = [&hash](const void* bytes, std::size_t size) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    for (std::size_t i = 0; i < size; ++i) hash = (hash ^ at[i]) * 1099511628211u;
  };
  const auto& collections = chain.header().collections;
  for (std::size_t number = 0; number < collections.size(); ++number) {
    const auto& clusters = chain.file(0).clusters(collections[number].name);
    for (std::size_t i = 0; i < clusters.size(); ++i) {
      const auto decoded = chain.decoded(0, number, i);
      if (const auto* offsets = decoded->offsets()) take(offsets, 8 * static_cast<std::size_t>(clusters[i].events + 1));
      for (const auto& row : clusters[i].rows) {
        const hepae::Values values = decoded->values(row.first);
        take(row.first.data(), row.first.size());
        take(values.bytes(), values.size() * hepae::type_size(values.kind()));
      }
    }
  }
  return hash;
}

enum Outcome { refused, right, wrong, crashed, endless, outcomes };

struct Shared {
  long bit;
  long counts[outcomes];
};

void flip(int file, long bit) {
  unsigned char byte = 0;
  if (pread(file, &byte, 1, bit / 8) != 1) std::exit(2);
  byte = static_cast<unsigned char>(byte ^ 1u << bit % 8);
  if (pwrite(file, &byte, 1, bit / 8) != 1) std::exit(2);
}

[[noreturn]] void child(Shared& shared, const std::string& path, int file, long end, std::uint64_t expected) {
  const rlimit addresses{rlim_t{8} << 30, rlim_t{8} << 30};
  setrlimit(RLIMIT_AS, &addresses);
  if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(2);
  for (; shared.bit < end; ++shared.bit) {
    flip(file, shared.bit);
    alarm(seconds);
    Outcome outcome = refused;
    try {
      outcome = read(path) == expected ? right : wrong;
    } catch (const hepae::Error&) {
    }
    flip(file, shared.bit);
    ++shared.counts[outcome];
  }
  _exit(0);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  const std::string path = arguments[1];
  const long first = std::atol(arguments[2]), end = std::atol(arguments[3]);
  auto* shared = static_cast<Shared*>(
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const int file = open(path.c_str(), O_RDWR);
  if (shared == MAP_FAILED || file < 0) return 2;
  *shared = {first, {}};
  const std::uint64_t expected = read(path);
  while (shared->bit < end) {
    const pid_t pid = fork();
    if (pid == 0) child(*shared, path, file, end, expected);
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
    flip(file, shared->bit++);
    ++shared->counts[WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? endless : crashed];
  }
  for (const long number : shared->counts) std::printf("%ld ", number);
}
