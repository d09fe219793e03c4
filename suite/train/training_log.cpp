#include "suite/train/training_log.h"

#include <charconv>
#include <sstream>

#include "common/atomic_file.h"

namespace m3d {
namespace {

constexpr const char* kHeader =
    "epoch,step,train_loss,validation_loss,learning_rate,pseudo_dice,ema_pseudo_dice,seconds\n";

std::string text_of(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string text_of(const std::optional<double>& value) { return value ? text_of(*value) : std::string(); }

Json json_of(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

std::optional<double> optional_of(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<double>());
}

std::vector<std::string> split_line(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream stream(line + ",");
  for (std::string field; std::getline(stream, field, ',');) fields.push_back(field);
  return fields;
}

std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

void write_log(const std::filesystem::path& file, const std::vector<LogRow>& rows) {
  std::string content = kHeader;
  for (const LogRow& row : rows)
    content += std::to_string(row.epoch) + "," + std::to_string(row.step) + "," + text_of(row.train_loss) + "," +
               text_of(row.validation_loss) + "," + text_of(row.learning_rate) + "," + text_of(row.pseudo_dice) + "," +
               text_of(row.ema_pseudo_dice) + "," + text_of(row.seconds) + "\n";
  write_atomically(file, content);
}

void recover_seconds(const std::filesystem::path& file, std::vector<LogRow>& rows) {
  if (!std::filesystem::exists(file)) return;
  std::istringstream content(read_file(file));
  std::string line;
  std::getline(content, line);
  for (LogRow& row : rows) {
    if (!std::getline(content, line)) return;
    const std::vector<std::string> fields = split_line(line);
    if (fields.size() == 8 && fields[0] == std::to_string(row.epoch)) row.seconds = number_in(fields[7]);
  }
}

Json to_json(const LogRow& row) {
  return {{"epoch", row.epoch},
          {"step", row.step},
          {"train_loss", row.train_loss},
          {"validation_loss", json_of(row.validation_loss)},
          {"learning_rate", row.learning_rate},
          {"pseudo_dice", json_of(row.pseudo_dice)},
          {"ema_pseudo_dice", json_of(row.ema_pseudo_dice)}};
}

LogRow log_row_from_json(const Json& json) {
  LogRow row;
  row.epoch = json.at("epoch");
  row.step = json.at("step");
  row.train_loss = json.at("train_loss");
  row.validation_loss = optional_of(json.at("validation_loss"));
  row.learning_rate = json.at("learning_rate");
  row.pseudo_dice = optional_of(json.at("pseudo_dice"));
  row.ema_pseudo_dice = optional_of(json.at("ema_pseudo_dice"));
  return row;
}

}  // namespace m3d
