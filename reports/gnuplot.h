#pragma once
// Runs gnuplot (Debian's gnuplot-nox) on scripts that lie beside their data, so that anyone can restyle a figure.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "reports/theme.h"

namespace m3d::reports {

/// A figure before it is drawn. `body` plots the files in `data` (name → content), which lie beside the script.
struct FigureScript {
  std::string name;  // file stem
  double width_mm = 0, height_mm = 0;
  std::string body;
  std::map<std::string, std::string> data;
  std::string description;  // the runs it shows, for the picture's metadata
};

/// A figure on the page: drawn (svg not empty) or omitted with a reason.
struct Figure {
  std::string name, title, caption;
  std::string svg;      // the picture's text
  std::string omitted;  // why there is no picture
};

/// Whether programs can be found. The reason is empty where gnuplot runs.
class Gnuplot {
 public:
  explicit Gnuplot(Theme theme);
  const Theme& theme() const { return theme_; }
  bool available() const { return version_.starts_with("gnuplot"); }
  const std::string& version() const { return version_; }

  /// Writes <name>.gp and the data into `folder`, draws <name>.svg and the further `formats` (png, pdf), and returns
  /// the SVG's text. Throws RunError with gnuplot's message when it fails.
  std::string draw(const FigureScript& script, const std::filesystem::path& folder,
                   const std::vector<std::string>& formats) const;

 private:
  bool has_terminal(const std::string& name) const;
  void convert(const FigureScript& script, const std::filesystem::path& folder, const std::string& format) const;

  Theme theme_;
  std::string version_;
};

/// Text for a double-quoted string in a gnuplot script.
std::string quote(const std::string& text);

}  // namespace m3d::reports
