#include "reports/page_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "common/atomic_file.h"
#include "common/resources.h"
#include "reports/table.h"

namespace m3d::reports {
namespace {

/// The picture with ids of its own, so that several can stand in one page.
std::string inline_svg(const Figure& figure) {
  std::string svg = figure.svg.substr(std::min(figure.svg.find("<svg"), figure.svg.size()));
  svg = std::regex_replace(svg, std::regex("(id=['\"])"), "$1" + figure.name + "-");
  return std::regex_replace(svg, std::regex("(href=['\"]#|url\\(#)"), "$1" + figure.name + "-");
}

}  // namespace

std::string paragraph(const std::string& kind, const std::string& text) {
  return fmt::format("<p class=\"{}\">{}</p>\n", kind, escape_html(text));
}

std::string figure_html(const Figure& figure) {
  if (!figure.omitted.empty())
    return fmt::format("<figure class=\"omitted\"><figcaption>{}</figcaption><p>Omitted: {}.</p></figure>\n",
                       escape_html(figure.title), escape_html(figure.omitted));
  const bool wide = figure.svg.find("width=\"88mm\"") == std::string::npos;
  return fmt::format("<figure class=\"picture{}\" id=\"{}\">\n{}\n<figcaption><b>{}.</b> {}</figcaption></figure>\n",
                     wide ? " wide" : "", escape_html(figure.name), inline_svg(figure), escape_html(figure.title),
                     escape_html(figure.caption));
}

std::string list_html(const std::vector<std::string>& items) {
  std::string out = "<ul>\n";
  for (const std::string& item : items) out += "<li>" + escape_html(item) + "</li>\n";
  return out + "</ul>\n";
}

std::string framed_page(const std::string& title, const std::string& main_html, const std::string& gnuplot_version) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n";
  out += "<title>m3d-bench: " + escape_html(title) + "</title>\n<style>\n" +
         read_file(data_folder() / "reports" / "page" / "style.css") + "</style>\n</head>\n<body>\n";
  out += "<header><p class=\"brand\">m3d-bench report</p><h1>" + escape_html(title) + "</h1></header>\n<main>\n" +
         main_html;
  if (!gnuplot_version.empty())
    out += paragraph("note", "Figures drawn by " + gnuplot_version + "; scripts and data lie in figures/.");
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace m3d::reports
