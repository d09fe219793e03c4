#include "reports/gnuplot.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/atomic_file.h"
#include "common/error.h"
#include "reports/process.h"
#include "reports/table.h"

namespace m3d::reports {
namespace fs = std::filesystem;
namespace {

constexpr double kPixelsPerMm = 96 / 25.4;  // CSS pixels
constexpr double kPixelsPerPoint = 96 / 72.0;
constexpr double kPngScale = 300 / 96.0;  // 300 dots per inch

std::string terminal_lines(const FigureScript& script, const Theme& theme) {
  const double width = script.width_mm * kPixelsPerMm, height = script.height_mm * kPixelsPerMm;
  const double font = theme.font_size_pt * kPixelsPerPoint;
  std::string lines = "if (!exists(\"format\")) format = \"svg\"\n";
  lines += fmt::format(
      "if (format eq \"svg\") set terminal svg size {:.0f},{:.0f} dynamic noenhanced font \"{},{:.2f}\" linewidth 1\n",
      width, height, theme.font, font);
  lines += fmt::format(
      "if (format eq \"pdf\") set terminal pdfcairo size {:.2f}cm,{:.2f}cm noenhanced font \"{},{:.2f}\" fontscale "
      "0.75 "
      "linewidth 1\n",
      script.width_mm / 10, script.height_mm / 10, theme.font, theme.font_size_pt);
  lines += fmt::format(
      "if (format eq \"png\") set terminal pngcairo size {:.0f},{:.0f} noenhanced font \"{},{:.2f}\" fontscale {:.3f} "
      "linewidth {:.3f} pointscale {:.3f}\n",
      width * kPngScale, height * kPngScale, theme.font, font * 0.75, kPngScale, kPngScale, kPngScale);
  return lines + fmt::format("set output \"{}.\".format\n", script.name);
}

std::string script_text(const FigureScript& script, const Theme& theme) {
  std::string text =
      fmt::format("# {}. Drawn again by: gnuplot {}.gp, or gnuplot -e \"format='pdf'\" {}.gp (svg, png, pdf)\n",
                  script.name, script.name, script.name);
  text += terminal_lines(script, theme);
  text += "set encoding utf8\nset datafile separator \",\"\nset key noautotitle\nunset key\n";
  text += "set border 3 linewidth 0.6 linecolor rgb \"#404040\"\nset tics nomirror out scale 0.5\n";
  return text + script.body + "unset output\n";
}

void replace_once(std::string& text, const std::string& from, const std::string& to) {
  if (const auto place = text.find(from); place != std::string::npos) text.replace(place, from.size(), to);
}

/// Gives the picture its size in millimetres, a title and the runs it shows; nothing in it depends on the time.
/// Voxels and tokens are shown as they are, not smoothed.
std::string with_metadata(std::string svg, const FigureScript& script) {
  replace_once(svg, "<svg \n",
               fmt::format("<svg width=\"{:g}mm\" height=\"{:g}mm\"\n", script.width_mm, script.height_mm));
  replace_once(svg, "<title>Gnuplot</title>", "<title>" + escape_html(script.name) + "</title>");
  for (std::size_t place = 0; (place = svg.find("<image ", place)) != std::string::npos; place += 7)
    svg.insert(place + 7, "image-rendering='pixelated' ");
  const auto begin = svg.find("<desc>"), end = svg.find("</desc>");
  if (begin != std::string::npos && end != std::string::npos)
    svg.replace(begin, end - begin, "<desc>" + escape_html(script.description));
  return svg;
}

}  // namespace

std::string quote(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c == '\n' ? "\\n" : std::string(1, c);
  }
  return quoted + "\"";
}

Gnuplot::Gnuplot(Theme theme) : theme_(std::move(theme)) {
  version_ = run_process({"gnuplot", "--version"}, ".").output;
  while (!version_.empty() && version_.back() == '\n') version_.pop_back();
}

bool Gnuplot::has_terminal(const std::string& name) const {
  return run_process({"gnuplot", "-e", "set terminal " + name}, ".").exit_code == 0;
}

void Gnuplot::convert(const FigureScript& script, const fs::path& folder, const std::string& format) const {
  const bool native = has_terminal(format + "cairo");
  const std::string output = script.name + "." + format, input = script.name + ".svg";
  const std::vector<std::string> by_gnuplot = {"gnuplot", "-e", "format='" + format + "'", script.name + ".gp"};
  const std::vector<std::string> by_rsvg = {"rsvg-convert", "--format", format,     "--dpi-x", "300",
                                            "--dpi-y",      "300",      "--output", output,    input};
  const ProcessResult result = run_process_again_if_killed(native ? by_gnuplot : by_rsvg, folder);
  if (result.exit_code != 0)
    throw RunError(fmt::format("{} could not be drawn{}: {}", output,
                               native ? "" : " (gnuplot has no such terminal; rsvg-convert was tried)",
                               result.failure));
}

std::string Gnuplot::draw(const FigureScript& script, const fs::path& folder,
                          const std::vector<std::string>& formats) const {
  fs::create_directories(folder);
  for (const auto& [name, content] : script.data) write_atomically(folder / name, content);
  write_atomically(folder / (script.name + ".gp"), script_text(script, theme_));
  const ProcessResult result = run_process_again_if_killed({"gnuplot", script.name + ".gp"}, folder);
  if (result.exit_code != 0) throw RunError("gnuplot " + script.name + ".gp: " + result.failure);
  const fs::path picture = folder / (script.name + ".svg");
  std::string svg = with_metadata(read_file(picture), script);
  write_atomically(picture, svg);
  for (const std::string& format : formats)
    if (format == "png" || format == "pdf") convert(script, folder, format);
  if (std::find(formats.begin(), formats.end(), "svg") == formats.end()) fs::remove(picture);
  return svg;
}

}  // namespace m3d::reports
