#pragma once
#include <filesystem>
#include <functional>

namespace m3d {

/// Runs `work` under Kineto and writes the trace of its operators, by name, as Chrome's JSON to `file` (open it in
/// ui.perfetto.dev or chrome://tracing), also when `work` throws; just runs it where `file` is empty. The whole trace
/// is held in memory: some hundred bytes an operator call. Throws UserError before anything runs where `file` cannot be
/// written. With CUDA, kernels and copies are in it too.
int run_traced(const std::filesystem::path& file, const std::function<int()>& work);

}  // namespace m3d
