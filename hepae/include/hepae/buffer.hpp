/// Memory for the numbers of a column.
#ifndef HEPAE_BUFFER_HPP
#define HEPAE_BUFFER_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#if defined(__GNUC__)
/// A loop over a block that stays a function of its own: inlined, what is known of its arguments is lost, and it is slower.
#define HEPAE_LOOP __attribute__((noinline))
#else
#define HEPAE_LOOP
#endif

namespace hepae {
namespace detail {

/// Numbers that loops take at once: a constant, so that compilers make vector instructions of the loops.
constexpr std::size_t block = 256;

/// Memory that is used again: what the operating system gives anew for each column costs as much time as decoding it.
class Pool {
 public:
  struct Piece {
    std::size_t words = 0;
    std::unique_ptr<std::uint64_t[]> data;
  };

  /// Memory of at least so many words, and of at most four times as many.
  Piece take(std::size_t words) {
    std::size_t best = free_.size();
    for (std::size_t i = 0; i < free_.size(); ++i) {
      const bool fits = free_[i].words >= words && free_[i].words / 4 <= words;
      if (fits && (best == free_.size() || free_[i].words < free_[best].words)) best = i;
    }
    if (best == free_.size()) return {words, std::unique_ptr<std::uint64_t[]>(new std::uint64_t[words])};
    Piece piece = std::move(free_[best]);
    free_[best] = std::move(free_.back());
    free_.pop_back();
    return piece;
  }

  void give_back(Piece piece) { free_.push_back(std::move(piece)); }

 private:
  std::vector<Piece> free_;
};

/// Numbers that are not yet set, and a block of zeros behind them: so loops over blocks may read beyond the end.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Pool& pool, std::size_t size)
      : pool_(&pool), size_(size), piece_(pool.take((size + block) * sizeof(T) / sizeof(std::uint64_t) + 1)),
        data_(static_cast<T*>(static_cast<void*>(piece_.data.get()))) {
    for (std::size_t i = size; i < size + block; ++i) data_[i] = T();
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~Buffer() {
    if (pool_ != nullptr) pool_->give_back(std::move(piece_));
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  explicit operator bool() const { return data_ != nullptr; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

  void fill(T value) {
    for (std::size_t i = 0; i < size_; ++i) data_[i] = value;
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(size_, other.size_);
    std::swap(piece_, other.piece_);
    std::swap(data_, other.data_);
  }

  Pool* pool_ = nullptr;
  std::size_t size_ = 0;
  Pool::Piece piece_;
  T* data_ = nullptr;
};

}  // namespace detail
}  // namespace hepae

#endif
