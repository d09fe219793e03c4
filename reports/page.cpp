#include "reports/page.h"

#include <fmt/format.h>

#include <set>

#include "common/atomic_file.h"
#include "common/resources.h"
#include "reports/page_parts.h"

namespace m3d::reports {
namespace {

std::string field(const Run& run, const std::string& key) {
  const auto found = run.provenance.find(key);
  return found == run.provenance.end() ? "" : found->second;
}

std::set<std::string> distinct(const std::vector<const Run*>& runs, const std::string& key) {
  std::set<std::string> values;
  for (const Run* run : runs)
    if (const std::string value = field(*run, key); !value.empty()) values.insert(value);
  return values;
}

std::string failures_html(const Section& section) {
  std::string rows;
  for (const Configuration& configuration : section.configurations)
    for (const Run* run : configuration.failures)
      rows +=
          fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>\n",
                      escape_html(configuration.label), run->fold, run->seed, escape_html(status_title(run->status)),
                      escape_html(run->error.empty() ? "–" : run->error), escape_html(run->hash));
  if (rows.empty()) return "";
  return "<h3>Failed runs</h3>\n<div class=\"scroll\"><table "
         "class=\"plain\"><thead><tr><th>Configuration</th><th>Fold</th><th>Seed</th><th>Status</th>"
         "<th>Reason</th><th>Run</th></tr></thead>\n<tbody>" +
         rows + "</tbody></table></div>\n";
}

std::string runs_html(const Section& section) {
  std::string rows;
  for (const Configuration& configuration : section.configurations)
    for (const auto* list : {&configuration.runs, &configuration.failures})
      for (const Run* run : *list)
        rows += fmt::format(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</"
            "td></tr>\n",
            escape_html(configuration.label), run->fold < 0 ? "everything" : std::to_string(run->fold), run->seed,
            escape_html(status_title(run->status)), escape_html(run->hash), escape_html(run->profile.patch),
            escape_html(field(*run, "started")), escape_html(field(*run, "finished")));
  return "<div class=\"scroll\"><table "
         "class=\"plain\"><thead><tr><th>Configuration</th><th>Fold</th><th>Seed</th><th>Status</th><th>Run</"
         "th><th>Patch</th>"
         "<th>Started</th><th>Finished</th></tr></thead>\n<tbody>" +
         rows + "</tbody></table></div>\n";
}

std::string provenance_html(const Section& section) {
  static const std::vector<std::pair<const char*, const char*>> fields = {
      {"version", "m3d-bench"},   {"git_commit", "Commit"}, {"compiler", "Compiler"}, {"libtorch", "LibTorch"},
      {"cuda", "CUDA"},           {"cpu", "CPU"},           {"gpu", "GPU"},           {"threads", "Threads"},
      {"precision", "Precision"}, {"command", "Command"}};
  std::string out = "<dl>\n";
  for (const auto& [key, title] : fields) {
    const std::set<std::string> values = distinct(section.all_runs(), key);
    if (values.empty()) continue;
    out += fmt::format("<dt>{}</dt><dd>", title);
    for (const std::string& value : values) out += "<code>" + escape_html(value) + "</code> ";
    out += "</dd>\n";
  }
  return out + "</dl>\n";
}

std::string summary_line(const Section& section) {
  std::size_t finished = 0, failed = 0;
  std::set<std::uint64_t> seeds;
  std::set<int> folds;
  for (const Run* run : section.all_runs()) {
    ++(run->ok() ? finished : failed);
    seeds.insert(run->seed);
    folds.insert(run->fold);
  }
  std::string seed_list, fold_list;
  for (const auto seed : seeds) seed_list += (seed_list.empty() ? "" : ", ") + std::to_string(seed);
  for (const int fold : folds)
    fold_list += (fold_list.empty() ? "" : ", ") + (fold < 0 ? "everything" : std::to_string(fold));
  return fmt::format("{} configurations, {} finished runs{}; seed{} {}; fold{} {}.", section.configurations.size(),
                     finished, failed == 0 ? "" : fmt::format(", {} failed", failed), seeds.size() == 1 ? "" : "s",
                     seed_list, folds.size() == 1 ? "" : "s", fold_list);
}

std::string answer_html(const SectionContent& content) {
  if (content.sentences.empty()) return "";
  return "<section class=\"answer\"><h3>Does it make a difference?</h3>\n" + list_html(content.sentences) +
         "<p class=\"note\">Spread: sample standard deviation (n − 1) of Dice over seeds; of two values the larger "
         "spread counts.</p></section>\n";
}

std::string title_of(const Section& section) { return "Suite " + section.suite + " on " + section.dataset; }

std::string section_html(const SectionContent& content, bool with_heading) {
  const Section& section = *content.section;
  std::string out = "<article>\n";
  if (with_heading) out += "<h2>" + escape_html(title_of(section)) + "</h2>\n";
  out += paragraph("lead", summary_line(section)) + answer_html(content);
  for (const Table& table : content.main_tables) out += to_html(table);
  for (const Table& table : content.published) out += to_html(table);
  out += failures_html(section) + "<h3>Figures</h3>\n<div class=\"pictures\">\n";
  for (const Figure& figure : content.figures) out += figure_html(figure);
  out += "</div>\n";
  if (!content.further_tables.empty()) out += "<h3>In detail</h3>\n";
  for (const Table& table : content.further_tables) out += to_html(table);
  out += "<h3>Provenance</h3>\n" + provenance_html(section) + "<details><summary>Every run</summary>\n" +
         runs_html(section) + "</details>\n";
  return out + "</article>\n";
}

/// What was found beside usable runs: damaged records, unfinished runs, remarks.
std::string troubles_html(const FoundRuns& found) {
  std::vector<std::string> items;
  for (const DamagedRun& run : found.damaged)
    items.push_back("Damaged record, left out: " + run.folder.filename().string() + " – " + run.reason);
  for (const auto& folder : found.unfinished)
    items.push_back("Not finished, no record yet: " + folder.filename().string());
  items.insert(items.end(), found.remarks.begin(), found.remarks.end());
  return items.empty() ? "" : "<section class=\"trouble\"><h3>Left out</h3>\n" + list_html(items) + "</section>\n";
}

}  // namespace

std::string page(const std::vector<SectionContent>& sections, const FoundRuns& found,
                 const std::string& gnuplot_version) {
  const bool several = sections.size() > 1;
  std::string main = troubles_html(found);
  for (const SectionContent& content : sections) main += section_html(content, several);
  main += read_file(data_folder() / "reports" / "page" / "metrics_policy.html");
  return framed_page(several ? std::to_string(sections.size()) + " suites" : title_of(*sections.front().section), main,
                     gnuplot_version);
}

}  // namespace m3d::reports
