#include <torch/torch.h>

#include <cmath>
#include <map>

#include "architectures/macs.h"
#include "architectures/network_state.h"
#include "architectures/record_forms.h"
#include "common/error.h"
#include "common/random.h"
#include "suite/verify/fill_record.h"
#include "suite/verify/verify.h"

namespace m3d {
namespace {

constexpr double kTolerance = 1e-6;
constexpr double kZeroGradient = 1e-12;  // of the record's largest mean |gradient|

/// Integer buffers are not in the records.
NamedTensors floating_state_of(const torch::nn::Module& module) {
  NamedTensors state = state_of(module);
  std::erase_if(state, [](const auto& item) { return !item.second.is_floating_point(); });
  return state;
}

torch::Tensor filled(const std::string& name, torch::IntArrayRef shape) {
  const auto values = filled_values(name, shape.vec());
  return torch::tensor(values, torch::kFloat64).reshape(shape);
}

/// Inputs are u itself.
torch::Tensor input_of(const std::string& name, const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const auto size : shape) count *= size;
  auto input = torch::empty({count}, torch::kFloat64);
  auto* values = input.data_ptr<double>();
  const NamedUniform uniform(name);
  for (std::int64_t i = 0; i < count; ++i) values[i] = uniform(static_cast<std::uint64_t>(i));
  return input.reshape(shape);
}

/// Kept buffers stay as built.
void fill_state(torch::nn::Module& module, const std::string& kept) {
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : floating_state_of(module)) {
    const std::string last = name.substr(name.rfind('.') + 1);
    if (!kept.empty() && kept.find(last) != std::string::npos) continue;
    tensor.copy_(filled(name, tensor.sizes()));
  }
}

std::string shape_text(torch::IntArrayRef sizes) { return Json(sizes.vec()).dump(); }

void compare_table(RecordComparison& compare, const torch::nn::Module& module, const Json& parameters) {
  const auto state = floating_state_of(module);
  const Json& table = parameters.at("tensors");
  for (std::size_t i = 0; i < std::max(state.size(), table.size()); ++i) {
    const std::string ours = i < state.size() ? state[i].first + " " + shape_text(state[i].second.sizes()) : "nothing";
    const std::string theirs = i < table.size() ? table[i][0].get<std::string>() + " " + table[i][1].dump() : "nothing";
    compare.exact("tensor " + std::to_string(i), ours == theirs, "expected " + theirs + ", got " + ours);
  }
  const std::int64_t count = count_parameters(module), expected = parameters.at("count");
  compare.exact("parameters", count == expected,
                "expected " + std::to_string(expected) + ", got " + std::to_string(count));
}

/// Samples are [flat index, value] of the contiguous tensor.
void compare_samples(RecordComparison& compare, const std::string& what, const torch::Tensor& tensor,
                     const Json& samples, double scale) {
  const auto flat = tensor.contiguous().view({-1});
  const auto* values = flat.const_data_ptr<double>();
  for (const auto& sample : samples) {
    const auto index = sample[0].get<std::int64_t>();
    compare.number(what + "[" + std::to_string(index) + "]", values[index], sample[1].get<double>(), scale, kTolerance);
  }
}

void compare_outputs(RecordComparison& compare, const std::vector<torch::Tensor>& outputs, const Json& expected) {
  compare.exact("number of outputs", outputs.size() >= expected.size(),
                "expected " + std::to_string(expected.size()) + ", got " + std::to_string(outputs.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Json& entry = expected[i];
    const auto index = entry.value("index", i);
    if (index >= outputs.size()) continue;
    const auto output = outputs[index].detach().contiguous();
    const std::string what = "output " + std::to_string(index);
    const bool same = Json(output.sizes().vec()) == entry.at("shape");
    compare.exact(what, same, "expected shape " + entry.at("shape").dump() + ", got " + shape_text(output.sizes()));
    if (!same) continue;
    const double std = entry.at("std"), sum = entry.at("abs_sum");
    compare.number(what + " mean", output.mean().item<double>(), entry.at("mean"), std, kTolerance);
    compare.number(what + " std", output.std(/*unbiased=*/false).item<double>(), std, std, kTolerance);
    compare.number(what + " abs_sum", output.abs().sum().item<double>(), sum, sum, kTolerance);
    compare_samples(compare, what, output, entry.at("samples"), std);
  }
}

std::map<std::string, torch::Tensor> gradients_of(const torch::nn::Module& module) {
  std::map<std::string, torch::Tensor> gradients;
  for (const auto& parameter : module.named_parameters())
    gradients[parameter.key()] =
        parameter.value().grad().defined() ? parameter.value().grad() : torch::zeros_like(parameter.value());
  return gradients;
}

/// Names of `zero_gradients`, which is a list of names or an object with them as keys or under "names".
std::vector<std::string> names_in(const Json& value) {
  if (value.is_object() && value.contains("names")) return names_in(value.at("names"));
  std::vector<std::string> names;
  if (value.is_object())
    for (const auto& [name, entry] : value.items()) names.push_back(name);
  if (value.is_array())
    for (const auto& name : value) names.push_back(name.get<std::string>());
  return names;
}

void compare_gradients(RecordComparison& compare, const torch::nn::Module& module, const Json& record) {
  const auto gradients = gradients_of(module);
  double largest = 0;
  for (const auto& [name, entry] : record.at("gradients").items()) {
    const auto found = gradients.find(name);
    compare.exact("gradient of " + name, found != gradients.end(), "there is no such parameter");
    if (found == gradients.end()) continue;
    const double sum = entry.at("abs_sum"), mean = sum / static_cast<double>(found->second.numel());
    largest = std::max(largest, mean);
    compare.number("gradient of " + name + " abs_sum", found->second.abs().sum().item<double>(), sum, sum, kTolerance);
    compare_samples(compare, "gradient of " + name, found->second, entry.at("samples"), mean);
  }
  if (!record.contains("zero_gradients")) return;
  for (const auto& name : names_in(record.at("zero_gradients"))) {
    const auto found = gradients.find(name);
    compare.exact("gradient of " + name, found != gradients.end(), "there is no such parameter");
    if (found != gradients.end())
      compare.exact("gradient of " + name, found->second.abs().mean().item<double>() <= kZeroGradient * largest,
                    "must be zero, got mean |gradient| " + Json(found->second.abs().mean().item<double>()).dump());
  }
}

/// Fills, runs and compares a module whose outputs `run` gives.
void compare_module(RecordComparison& compare, torch::nn::Module& module, const Json& record,
                    const std::function<std::vector<torch::Tensor>(const std::vector<torch::Tensor>&)>& run,
                    const std::vector<std::int64_t>& second_shape) {
  compare_table(compare, module, record.at("parameters"));
  module.to(torch::kFloat64);
  fill_state(module, record.value("kept_buffers", ""));
  module.eval();
  std::vector<torch::Tensor> inputs{input_of("input", record.at("input_shape").get<std::vector<std::int64_t>>())};
  if (!second_shape.empty()) inputs.push_back(input_of("skip", second_shape));
  const bool with_gradients = record.contains("gradients");
  const torch::AutoGradMode mode(with_gradients);
  const auto outputs = run(inputs);
  compare_outputs(compare, outputs, record.at("outputs"));
  if (!with_gradients) return;
  const auto loss = outputs[0].square().mean();
  if (record.contains("gradient_loss")) {
    const double expected = record.at("gradient_loss").at("value");
    compare.number("loss", loss.item<double>(), expected, std::abs(expected), kTolerance);
  }
  loss.backward();
  compare_gradients(compare, module, record);
}

void compare_count(RecordComparison& compare, const std::string& what, std::int64_t actual, const Json& expected) {
  compare.exact(what, Json(actual) == expected, "expected " + expected.dump() + ", got " + std::to_string(actual));
}

/// Sizes [D, H, W] or [H, W] (a slice) as a patch.
std::array<std::int64_t, 3> patch_of(const std::vector<std::int64_t>& sizes) {
  return {sizes.size() > 2 ? sizes[sizes.size() - 3] : 1, sizes.at(sizes.size() - 2), sizes.back()};
}

/// Two ways of recording: attention's products within "linear" (with the scan's updates), or apart as "matmul".
void compare_macs(RecordComparison& compare, const RecordForm& form, const Json& expected) {
  NetworkInput input = form.input;
  if (expected.contains("input_shape")) {
    const auto shape = expected.at("input_shape").get<std::vector<std::int64_t>>();
    input.channels = shape.at(1);
    input.patch = patch_of({shape.begin() + 2, shape.end()});
  }
  input.classes = expected.value("num_classes", input.classes);
  const MacCounts counts = count_macs(find_architecture(form.architecture), input, form.options);
  const bool apart = expected.contains("matmul");
  compare_count(compare, "macs conv", counts.convolution, expected.at("conv"));
  compare_count(compare, "macs linear", counts.linear + (apart ? 0 : counts.attention), expected.at("linear"));
  if (apart) compare_count(compare, "macs matmul", counts.attention, expected.at("matmul"));
  compare_count(compare, "macs total", counts.total() - counts.scan, expected.at("total"));
  if (expected.contains("scan_state_updates"))
    compare_count(compare, "scan state updates", counts.scan_state_updates, expected.at("scan_state_updates"));
}

void compare_full_patch(RecordComparison& compare, const RecordForm& form, const Json& expected) {
  NetworkInput input = form.input;
  const char* size = expected.contains("img_size") ? "img_size" : "input_size";
  input.patch = patch_of(expected.at(size).get<std::vector<std::int64_t>>());
  input.channels = expected.value("in_chans", input.channels);
  input.classes = expected.value("num_classes", input.classes);
  compare_count(compare, "parameters at the full patch",
                count_parameters(find_architecture(form.architecture), input, form.options),
                expected.at("parameters_count"));
}

RecordCheck failed(const std::string& name, const std::string& kind, const std::string& detail) {
  return {name, kind, Verdict::fail, 0, detail};
}

}  // namespace

RecordCheck verify_block(const Json& record) {
  const std::string name = record.at("name");
  RecordComparison compare;
  try {
    const auto block = find_record_block(name, record.at("config"));
    if (!block) return {name, "block", Verdict::unsupported, 0, "this build has no block of this name"};
    compare_module(compare, *block->module, record, block->forward, block->second_input_shape);
  } catch (const UserError& error) {
    return failed(name, "block", error.what());
  }
  return compare.result(name, "block");
}

RecordCheck verify_architecture(const Json& record) {
  const std::string name = record.value("architecture", record.at("name").get<std::string>());
  RecordComparison compare;
  try {
    auto form = find_record_form(name, record.at("config"));
    if (!form) return {name, "architecture", Verdict::unsupported, 0, "this build has no architecture of this name"};
    const auto shape = record.at("input_shape").get<std::vector<std::int64_t>>();
    if (form->input.patch[0] == 0) form->input.patch = patch_of({shape.begin() + 2, shape.end()});
    const auto network = find_architecture(form->architecture).build(form->input, form->options, /*seed=*/0);
    compare_module(compare, *network, record, [&](const auto& inputs) { return network->forward_all(inputs[0]); }, {});
    if (record.contains("macs")) {
      const Json& macs = record.at("macs");
      for (const auto& entry : macs.is_array() ? macs : Json::array({macs})) compare_macs(compare, *form, entry);
    }
    if (record.contains("full_patch")) compare_full_patch(compare, *form, record.at("full_patch"));
  } catch (const UserError& error) {
    return failed(name, "architecture", error.what());
  }
  return compare.result(record.at("name"), "architecture");
}

}  // namespace m3d
