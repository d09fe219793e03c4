#pragma once
// Cross-validation folds: nnU-Net's (nnunet_conventions.md §12), by patient, and published ones. Internal to this room;
// split_of() in dataset.h is the public way.
#include <cstdint>
#include <string>
#include <vector>

#include "datasets/catalogue/dataset.h"

namespace m3d {

/// The validation side of each of the five folds, ascending: KFold(5, shuffle, random_state 12345). Requires cases
/// >= 5.
std::vector<std::vector<std::int64_t>> kfold_validation(std::int64_t cases);

/// The patient of a case by the rules' expression; the case itself where it does not fit.
std::string patient_of(const SplitRules& rules, const std::string& case_id);

/// Folds by a rule of a descriptor, over sorted case ids:
///   rule: kfold | kfold_patients | interleaved_patients (shuffled with `seed`, fold f validates every fifth) | lists
///   without: cases or patients that are left out (test cases); folds: [{train, val}] of `lists`
///   cases_by_number: `without` and `folds` give the number at the end of a case's id
///   leak: what it means that patients are on both sides, where the published split has that
/// Throws UserError where the dataset lacks cases that the rule names, or has fewer than five.
std::vector<Split> folds_by_rule(const Dataset& dataset, const std::string& name, const Json& rule);

/// The standard folds as a splits_final.json, which split_of then takes for them under their own name; null where the
/// dataset has too few cases.
Json standard_splits_json(const Dataset& dataset);

/// Throws UserError unless `rules` (of `dataset`'s descriptor) have the form above.
void check_split_rules(const std::string& where, const Json& rules);

}  // namespace m3d
