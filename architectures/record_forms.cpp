#include "architectures/record_forms.h"

namespace m3d {
namespace {

std::vector<RecordFormFunction>& forms() {
  static std::vector<RecordFormFunction> all;
  return all;
}

std::vector<RecordBlockFunction>& blocks() {
  static std::vector<RecordBlockFunction> all;
  return all;
}

template <class Result, class Function>
std::optional<Result> first_answer(const std::vector<Function>& functions, const std::string& name,
                                   const Json& config) {
  architecture_names();  // makes sure that the families have registered themselves
  for (const auto& function : functions)
    if (auto result = function(name, config)) return result;
  return std::nullopt;
}

}  // namespace

void register_record_forms(RecordFormFunction translate) { forms().push_back(std::move(translate)); }
void register_record_blocks(RecordBlockFunction build) { blocks().push_back(std::move(build)); }

std::optional<RecordForm> find_record_form(const std::string& name, const Json& config) {
  auto form = first_answer<RecordForm>(forms(), name, config);
  if (form) {
    const OptionSchema& schema = find_architecture(form->architecture).options;
    form->options = schema.resolve(form->options, [](const std::string& key) { return "config." + key; });
  }
  return form;
}

std::optional<RecordBlock> find_record_block(const std::string& name, const Json& config) {
  return first_answer<RecordBlock>(blocks(), name, config);
}

}  // namespace m3d
