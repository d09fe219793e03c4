#pragma once
// The figures of a section. Each function returns what gnuplot shall draw, or a figure that says why it is omitted.
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "reports/gnuplot.h"
#include "reports/section.h"

namespace m3d::reports {

/// A figure's words, and its script (name empty where it is omitted: the words say why).
struct Drawing {
  Figure figure;
  FigureScript script;
};
Drawing omitted(const std::string& name, const std::string& title, const std::string& reason);

/// Mean Dice against MACs at the run's patch (log scale); bubble area by parameters, the Pareto front as a line.
Drawing dice_against_macs(const Section& section, const Theme& theme);
/// Dice over cases for every class and configuration: quartiles, whiskers, every case as a point.
Drawing class_boxes(const Section& section, const Theme& theme);
/// Small panels, a configuration each, the others in grey behind it: training and validation loss; pseudo-Dice.
Drawing loss_curves(const Section& section, const Theme& theme);
Drawing pseudo_dice_curves(const Section& section, const Theme& theme);
/// Three planes through the middle of the grid for every distinct permutation that runs recorded.
Drawing scan_order_diagrams(const Section& section, const Theme& theme);
/// Training time a patch, peak memory and MACs against the voxels of the patch, a line an architecture; none unless an
/// architecture has runs with two patches.
std::vector<Drawing> efficiency_curves(const Section& section, const Theme& theme);
/// Image, reference and predictions in three planes through one voxel for the baseline's best, median and worst case,
/// and the median one (the best of two) as surfaces. Writes the panels as PNG files into `folder`.
std::vector<Drawing> qualitative_figures(const Section& section, const Theme& theme,
                                         const std::filesystem::path& folder);

/// "hash hash …" of the runs that a figure shows.
std::string run_hashes(const Section& section);

}  // namespace m3d::reports
