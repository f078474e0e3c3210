// Writes columns into an RNTuple with ROOT's lossy types: Real32Trunc, or Real32Quant where a range is given.
#include <ROOT/RField.hxx>
#include <ROOT/RNTupleModel.hxx>
#include <ROOT/RNTupleWriteOptions.hxx>
#include <ROOT/RNTupleWriter.hxx>
#include <ROOT/RVersion.hxx>

#include <memory>
#include <string>
#include <utility>
#include <vector>

struct LossyColumn {
  std::string name;
  const float *values;
  int bits;
  float low, high;
};

class LossyWriter {
public:
  void Add(const std::string &name, const float *values, int bits, float low, float high) {
    fColumns.push_back({name, values, bits, low, high});
  }

  // counts: jets of each event
  void Write(const std::string &path, const long *counts, long events, int compression) {
    std::vector<std::unique_ptr<ROOT::RFieldBase>> fields;
    for (const auto &column : fColumns) {
      auto field = std::make_unique<ROOT::RField<float>>(column.name);
      if (!(column.low < column.high))
        field->SetTruncated(column.bits);
      else
#if ROOT_VERSION_CODE >= ROOT_VERSION(6, 40, 0)
        field->SetQuantized(column.bits, std::pair<float, float>{column.low, column.high});
#else
        field->SetQuantized(column.low, column.high, column.bits);
#endif
      fields.emplace_back(std::move(field));
    }
    auto model = ROOT::RNTupleModel::Create();
    auto record = std::make_unique<ROOT::RRecordField>("_0", std::move(fields));
    model->AddField(ROOT::RVectorField::CreateUntyped("Jet", std::move(record)));
    auto entry = model->GetDefaultEntry().GetPtr<void>("Jet");
    auto &bytes = *static_cast<std::vector<char> *>(entry.get());
    ROOT::RNTupleWriteOptions options;
    options.SetCompression(compression);
    auto writer = ROOT::RNTupleWriter::Recreate(std::move(model), "Events", path, options);
    long first = 0;
    for (long event = 0; event < events; ++event) {
      bytes.resize(counts[event] * fColumns.size() * sizeof(float));
      auto value = reinterpret_cast<float *>(bytes.data());
      for (long jet = first; jet < first + counts[event]; ++jet)
        for (const auto &column : fColumns)
          *value++ = column.values[jet];
      first += counts[event];
      writer->Fill();
    }
  }

private:
  std::vector<LossyColumn> fColumns;
};
