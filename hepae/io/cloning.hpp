// What root_worker.py has ROOT do for each basket and each entry.

#pragma once

#include <RZip.h>
#include <TBasket.h>
#include <TBranchElement.h>
#include <TClonesArray.h>
#include <TFile.h>
#include <TKey.h>
#include <TLeaf.h>
#include <TStreamerInfo.h>
#include <TTree.h>
#include <TTreeCloner.h>
#include <TVirtualCollectionProxy.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hepae_cloning {

/// Replaces lists of branches for a while.
class Replaced {
   std::vector<std::pair<TObjArray *, std::vector<TObject *>>> fLists;

   static void Set(TObjArray &list, const std::vector<TObject *> &objects)
   {
      for (Int_t i = list.GetLast(); i >= 0; --i)
         list.RemoveAt(i);
      for (const auto object : objects)
         list.AddLast(object);
   }

   static std::vector<TObject *> All(const TObjArray &list)
   {
      std::vector<TObject *> objects;
      for (const auto object : list)
         objects.push_back(object);
      return objects;
   }

public:
   void Replace(TObjArray &list, const std::vector<TObject *> &objects)
   {
      fLists.emplace_back(&list, All(list));
      Set(list, objects);
   }
   /// Leave the branches of a list, and those below them, without members.
   void Part(TObjArray &list)
   {
      for (const auto object : All(list)) {
         auto &members = *static_cast<TBranch *>(object)->GetListOfBranches();
         Part(members);
         Replace(members, {});
      }
   }
   ~Replaced()
   {
      for (auto list = fLists.rbegin(); list != fLists.rend(); ++list)
         Set(*list->first, list->second);
   }
};

using Pairs = std::vector<std::pair<TBranch *, TBranch *>>;

/// Pair the branches of two lists that have the same names, and their members.
inline void pair_up(TObjArray &from, TObjArray &to, const std::vector<TBranch *> &filled, Pairs &pairs)
{
   std::map<std::string, std::deque<TBranch *>> others; // some trees have a name twice
   for (const auto object : from)
      others[object->GetName()].push_back(static_cast<TBranch *>(object));
   for (const auto object : to) {
      const auto branch = static_cast<TBranch *>(object);
      auto &there = others[branch->GetName()];
      if (there.empty())
         continue;
      if (std::find(filled.begin(), filled.end(), branch) == filled.end())
         pairs.emplace_back(there.front(), branch);
      pair_up(*there.front()->GetListOfBranches(), *branch->GetListOfBranches(), filled, pairs);
      there.pop_front();
   }
}

/// Whether the objects of a tree may refer to others, or be referred to: whether there are any but lists of numbers.
inline bool may_refer(TObjArray &branches)
{
   for (const auto object : branches) {
      const auto branch = static_cast<TBranch *>(object);
      TClass *expected = nullptr;
      EDataType data = kOther_t;
      if (branch->InheritsFrom(TBranchElement::Class()) && branch->GetExpectedType(expected, data) == 0 && expected) {
         auto proxy = expected->GetCollectionProxy();
         while (proxy && proxy->GetValueClass() && proxy->GetValueClass()->GetCollectionProxy())
            proxy = proxy->GetValueClass()->GetCollectionProxy();
         const auto inner = proxy ? proxy->GetValueClass() : expected;
         if (inner && std::string(inner->GetName()) != "string")
            return true;
      }
      if (may_refer(*branch->GetListOfBranches()))
         return true;
   }
   return false;
}

/// Takes what references need out of the keys of a file for a while: ROOT copies it once more for each tree.
class NoReferences {
   TList *fKeys;
   std::vector<std::pair<TObject *, Int_t>> fTaken;

public:
   NoReferences(TTree &tree) : fKeys(tree.GetDirectory()->GetFile()->GetListOfKeys())
   {
      if (may_refer(*tree.GetListOfBranches()))
         return;
      for (const auto key : *fKeys)
         if (std::string(static_cast<TKey *>(key)->GetClassName()) == "TProcessID")
            fTaken.emplace_back(key, fKeys->IndexOf(key));
      for (const auto &[key, place] : fTaken)
         fKeys->Remove(key);
   }
   ~NoReferences()
   {
      for (const auto &[key, place] : fTaken)
         fKeys->AddAt(key, place);
   }
};

/// What ROOT lets only its own cloner do.
struct KeyAccess : TKey {
   static Int_t TKey::*Bytes() { return &KeyAccess::fNbytes; }
};
struct TreeAccess : TTree {
   static void (TTree::*ImportClusters())(TTree *) { return &TreeAccess::ImportClusterRanges; }
};

/// What a basket holds, uncompressed; it was loaded as it is stored.
inline std::vector<char> content_of(TBasket &basket)
{
   const int length = basket.GetObjlen(), stored = basket.GetNbytes() - basket.GetKeylen();
   const auto content = basket.GetBufferRef()->Buffer() + basket.GetKeylen();
   if (stored >= length)
      return std::vector<char>(content, content + length);
   std::vector<char> plain(length);
   for (int from = 0, to = 0, in = 0, out = 0, made = 0; to < length; from += in, to += out) {
      const auto source = reinterpret_cast<unsigned char *>(content) + from;
      if (stored - from < ROOT::Internal::kZipHeaderSize || R__unzip_header(&in, source, &out) != 0 ||
          in > stored - from || out > length - to)
         throw std::runtime_error("a damaged basket");
      R__unzip(&in, source, &out, reinterpret_cast<unsigned char *>(&plain[to]), &made);
      if (made != out)
         throw std::runtime_error("a damaged basket");
   }
   return plain;
}

/// Copies the baskets of all branches that both trees have; they become the next entries.
///
/// Those of `filled` are left as they are. Either `AsStored` copies all, or each of `Baskets` is loaded, and stored with its own
/// bytes or fewer, between `Begin` and `End`.
class Copy {
   TTree &fFrom, &fTo;
   NoReferences fWithout;
   Pairs fPairs;
   Replaced fReplaced; // ROOT pairs them as members of their mothers, all or none
   std::unique_ptr<TTreeCloner> fCloner;
   std::vector<std::pair<Long64_t, std::pair<std::size_t, Int_t>>> fBaskets; // in the order in which they stand in the file
   std::unique_ptr<TBasket> fBasket;
   std::vector<char> fContent;
   std::size_t fCurrent = 0;
   Int_t fProcesses = 0;

   TFile &File() { return *fTo.GetDirectory()->GetFile(); }

public:
   Copy(TTree &from, TTree &to, const std::vector<TBranch *> &filled) : fFrom(from), fTo(to), fWithout(from)
   {
      pair_up(*from.GetListOfBranches(), *to.GetListOfBranches(), filled, fPairs);
      std::vector<TObject *> sources, targets;
      for (const auto &[source, target] : fPairs) {
         sources.push_back(source);
         targets.push_back(target);
      }
      for (const auto &[tree, branches] : std::vector<std::pair<TTree *, std::vector<TObject *> *>>{{&from, &sources}, {&to, &targets}}) {
         fReplaced.Part(*tree->GetListOfBranches());
         fReplaced.Replace(*tree->GetListOfBranches(), *branches);
      }
      fCloner = std::make_unique<TTreeCloner>(&from, &to, "", TTreeCloner::kNoWarnings);
      if (!fCloner->IsValid())
         throw std::runtime_error(fCloner->GetWarning());
   }

   void AsStored()
   {
      fTo.SetEntries(fTo.GetEntries() + fFrom.GetEntries());
      fCloner->Exec();
   }

   /// Begin as `TTreeCloner::Exec` does.
   void Begin()
   {
      (fTo.*TreeAccess::ImportClusters())(&fFrom);
      fCloner->CopyStreamerInfos();
      fProcesses = File().GetNProcessIDs(); // those that the baskets refer to come behind them
      fCloner->CopyProcessIds();
      fCloner->CloseOutWriteBaskets();
      for (std::size_t pair = 0; pair < fPairs.size(); ++pair)
         for (Int_t number = 0; number < fPairs[pair].first->GetWriteBasket(); ++number)
            if (const auto seek = fPairs[pair].first->GetBasketSeek(number))
               fBaskets.push_back({seek, {pair, number}});
      std::sort(fBaskets.begin(), fBaskets.end());
   }
   std::size_t Baskets() const { return fBaskets.size(); }

   void Load(std::size_t number)
   {
      fCurrent = number;
      const auto &[seek, place] = fBaskets[number];
      const auto source = fPairs[place.first].first;
      fBasket = std::make_unique<TBasket>();
      if (fBasket->LoadBasketBuffers(seek, source->GetBasketBytes()[place.second], source->GetFile(), &fFrom) != 0)
         throw std::runtime_error(std::string("cannot read a basket of branch ") + source->GetName());
      fContent = content_of(*fBasket);
   }
   /// Address and size of what the loaded basket holds, uncompressed.
   std::uintptr_t Content() const { return reinterpret_cast<std::uintptr_t>(fContent.data()); }
   std::size_t Size() const { return fContent.size(); }

   /// Store the loaded basket; with these bytes at this address where they are fewer than its own.
   void Store(std::uintptr_t packed, int size)
   {
      auto &basket = *fBasket;
      if (size < basket.GetNbytes() - basket.GetKeylen()) {
         std::memcpy(basket.GetBufferRef()->Buffer() + basket.GetKeylen(), reinterpret_cast<char *>(packed), size);
         basket.*KeyAccess::Bytes() = basket.GetKeylen() + size;
      }
      const auto &[pair, number] = fBaskets[fCurrent].second;
      basket.IncrementPidOffset(fProcesses);
      basket.CopyTo(&File());
      fPairs[pair].second->AddBasket(basket, true, fTo.GetEntries() + fPairs[pair].first->GetBasketEntry()[number]);
   }

   void End()
   {
      fCloner->CopyMemoryBaskets();
      fTo.SetEntries(fTo.GetEntries() + fFrom.GetEntries());
   }
};

/// A branch of numbers, one or a list an entry, as uproot wrote it.
class Values {
   TBranch *fBranch;
   TLeaf *fLeaf;
   std::vector<char> fBuffer;

public:
   Values(TTree &tree, const std::string &name)
      : fBranch(static_cast<TBranch *>(tree.GetListOfBranches()->FindObject(name.c_str())))
   {
      if (!fBranch)
         throw std::runtime_error("no branch " + name + " to fill from");
      fLeaf = static_cast<TLeaf *>(fBranch->GetListOfLeaves()->At(0));
      const auto counter = fLeaf->GetLeafCount();
      const std::size_t most = counter ? std::max<Long64_t>(counter->GetMaximum(), 1) : 1;
      fBuffer.resize(most * fLeaf->GetLenStatic() * fLeaf->GetLenType());
      fBranch->SetAddress(fBuffer.data());
   }
   Values(const Values &) = delete;
   ~Values() { fBranch->ResetAddress(); }

   /// Read an entry; how many numbers it has.
   int Read(Long64_t entry)
   {
      fBranch->GetEntry(entry);
      return fLeaf->GetNdata();
   }
   char *Data() { return fBuffer.data(); }
   std::size_t Size() const { return fLeaf->GetLenType(); }
};

using Names = std::vector<std::string>;

/// The branches of numbers that a branch is filled from.
inline std::vector<std::unique_ptr<Values>> open_values(TTree &side, const Names &names)
{
   std::vector<std::unique_ptr<Values>> values;
   for (const auto &name : names)
      values.push_back(std::make_unique<Values>(side, name));
   return values;
}

/// Fill a branch of plain numbers; several names are the elements of small arrays in lists.
inline void fill_leaf(TBranch &branch, TTree &side, const Names &names)
{
   const auto values = open_values(side, names);
   const auto leaf = static_cast<TLeaf *>(branch.GetListOfLeaves()->At(0));
   const auto counter = leaf->GetLeafCount();
   Long64_t count = 0; // its first bytes are the shorter integers
   if (counter)
      counter->GetBranch()->SetAddress(&count);
   const std::size_t elements = names.size(), size = values[0]->Size();
   std::vector<char> mixed;
   if (elements == 1)
      branch.SetAddress(values[0]->Data());
   for (Long64_t entry = 0; entry < side.GetEntries(); ++entry) {
      const auto number = values[0]->Read(entry);
      count = elements == 1 ? number / leaf->GetLenStatic() : number;
      if (elements > 1) {
         mixed.resize(std::max<std::size_t>(number, 1) * elements * size);
         for (std::size_t element = 0; element < elements; ++element) {
            values[element]->Read(entry);
            for (int i = 0; i < number; ++i)
               std::memcpy(&mixed[(i * elements + element) * size], values[element]->Data() + i * size, size);
         }
         branch.SetAddress(mixed.data());
      }
      branch.Fill();
   }
   branch.ResetAddress();
   if (counter)
      counter->GetBranch()->ResetAddress();
}

template <typename T>
void assign(void *vector, const char *values, int number)
{
   auto &list = *static_cast<std::vector<T> *>(vector);
   list.assign(reinterpret_cast<const T *>(values), reinterpret_cast<const T *>(values) + number);
}

/// Give a std::vector of numbers these values.
inline void assign(EDataType type, void *vector, const char *values, int number)
{
   switch (type) {
   case kFloat_t:
   case kFloat16_t: return assign<float>(vector, values, number);
   case kDouble_t: return assign<double>(vector, values, number);
   case kChar_t:
   case kchar: return assign<char>(vector, values, number);
   case kUChar_t: return assign<unsigned char>(vector, values, number);
   case kShort_t: return assign<short>(vector, values, number);
   case kUShort_t: return assign<unsigned short>(vector, values, number);
   case kInt_t: return assign<int>(vector, values, number);
   case kUInt_t: return assign<unsigned int>(vector, values, number);
   case kLong_t:
   case kLong64_t: return assign<long long>(vector, values, number);
   case kULong_t:
   case kULong64_t: return assign<unsigned long long>(vector, values, number);
   case kBool_t: return assign<bool>(vector, values, number);
   default: throw std::runtime_error("a vector of a type that cannot be filled");
   }
}

/// Where a number is in its object, and whether it is a double there that a file has as a float (`Double32_t`).
struct Place {
   std::size_t fOffset = 0;
   bool fWide = false;

   void Put(void *object, const char *value, std::size_t size) const
   {
      const auto to = static_cast<char *>(object) + fOffset;
      if (fWide && size == sizeof(float)) {
         float number;
         std::memcpy(&number, value, size);
         const double wide = number;
         std::memcpy(to, &wide, sizeof wide);
      } else {
         std::memcpy(to, value, size);
      }
   }
};

/// The place of a small array's element.
inline Place place_of(std::size_t offset, Int_t type, int element, std::size_t size)
{
   const bool wide = type % TStreamerInfo::kOffsetL == TStreamerInfo::kDouble32;
   return {offset + element * (wide ? sizeof(double) : size), wide};
}

/// The place of a member such as `fP.fX` in an object of a class, which begins at an offset.
inline Place member_place(TClass &kind, const std::string &member, std::size_t offset, int element, std::size_t size)
{
   auto inside = &kind;
   Int_t type = 0;
   std::string rest = member;
   while (!rest.empty()) {
      const auto name = rest.substr(0, rest.find('.'));
      rest = name.size() < rest.size() ? rest.substr(name.size() + 1) : "";
      Int_t where = 0;
      const auto found = inside ? inside->GetStreamerInfo()->GetStreamerElement(name.c_str(), where) : nullptr;
      if (!found)
         throw std::runtime_error("class " + std::string(kind.GetName()) + " has no member " + member);
      offset += where;
      inside = found->GetClassPointer();
      type = found->GetType();
   }
   return place_of(offset, type, element, size);
}

/// Where the elements of a collection are in memory: a TClonesArray, or a collection that ROOT has a proxy for.
class Elements {
   TClonesArray *fClones = nullptr;
   TVirtualCollectionProxy *fProxy = nullptr;
   void *fObject;

public:
   Elements(TClass &type, TVirtualCollectionProxy *proxy, void *object) : fProxy(proxy), fObject(object)
   {
      if (type.InheritsFrom(TClonesArray::Class()))
         fClones = static_cast<TClonesArray *>(object);
      if (!fClones && !fProxy)
         throw std::runtime_error(std::string("cannot fill objects of class ") + type.GetName());
   }
   void Resize(int number)
   {
      if (fClones) {
         fClones->ExpandCreateFast(number);
         return;
      }
      TVirtualCollectionProxy::TPushPop helper(fProxy, fObject);
      fProxy->Clear("force"); // classes without a dictionary may hold texts, which ROOT would move with their bytes
      fProxy->Commit(fProxy->Allocate(number, true));
   }
   /// Set a member of all elements.
   void Set(const Place &place, std::size_t size, const char *values, int number)
   {
      if (fClones) {
         for (int i = 0; i < number; ++i)
            place.Put(fClones->UncheckedAt(i), values + i * size, size);
         return;
      }
      TVirtualCollectionProxy::TPushPop helper(fProxy, fObject);
      for (int i = 0; i < number; ++i)
         place.Put(fProxy->At(i), values + i * size, size);
   }
};

/// The object of a branch of a class and of all its members; ROOT makes up classes that it has no dictionary of.
class Object {
   TBranchElement &fBranch;
   TClass *fClass;
   void *fObject;

public:
   explicit Object(TBranchElement &branch) : fBranch(branch), fClass(TClass::GetClass(branch.GetClassName()))
   {
      if (!fClass)
         throw std::runtime_error(std::string("ROOT does not know the class of branch ") + branch.GetName());
      fObject = fClass == TClonesArray::Class() ? new TClonesArray(branch.GetClonesName()) : fClass->New();
      if (!fObject)
         throw std::runtime_error(std::string("ROOT makes no object for branch ") + branch.GetName());
      fBranch.SetAddress(&fObject);
   }
   Object(const Object &) = delete;
   ~Object()
   {
      fBranch.ResetAddress();
      fClass->Destructor(fObject);
   }
};

/// Fill a branch of a class or a member of one, from a branch of numbers for each member.
///
/// `members` are the members that the branches of `names` stand for, such as `fP.fX`, and `places` their places in small arrays;
/// empty and 0 where the branch is a number itself.
inline void fill_element(TBranchElement &branch, TTree &side, const Names &names, const Names &members,
                         const std::vector<int> &places)
{
   Object whole(*static_cast<TBranchElement *>(branch.GetMother()));
   const auto type = branch.GetType();
   char *object = branch.GetObject();
   if (!object)
      throw std::runtime_error(std::string("ROOT makes no object for branch ") + branch.GetName());
   const auto values = open_values(side, names);
   std::vector<Place> members_places(names.size());
   std::unique_ptr<Elements> elements;
   EDataType numbers = kOther_t;
   const std::size_t inside_class =
      branch.GetID() >= 0 ? static_cast<TStreamerInfo *>(branch.GetInfo())->GetElementOffset(branch.GetID()) : 0;
   char *place = object + inside_class; // a member has its object's address
   TClass *expected = nullptr;
   EDataType data = kOther_t;
   branch.GetExpectedType(expected, data);
   if (type == 31) { // a number of each element of a TClonesArray
      elements = std::make_unique<Elements>(*TClonesArray::Class(), nullptr, object);
      const std::size_t start = branch.GetOffset() + inside_class;
      for (std::size_t i = 0; i < names.size(); ++i)
         members_places[i] = members[i].empty()
                                ? place_of(start, branch.GetStreamerType(), places[i], values[i]->Size())
                                : member_place(*expected, members[i], start, places[i], values[i]->Size());
   } else if (!expected) { // a number of one object
      for (std::size_t i = 0; i < names.size(); ++i)
         members_places[i] = place_of(0, branch.GetStreamerType(), places[i], values[i]->Size());
   } else if (expected->GetCollectionProxy() && !expected->GetCollectionProxy()->GetValueClass()) {
      numbers = expected->GetCollectionProxy()->GetType();
   } else { // objects in one piece, or one of them
      auto kind = expected;
      if (type == 4 || type == 3 || expected->GetCollectionProxy() || expected == TClonesArray::Class()) {
         elements = std::make_unique<Elements>(*expected, expected->GetCollectionProxy(), place);
         kind = expected == TClonesArray::Class() ? static_cast<TClonesArray *>(static_cast<void *>(place))->GetClass()
                                                  : expected->GetCollectionProxy()->GetValueClass();
      }
      for (std::size_t i = 0; i < names.size(); ++i)
         members_places[i] = member_place(*kind, members[i], 0, places[i], values[i]->Size());
   }
   for (Long64_t entry = 0; entry < side.GetEntries(); ++entry) {
      for (std::size_t i = 0; i < values.size(); ++i) {
         const auto number = values[i]->Read(entry);
         const auto size = values[i]->Size();
         if (numbers != kOther_t) {
            assign(numbers, place, values[i]->Data(), number);
         } else if (elements) {
            if (i == 0)
               elements->Resize(number);
            elements->Set(members_places[i], size, values[i]->Data(), number);
         } else {
            for (int n = 0; n < number; ++n) // an array has one name
               place_of(members_places[i].fOffset, members_places[i].fWide ? TStreamerInfo::kDouble32 : 0, n, size)
                  .Put(place, values[i]->Data() + n * size, size);
         }
      }
      branch.Fill();
   }
}

/// Fill members of the elements of a collection, and the lengths with them: the branch of the whole collection has these.
///
/// Each of `branches` is filled from one of `names`; those of small arrays come once for each place.
inline void fill_members(TBranchElement &collection, const std::vector<TBranchElement *> &branches, TTree &side,
                         const Names &names, const std::vector<int> &places)
{
   Object whole(*static_cast<TBranchElement *>(collection.GetMother()));
   TClass *expected = nullptr;
   EDataType data = kOther_t;
   collection.GetExpectedType(expected, data);
   Elements elements(*expected, collection.GetCollectionProxy(), collection.GetObject());
   const auto values = open_values(side, names);
   std::vector<Place> members_places;
   for (std::size_t i = 0; i < branches.size(); ++i) {
      auto &branch = *branches[i];
      const auto info = static_cast<TStreamerInfo *>(branch.GetInfo());
      members_places.push_back(place_of(branch.GetOffset() + info->GetElementOffset(branch.GetID()),
                                        branch.GetStreamerType(), places[i], values[i]->Size()));
   }
   Replaced replaced;
   std::vector<TObject *> members(branches.begin(), branches.end());
   members.erase(std::unique(members.begin(), members.end()), members.end());
   replaced.Replace(*collection.GetListOfBranches(), members);
   for (Long64_t entry = 0; entry < side.GetEntries(); ++entry) {
      for (std::size_t i = 0; i < values.size(); ++i) {
         const auto number = values[i]->Read(entry);
         if (i == 0)
            elements.Resize(number);
         elements.Set(members_places[i], values[i]->Size(), values[i]->Data(), number);
      }
      collection.Fill();
   }
}

} // namespace hepae_cloning
