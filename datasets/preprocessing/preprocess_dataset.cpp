#include "datasets/preprocessing/preprocess_dataset.h"

#include <algorithm>
#include <mutex>

#include "common/error.h"
#include "datasets/parallel.h"
#include "datasets/preprocessing/case_memory.h"

namespace m3d {

std::vector<std::string> preprocess_dataset(const Dataset& dataset, const Plans& plans,
                                            const PlanConfiguration& configuration, const PreprocessingJob& job) {
  std::vector<std::string> failures;
  std::mutex mutex;
  const std::int64_t total = std::ssize(dataset.training);
  std::int64_t done = 0;
  const auto prepare = [&](const CaseFiles& files) {
    if (job.is_done && job.is_done(files.id)) return;
    try {
      job.take(prepare_case(dataset, plans, configuration, load_case(dataset, files), job.preparation));
    } catch (const UserError& error) {
      const std::lock_guard lock(mutex);
      failures.emplace_back(error.what());
    }
  };
  parallel_for(
      total, 1,
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          prepare(dataset.training[static_cast<std::size_t>(i)]);
          const std::lock_guard lock(mutex);
          ++done;
          if (job.progress) job.progress(done, total);
        }
      },
      job.threads > 0 ? std::min(job.threads, cases_at_once(dataset)) : cases_at_once(dataset));
  return failures;
}

}  // namespace m3d
