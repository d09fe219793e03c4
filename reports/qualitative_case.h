#pragma once
// A case with its reference and predictions, and what its pictures (slices, surfaces) have in common.
#include <optional>

#include "datasets/catalogue/dataset.h"
#include "reports/figures.h"
#include "reports/panels.h"

namespace m3d::reports {

/// A case chosen by rule ("best", "median", "worst") from the baseline's.
struct CaseChoice {
  std::string rule, case_id;
  double dice;  // of the baseline
};

/// A column of panels: the reference or a configuration's prediction.
struct TitledLabels {
  std::string title;
  LabelImage labels;
};

/// A label value, named after the smallest structure that holds it (a region's core rather than the whole).
struct Structure {
  int value;
  std::string name;
  Rgb colour;
};

struct QualitativeCase {
  CaseChoice choice;
  std::string baseline;                // its label
  std::string channel;                 // the first one's name
  ImageF image;                        // the first channel
  std::vector<TitledLabels> columns;   // the reference first
  std::map<std::string, double> dice;  // percent, by column title
  std::vector<Structure> structures;
  std::string hashes;  // of the section's runs

  const LabelImage& reference() const { return columns.front().labels; }
  /// "Case x: mean Dice 85.0 % for the baseline (label)."
  std::string words() const;
};

/// Three planes through one voxel, a row each, the image and every column of labels beside each other.
Drawing case_slices(const QualitativeCase& shown, const std::string& name, const Theme& theme,
                    const std::filesystem::path& folder);
/// Every column's structures as smoothed surfaces.
Drawing case_surfaces(const QualitativeCase& shown, const std::string& name, const Theme& theme,
                      const std::filesystem::path& folder);

std::string slices_title(const CaseChoice& choice);
std::string surfaces_title(const CaseChoice& choice);

/// The panels above the structures' legend; title and caption are still to be given.
Drawing panels_drawing(const QualitativeCase& shown, const std::string& name, const PanelTable& table,
                       const Theme& theme, const std::filesystem::path& folder);
/// "85.0 %" below a prediction's title, nothing below the others.
std::vector<std::string> remarks_of(const QualitativeCase& shown, const std::vector<std::string>& titles);
/// The case's Dice of a column for a CSV file; empty for the image and the reference.
std::string dice_text(const QualitativeCase& shown, const std::string& title);

}  // namespace m3d::reports
