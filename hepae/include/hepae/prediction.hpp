/// Bytes to the integers of a column: what earlier columns and jets say about it is added to what its runs hold.
#ifndef HEPAE_PREDICTION_HPP
#define HEPAE_PREDICTION_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hepae/buffer.hpp"
#include "hepae/bytes.hpp"
#include "hepae/contexts.hpp"
#include "hepae/error.hpp"
#include "hepae/jet_order.hpp"
#include "hepae/pcodec.hpp"
#include "hepae/polynomials.hpp"
#include "hepae/recoil.hpp"

namespace hepae {
namespace detail {

/// The integers of a column, and what is asked of them where other columns are predicted from it.
class Integers {
 public:
  Integers() = default;

  /// In the order of the file, or of the ranks.
  Integers(Pool& pool, const Ranks& ranks, Buffer<std::int64_t> numbers, bool by_rank)
      : pool_(&pool), ranks_(&ranks), numbers_(std::move(numbers)), by_rank_(by_rank) {}

  const std::int64_t* numbers() const { return numbers_.data(); }
  std::int64_t* numbers() { return numbers_.data(); }
  std::size_t size() const { return numbers_.size(); }

  /// Whether `numbers` are in the order of the ranks, and that is another one than the file's.
  bool by_rank() const { return by_rank_ && !ranks_->flat(); }

  /// In the order of the ranks.
  const std::int64_t* ordered() {
    if (by_rank_ || ranks_->flat()) return numbers_.data();
    if (!ordered_) {
      ordered_ = Buffer<std::int64_t>(*pool_, size());
      for (std::size_t i = 0; i < size(); ++i) ordered_[i] = numbers_[ranks_->order()[i]];
    }
    return ordered_.data();
  }

  /// As bases, in the order of the ranks.
  const std::int32_t* bases() {
    if (!bases_) {
      bases_ = Buffer<std::int32_t>(*pool_, size());
      Scale::of(ordered(), size()).bases(ordered(), size(), bases_.data());
    }
    return bases_.data();
  }

 private:
  Pool* pool_ = nullptr;
  const Ranks* ranks_ = nullptr;
  Buffer<std::int64_t> numbers_, ordered_;
  Buffer<std::int32_t> bases_;
  bool by_rank_ = false;
};

/// A column that another one is predicted from.
struct Parent {
  Integers* integers = nullptr;
  std::function<Buffer<double>()> restored;  ///< its restored values in the order of the ranks, for the recoil
};

/// How the column of one regime is predicted, by an anchor or else a form, and sorted into groups.
struct Model {
  enum Anchor : unsigned { nothing, previous, recoil, parent };
  enum Base : unsigned { one, before, after, latest, first, share, rest, totals, parents };

  unsigned anchor = nothing;
  Form form;
  Tree tree;

  static Model read(Reader& in, std::size_t known) {
    Model model;
    model.anchor = static_cast<unsigned>(in.varint(parent + known - 1));
    model.form = Form::read(in, parents + known);
    model.tree = Tree::read(in, parents + known);
    return model;
  }

  /// Whether a base is asked for.
  bool asks(unsigned base) const {
    return std::any_of(form.terms.begin(), form.terms.end(),
                       [&](const Form::Term& term) { return term.first == base || term.second == base; }) ||
           std::any_of(tree.questions.begin(), tree.questions.end(),
                       [&](const Tree::Question& question) { return question.base == base; });
  }

  /// Whether jets have to be decoded before those after them in their events.
  bool in_turn() const {
    return anchor == previous || anchor == recoil || asks(latest) || asks(first) || asks(share) || asks(rest);
  }
};

/// Numbers of several groups, handed out in the order of the jets that belong to them.
class Groups {
 public:
  Groups(Pool& pool, Reader& in, std::size_t groups, std::size_t jets, const std::string& header)
      : numbers_(pool, jets), next_(groups) {
    std::size_t done = 0;
    for (Part& part : next_) {
      const RunStart run = start_run(in, jets - done);
      if (run.length > 0 && (run.type == RunType::float32 || run.type == RunType::float64)) {
        throw Error("damaged payload: floats where integers have to be");
      }
      finish_run(pool, run, header, numbers_.data() + done);
      part.at = numbers_.data() + done;
      part.end = part.at + run.length;
      done += run.length;
    }
  }

  /// Add the next numbers of these groups to predictions.
  template <class Sum>
  void add(const std::int32_t* groups, std::size_t count, const std::int64_t* predictions, std::int64_t* out, Sum sum) {
    if (next_.size() == 1) {
      Part& part = next_[0];
      if (count > static_cast<std::size_t>(part.end - part.at)) fail();
      for (std::size_t i = 0; i < count; ++i) out[i] = sum(predictions[i], part.at[i]);
      part.at += count;
      return;
    }
    Part* const parts = next_.data();
    for (std::size_t i = 0; i < count; ++i) {
      Part& part = parts[groups[i]];
      if (part.at == part.end) fail();
      out[i] = sum(predictions[i], *part.at++);
    }
  }

 private:
  struct Part {
    const std::int64_t* at = nullptr;
    const std::int64_t* end = nullptr;
  };
  [[noreturn]] static void fail() { throw Error("damaged payload: a group has fewer integers than jets"); }

  Buffer<std::int64_t> numbers_;
  std::vector<Part> next_;
};

/// A column that is being decoded by models, regime by regime.
class Modelled {
 public:
  Modelled(Pool& pool, const Ranks& ranks, const Scale& scale, const std::vector<Parent>& parents, Recoil* recoil)
      : pool_(pool), ranks_(ranks), scale_(scale), parents_(parents), recoil_(recoil), out_(pool, ranks.jets()) {
    std::fill(ones_, ones_ + block, std::int32_t{1} << base_width);
  }

  Buffer<std::int64_t> read(Reader& in, const std::string& header) {
    const std::vector<Places>& places = ranks_.ranks();
    regime(in, header, 0, 1);
    if (places.size() > 1) regime(in, header, 1, places.size());
    return std::move(out_);
  }

 private:
  /// Decode the jets of consecutive ranks that share a model.
  void regime(Reader& in, const std::string& header, std::size_t first, std::size_t end) {
    const std::vector<Places>& places = ranks_.ranks();
    const Places all{places[first].begin, places[end - 1].end};
    const Model model = Model::read(in, parents_.size());
    if (model.anchor == Model::recoil && recoil_ == nullptr && model.form.terms.empty()) {
      throw Error("damaged payload: a column without a recoil is predicted from it");
    }
    Groups groups(pool_, in, model.tree.groups(), all.size(), header);
    prepare(model);
    if (first == 0 || !model.in_turn()) {
      decode(model, groups, all, all);
      return;
    }
    for (std::size_t rank = first; rank < end; ++rank) {
      take(model, rank - 1);
      decode(model, groups, places[rank], places[rank - 1]);
    }
  }

  /// Take in the integers of a rank, for the jets of the next one.
  void take(const Model& model, std::size_t rank) {
    const Places here = ranks_.ranks()[rank];
    if (model.asks(Model::latest) || (rank == 0 && model.asks(Model::first))) {
      scale_.bases(out_.data() + here.begin, here.size(), own_.data() + here.begin);
    }
    const bool balanced = model.anchor == Model::recoil || model.asks(Model::share) || model.asks(Model::rest);
    if (recoil_ != nullptr && balanced) recoil_->take(rank, out_.data());
  }

  /// Where the bases of the jets at place 0 stand, of those that the model asks for.
  void prepare(const Model& model) {
    if (!own_ && (model.asks(Model::latest) || model.asks(Model::first))) {
      own_ = Buffer<std::int32_t>(pool_, ranks_.jets());
    }
    sources_.assign(Model::parents + parents_.size(), nullptr);
    if (model.asks(Model::before)) sources_[Model::before] = ranks_.before();
    if (model.asks(Model::after)) sources_[Model::after] = ranks_.after();
    if (recoil_ != nullptr) {
      sources_[Model::share] = recoil_->share();
      sources_[Model::rest] = recoil_->rest();
    }
    for (std::size_t i = 0; i < parents_.size(); ++i) {
      const auto base = static_cast<unsigned>(Model::parents + i);
      if (model.asks(base)) sources_[base] = parents_[i].integers->bases();
    }
  }

  /// Decode jets at some places; `before` are those of the rank before, the same ones where there is none.
  void decode(const Model& model, Groups& groups, Places here, Places before) {
    const bool later = before.begin < here.begin;
    std::vector<const std::int32_t*> bases(sources_.size(), zeros_);
    std::int64_t totals[block], predictions[block] = {};
    std::int32_t group[block], base_of_totals[block];
    bases[Model::one] = ones_;
    const std::int64_t* anchors = nullptr;
    if (model.anchor >= Model::parent) anchors = parents_[model.anchor - Model::parent].integers->ordered();
    if (model.anchor == Model::recoil && recoil_ != nullptr) anchors = recoil_->angle();
    for (std::size_t start = here.begin; start < here.end; start += block) {
      const std::size_t size = std::min(block, here.end - start);
      for (std::size_t base = 1; base < bases.size(); ++base) {
        if (sources_[base] != nullptr) bases[base] = sources_[base] + start;
      }
      if (later && own_) {
        bases[Model::latest] = own_.data() + before.begin + (start - here.begin);
        bases[Model::first] = own_.data() + (start - here.begin);
      }
      const std::int64_t* predicted = predictions;
      if (!model.form.terms.empty()) {
        bases[Model::totals] = zeros_;
        model.form.totals(bases.data(), totals);
        Form::base(totals, base_of_totals);
        bases[Model::totals] = base_of_totals;
        scale_.integers(totals, predictions);
      } else if (anchors != nullptr) {
        predicted = anchors + start;
      } else if (model.anchor == Model::previous && later) {
        predicted = out_.data() + before.begin + (start - here.begin);
      }
      if (!model.tree.questions.empty()) model.tree(bases.data(), group);
      if (model.anchor == Model::recoil && recoil_ != nullptr) {
        const Recoil& recoil = *recoil_;
        groups.add(group, size, predicted, out_.data() + start,
                   [&recoil](std::int64_t angle, std::int64_t number) { return recoil.turned(angle, number); });
      } else {
        groups.add(group, size, predicted, out_.data() + start, wrapped_sum);
      }
    }
  }

  Pool& pool_;
  const Ranks& ranks_;
  Scale scale_;
  const std::vector<Parent>& parents_;
  Recoil* recoil_;
  Buffer<std::int64_t> out_;
  Buffer<std::int32_t> own_;
  std::vector<const std::int32_t*> sources_;
  std::int32_t ones_[block], zeros_[block] = {};
};

/// The integers of one column, or the floats that they stand for.
struct Decoded {
  Buffer<std::int64_t> numbers;
  bool by_rank = false, floats = false;
  RunType type = RunType::int64;
};

/// Read the stream of a column.
inline Decoded read_stream(Pool& pool, Reader& in, const std::string& header, const Ranks& ranks,
                           const std::vector<Parent>& parents) {
  constexpr std::uint64_t longest_turn = std::uint64_t{1} << 40;
  Decoded decoded;
  if (ranks.jets() == 0) {
    decoded.numbers = Buffer<std::int64_t>(pool, 0);
    return decoded;
  }
  const std::uint64_t kind = in.varint(2);
  if (kind == 0) {
    Run run = read_values(pool, in, ranks.jets(), header);
    if (run.size() != ranks.jets()) {
      throw Error("damaged payload: a column of " + std::to_string(ranks.jets()) + " jets has " +
                  std::to_string(run.size()) + " numbers");
    }
    decoded.floats = run.floats();
    decoded.type = run.type;
    decoded.numbers = std::move(run.numbers);
    return decoded;
  }
  const Scale scale = Scale::read(in);
  std::unique_ptr<Recoil> recoil;
  if (kind == 2) {
    const auto turn = static_cast<std::int64_t>(in.varint(longest_turn));
    const std::int64_t low = unzigzag(in.varint());
    if (turn == 0 || parents.empty()) throw Error("damaged payload: a recoil without pt");
    recoil = std::make_unique<Recoil>(pool, ranks, parents[0].restored(), low, turn);
  }
  decoded.numbers = Modelled(pool, ranks, scale, parents, recoil.get()).read(in, header);
  decoded.by_rank = true;
  return decoded;
}

}  // namespace detail
}  // namespace hepae

#endif
