/// hepae: reads compressed files. Header only, C++17; the core needs the standard library alone.
///
///     #include <hepae.hpp>                                     // -I$(hepae include)
///     auto jets = hepae::FromFile("small.root");               // where ROOT is there: an RDataFrame
#ifndef HEPAE_HPP
#define HEPAE_HPP

#include "hepae/branch_checksums.hpp"
#include "hepae/bytes.hpp"
#include "hepae/cluster.hpp"
#include "hepae/error.hpp"
#include "hepae/header.hpp"
#include "hepae/rows.hpp"
#include "hepae/values.hpp"

#if __has_include(<ROOT/RDataSource.hxx>) && __has_include("hepae/rdatasource.hpp")
#include "hepae/rdatasource.hpp"
#endif

#endif
