/// Memory for the numbers of a column.
#ifndef HEPAE_BUFFER_HPP
#define HEPAE_BUFFER_HPP

#include <cstddef>
#include <memory>

namespace hepae {
namespace detail {

/// Numbers that loops take at once: a constant, so that compilers make vector instructions of the loops.
constexpr std::size_t block = 256;

/// Numbers that are not yet set, and a block of zeros behind them: so loops over blocks may read beyond the end.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size) : size_(size), data_(new T[size + block]) {
    for (std::size_t i = size; i < size + block; ++i) data_[i] = T();
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  explicit operator bool() const { return static_cast<bool>(data_); }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  std::size_t size_ = 0;
  std::unique_ptr<T[]> data_;
};

}  // namespace detail
}  // namespace hepae

#endif
