#pragma once
// What pages are made of.
#include <string>
#include <vector>

#include "reports/gnuplot.h"

namespace m3d::reports {

std::string paragraph(const std::string& kind, const std::string& text);
std::string list_html(const std::vector<std::string>& items);
/// The picture, or why there is none.
std::string figure_html(const Figure& figure);

/// A whole page with everything in it, so that it needs no other file.
std::string framed_page(const std::string& title, const std::string& main_html, const std::string& gnuplot_version);

}  // namespace m3d::reports
