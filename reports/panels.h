#pragma once
// Pictures of a case beside and below each other under headings.
#include <filesystem>
#include <string>
#include <vector>

#include "reports/gnuplot.h"
#include "reports/layout.h"
#include "reports/png.h"

namespace m3d::reports {

/// A row of panels a plane or view, a column a heading. All rows are as long as `titles`.
struct PanelTable {
  std::vector<std::string> titles;
  std::vector<std::string> remarks;  // below each title; empty: nothing
  std::vector<std::vector<Raster>> rows;
  std::size_t gap = 6;  // pixels between panels
};

/// A picture of the panels above the legend. Columns go on in further bands below where their titles would overlap.
/// Writes the panels as <name>_panels.png into `folder`.
FigureScript panels_script(const std::string& name, const PanelTable& table, const std::vector<LegendEntry>& legend,
                           const Theme& theme, const std::filesystem::path& folder);

}  // namespace m3d::reports
