// m3d-bench verify: this build against reference records.
#include "suite/verify/verify.h"

#include <cstdio>

#include "common/error.h"
#include "common/interrupt.h"
#include "suite/cli/command.h"
#include "suite/cli/output.h"

namespace m3d {
namespace {

struct VerifyOptions {
  std::vector<std::string> records;
  bool json = false;
};

const char* word_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::fail:
      return "FAIL";
    case Verdict::unsupported:
      return "unsupported";
  }
  return "FAIL";
}

void print_check(const RecordCheck& check) {
  std::printf("%-40s %-14s %9.2e  %s", check.name.c_str(), check.kind.c_str(), check.largest_relative_error,
              word_of(check.verdict));
  std::printf(check.detail.empty() ? "%s\n" : "  %s\n", check.detail.c_str());
  std::fflush(stdout);
}

Json check_json(const RecordCheck& check, const std::string& file) {
  return {{"name", check.name},
          {"kind", check.kind},
          {"file", file},
          {"verdict", word_of(check.verdict)},
          {"largest_relative_error", check.largest_relative_error},
          {"detail", check.detail}};
}

int run_verify(const VerifyOptions& options) {
  Json document = Json::array();
  bool all_ok = true;
  for (const auto& file : options.records) {
    if (interrupt_requested()) throw Interrupted();
    const RecordCheck check = verify_record(file);
    all_ok = all_ok && check.verdict == Verdict::ok;
    document.push_back(check_json(check, file));
    if (!options.json) print_check(check);
  }
  if (options.json) print_json(document);
  return all_ok ? 0 : 1;
}

}  // namespace

void add_verify(CLI::App& app, Command& chosen) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* verify = app.add_subcommand("verify",
                                        "Check this build against reference records: a line a record with name, "
                                        "kind, largest relative error and ok, FAIL or unsupported; exit 1 unless "
                                        "all are ok.");
  verify->footer(
      "Examples:\n"
      "  m3d-bench verify tests/records/operators/*.json\n"
      "  m3d-bench verify --json record.json");
  verify->add_option("records", options->records, "record files")->required()->type_name("RECORD.json");
  verify->add_flag("--json", options->json, "one JSON document on stdout");
  verify->callback([options, &chosen] { chosen = [options] { return run_verify(*options); }; });
}

}  // namespace m3d
