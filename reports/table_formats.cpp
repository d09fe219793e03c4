// The printed forms of a table: LaTeX (booktabs, siunitx), Markdown, CSV and HTML.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "reports/table.h"

namespace m3d::reports {
namespace {

constexpr const char* kMissing = "–";

std::string replace_characters(const std::string& text, const std::map<std::string, std::string>& replacements) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t length = 1;
    while (i + length < text.size() && (static_cast<unsigned char>(text[i + length]) & 0xC0) == 0x80) ++length;
    const std::string character = text.substr(i, length);
    const auto found = replacements.find(character);
    out += found == replacements.end() ? character : found->second;
    i += length;
  }
  return out;
}

std::string escape_latex(const std::string& text) {
  static const std::map<std::string, std::string> replacements = {{"&", "\\&"},
                                                                  {"%", "\\%"},
                                                                  {"$", "\\$"},
                                                                  {"#", "\\#"},
                                                                  {"_", "\\_"},
                                                                  {"{", "\\{"},
                                                                  {"}", "\\}"},
                                                                  {"~", "\\textasciitilde{}"},
                                                                  {"^", "\\textasciicircum{}"},
                                                                  {"\\", "\\textbackslash{}"},
                                                                  {"–", "--"},
                                                                  {"±", "$\\pm$"},
                                                                  {"×", "$\\times$"},
                                                                  {"·", "$\\cdot$"},
                                                                  {"−", "$-$"},
                                                                  {"³", "$^3$"},
                                                                  {"≤", "$\\le$"},
                                                                  {"≥", "$\\ge$"}};
  return replace_characters(text, replacements);
}

std::string escape_markdown(const std::string& text) {
  return replace_characters(text, {{"|", "\\|"}, {"_", "\\_"}, {"*", "\\*"}, {"<", "&lt;"}});
}

std::string arrow(Direction direction, const char* up, const char* down) {
  return direction == Direction::none ? "" : direction == Direction::up ? up : down;
}

std::string with_unit(const Column& column) {
  return column.unit.empty() ? column.title : column.title + " (" + column.unit + ")";
}

/// "87.45 ± 0.30", a word, or the sign for missing.
std::string plain_number(const Cell& cell, const Column& column, const std::string& plus_minus = " ± ") {
  if (!cell.value) return cell.text.empty() ? kMissing : cell.text;
  const double smallest = std::pow(10.0, -column.decimals);
  if (column.kind == Kind::probability && *cell.value < smallest) return "<" + fixed(smallest, column.decimals);
  const std::string number = fixed(*cell.value, column.decimals);
  return cell.spread ? number + plus_minus + fixed(*cell.spread, column.decimals) : number;
}

std::string latex_cell(const Cell& cell, const Column& column) {
  if (!cell.value) {
    const std::string word = cell.text.empty() ? "--" : escape_latex(cell.text);
    return column.numeric() ? "{" + word + "}" : word;
  }
  const std::string number = plain_number(cell, column, " +- ");
  if (number.front() == '<') return fmt::format("{{${}$}}", number);
  if (cell.mark == Mark::best) return "\\bfseries " + number;
  if (cell.mark == Mark::second) return "{\\underline{\\num{" + number + "}}}";
  return number;
}

/// siunitx's table-format: as many digits before and after the point as the widest number of the column has.
std::string latex_column(const Table& table, std::size_t index) {
  const Column& column = table.columns[index];
  if (!column.numeric()) return "l";
  std::size_t digits = 1, spread_digits = 0;
  bool negative = false;
  for (const auto& row : table.rows) {
    if (!row[index].value) continue;
    const std::string number = fixed(*row[index].value, column.decimals);
    const bool minus = number.front() == '-';
    negative |= minus;
    digits = std::max(digits, std::min(number.find('.'), number.size()) - (minus ? 1 : 0));
    if (!row[index].spread) continue;
    std::string spread = fixed(*row[index].spread, column.decimals);
    spread.erase(std::remove(spread.begin(), spread.end(), '.'), spread.end());
    const auto first = spread.find_first_not_of('0');
    spread_digits = std::max(spread_digits, first == std::string::npos ? 1 : spread.size() - first);
  }
  const std::string spread = spread_digits == 0 ? "" : fmt::format("({})", spread_digits);
  return fmt::format("S[table-format={}{}.{}{}]", negative ? "-" : "", digits, column.decimals, spread);
}

std::string latex_head(const Column& column) {
  const std::string title = escape_latex(column.title) + arrow(column.direction, " $\\uparrow$", " $\\downarrow$");
  if (!column.numeric()) return title;
  const std::string unit = column.unit.empty() ? "" : fmt::format("\\\\({})", escape_latex(column.unit));
  return fmt::format("{{\\shortstack{{{}{}}}}}", title, unit);
}

template <class Text>
std::string joined(std::size_t count, const std::string& separator, const Text& text_of) {
  std::string line;
  for (std::size_t i = 0; i < count; ++i) line += (i == 0 ? "" : separator) + text_of(i);
  return line;
}

/// A tabular that shrinks to the line where it is wider.
std::string latex_block(const Table& table) {
  const std::size_t count = table.columns.size();
  std::string out = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n";
  out += fmt::format("\\begin{{tabular}}{{{}}}\n\\toprule\n",
                     joined(count, " ", [&](auto i) { return latex_column(table, i); }));
  out += joined(count, " & ", [&](auto i) { return latex_head(table.columns[i]); }) + " \\\\\n\\midrule\n";
  for (const auto& row : table.rows)
    out += joined(count, " & ", [&](auto i) { return latex_cell(row[i], table.columns[i]); }) + " \\\\\n";
  return out + "\\bottomrule\n\\end{tabular}}\\par\\smallskip\n";
}

std::string markdown_cell(const Cell& cell, const Column& column, bool theirs) {
  const std::string text = escape_markdown(plain_number(cell, column));
  if (cell.mark == Mark::best) return "**" + text + "**";
  if (cell.mark == Mark::second) return "<u>" + text + "</u>";
  return theirs ? "*" + text + "*" : text;
}

bool has_spread(const Table& table, std::size_t column) {
  return std::any_of(table.rows.begin(), table.rows.end(),
                     [&](const auto& row) { return row[column].spread.has_value(); });
}

std::string csv_number(const std::optional<double>& value) { return value ? fmt::format("{}", *value) : ""; }

std::string full_title(const Table& table) {
  return table.scope.empty() ? table.title : table.title + ": " + table.scope;
}

std::string html_cell(const Cell& cell, const Column& column) {
  std::string text = escape_html(plain_number(cell, column));
  if (cell.value && cell.spread) {
    const std::string spread = " ± " + fixed(*cell.spread, column.decimals);
    text = escape_html(fixed(*cell.value, column.decimals)) + "<span class=\"spread\">" + spread + "</span>";
  }
  if (cell.mark == Mark::best) text = "<b>" + text + "</b>";
  if (cell.mark == Mark::second) text = "<u>" + text + "</u>";
  const char* kind = !column.numeric() ? "text" : cell.value ? "number" : cell.text.empty() ? "missing" : "word";
  return fmt::format("<td class=\"{}\">{}</td>", kind, text);
}

std::string html_block(const Table& table) {
  std::string out = "<div class=\"scroll\"><table>\n<thead><tr>";
  for (const Column& column : table.columns) {
    const std::string unit =
        column.unit.empty() ? "" : fmt::format("<span class=\"unit\">{}</span>", escape_html(column.unit));
    out += fmt::format("<th class=\"{}\">{}{}{}</th>", column.numeric() ? "number" : "text", escape_html(column.title),
                       arrow(column.direction, "\u00a0↑", "\u00a0↓"), unit);
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows)
    out += fmt::format("<tr>{}</tr>\n",
                       joined(row.size(), "", [&](auto i) { return html_cell(row[i], table.columns[i]); }));
  return out + "</tbody></table></div>\n";
}

}  // namespace

std::string escape_html(const std::string& text) {
  return replace_characters(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string escape_csv(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  return fmt::format("\"{}\"", replace_characters(text, {{"\"", "\"\""}}));
}

std::string to_latex(const Table& table) {
  const std::string title = full_title(table);
  std::string out = "% " + title + "\n";
  for (const std::string& source : table.sources) out += "% " + source + "\n";
  out +=
      "% Needs \\usepackage{booktabs,siunitx,graphicx} and \\sisetup{separate-uncertainty,detect-weight,mode=text}\n";
  out += fmt::format("\\begin{{table*}}\n\\centering\n\\caption{{{}}}\n\\label{{tab:{}}}\n", escape_latex(title),
                     table.name);
  if (table.theirs) out += "\\itshape\n";
  for (const Table& block : blocks_of(table)) out += latex_block(block);
  for (const std::string& note : table.notes)
    out += fmt::format("\\par\\smallskip{{\\footnotesize {}}}\n", escape_latex(note));
  return out + "\\end{table*}\n";
}

std::string to_markdown(const Table& table) {
  const std::size_t count = table.columns.size();
  std::string out = fmt::format("**{}**\n\n| ", escape_markdown(full_title(table)));
  out += joined(count, " | ", [&](auto i) {
    return escape_markdown(with_unit(table.columns[i])) + arrow(table.columns[i].direction, " ↑", " ↓");
  });
  out += fmt::format(" |\n|{}|\n", joined(count, "|", [&](auto i) {
                       return std::string(table.columns[i].numeric() ? "---:" : ":---");
                     }));
  for (const auto& row : table.rows)
    out += fmt::format("| {} |\n", joined(count, " | ", [&](auto i) {
                         return markdown_cell(row[i], table.columns[i], table.theirs);
                       }));
  for (const std::string& note : table.notes) out += fmt::format("\n{}\n", escape_markdown(note));
  return out;
}

std::string to_csv(const Table& table) {
  std::string out = joined(table.columns.size(), ",", [&](auto i) {
    const std::string name = escape_csv(with_unit(table.columns[i]));
    return has_spread(table, i) ? name + "," + escape_csv(with_unit(table.columns[i]) + " spread") : name;
  });
  for (const auto& row : table.rows)
    out.append("\n").append(joined(row.size(), ",", [&](auto i) {
      const std::string value = row[i].value ? csv_number(row[i].value) : escape_csv(row[i].text);
      return has_spread(table, i) ? fmt::format("{},{}", value, csv_number(row[i].spread)) : value;
    }));
  return out + "\n";
}

std::string to_html(const Table& table) {
  std::string out = fmt::format("<figure class=\"table{}\" id=\"{}\"><figcaption>{}</figcaption>\n",
                                table.theirs ? " theirs" : "", escape_html(table.name), escape_html(table.title));
  for (const Table& block : blocks_of(table)) out += html_block(block);
  for (const std::string& note : table.notes) out += fmt::format("<p class=\"note\">{}</p>\n", escape_html(note));
  return out + "</figure>\n";
}

}  // namespace m3d::reports
