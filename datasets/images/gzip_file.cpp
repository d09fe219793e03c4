#include "datasets/images/gzip_file.h"

#include <zlib.h>

#include <fstream>
#include <memory>
#include <vector>

#include "common/error.h"

namespace m3d {

void gzip_file(const std::filesystem::path& source, const std::filesystem::path& target) {
  constexpr std::size_t kChunk = std::size_t{1} << 18;
  std::ifstream input(source, std::ios::binary);
  std::unique_ptr<gzFile_s, int (*)(gzFile)> output(gzopen(target.c_str(), "wb1"), gzclose);
  if (!input || !output) throw RunError("cannot write " + target.string());
  std::vector<char> chunk(kChunk);
  bool whole = true;
  while (whole && (input.read(chunk.data(), kChunk), input.gcount() > 0))
    whole = gzwrite(output.get(), chunk.data(), static_cast<unsigned>(input.gcount())) == input.gcount();
  if (gzclose(output.release()) != Z_OK || !whole)
    throw RunError("cannot write " + target.string() + ": is the disk full?");
}

}  // namespace m3d
